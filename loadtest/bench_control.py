"""What a meeting costs beside its media: joining, how late an event reaches a room, and the memory of connections.

Joining is measured through a whole stack (arrivals.py), the rest with one signaling process on a Valkey of its own, beside
a meeting service that knows everybody; clients are WebSockets of this process, so that on few cores they are in the
server's way: lateness is an upper bound.

`python -m loadtest.bench_control [--connections N] [--rooms N,N,…] [--join-seconds N]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import uvloop
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chassis import channels
from chassis.auth import ServiceIdentity
from chassis.config import ServiceConfig
from chassis.server import serving
from loadtest import arrivals, cpu
from stack import ready, valkey
from stack.bench import Figure
from stack.errors import StackError
from stack.secrets import Secrets

CONNECTIONS = 2_000
ROOMS = (10, 100, 500)
"""People in a room; the lateness of the largest has a bar."""
EVENTS = 50
EVERY_SECONDS = 0.2
TOGETHER = 100
"""People in each room while memory is measured."""
OPENED_AT_ONCE = 25
START_SECONDS = 30.0
LATE_BAR_MS = 250.0
MEMORY_BAR_MB = 600.0
MARK = '"@'
SPARE_FILES = 200
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Presence(meeting_pb2_grpc.PresenceServiceServicer):
    """A meeting service that lets everybody be here."""

    async def ReportPresence(  # noqa: N802  # gRPC's name
        self, _request: meeting_pb2.ReportPresenceRequest, _context: Any
    ) -> meeting_pb2.ReportPresenceResponse:
        """Say yes."""
        return meeting_pb2.ReportPresenceResponse()


@dataclass(frozen=True, slots=True)
class Server:
    """The signaling process."""

    process: subprocess.Popen[bytes]
    websocket: str
    events: signaling_pb2_grpc.EventServiceAsyncStub
    meeting: ServiceIdentity

    def megabytes(self) -> float:
        """Read its memory (PSS)."""
        return float(psutil.Process(self.process.pid).memory_full_info().pss) / 1e6


@dataclass(frozen=True, slots=True)
class Round:
    """What events to a room of so many people cost: seconds late, each, and CPU seconds for one event.

    `full`: how late one comes right after the last people have come, which everybody is told first.
    """

    people: int
    full: Sequence[float]
    late: Sequence[float]
    cpu_seconds: float


def main(
    connections: int = CONNECTIONS,
    rooms: Sequence[int] = ROOMS,
    join_seconds: int = arrivals.SECONDS,
) -> list[Figure]:
    """Measure joins for so long, then rooms of so many people, then so many connections. Raises StackError."""
    joins = arrivals.main(seconds=join_seconds)
    _allow_files(max(connections, *rooms) + SPARE_FILES)
    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return [*joins, *runner.run(measure(Path(folder), connections, rooms))]


async def measure(folder: Path, connections: int, rooms: Sequence[int]) -> list[Figure]:
    """Measure on a folder of one's own."""
    async with _running(folder) as server:
        rounds = [await _speak(server, people) for people in rooms]
        before = server.megabytes()
        async with AsyncExitStack() as stack:
            for number, start in enumerate(range(0, connections, TOGETHER)):
                people = min(TOGETHER, connections - start)
                await _open(server, _room(1_000 + number), people, stack)
            after = server.megabytes()
    return [*_round_figures(rounds), *_memory_figures(connections, before, after)]


def _round_figures(rounds: Sequence[Round]) -> list[Figure]:
    figures = []
    for each in rounds:
        room = f"room of {each.people}"
        p50, p99 = (1e3 * float(np.percentile(each.late, share)) for share in (50, 99))
        has_bar = each is rounds[-1]
        bar = f"< {LATE_BAR_MS:.0f} ms" if has_bar else ""
        figures += [
            Figure(f"{room}: an event is late, p50", p50, "ms"),
            Figure(
                f"{room}: an event is late, p99",
                p99,
                "ms",
                bar,
                p99 < LATE_BAR_MS if has_bar else None,
            ),
            Figure(
                f"{room}: an event is late right after {min(OPENED_AT_ONCE, each.people)} came at once, the latest",
                1e3 * max(each.full),
                "ms",
            ),
            Figure(f"{room}: CPU of an event", 1e3 * each.cpu_seconds, "ms"),
            Figure(
                f"{room}: CPU of an event for each who hears it",
                1e6 * each.cpu_seconds / each.people,
                "µs",
            ),
        ]
    return figures


def _memory_figures(connections: int, before: float, after: float) -> list[Figure]:
    what = f"{connections:,} connections, rooms of {TOGETHER}"
    return [
        Figure(
            f"{what}: memory of the process",
            after,
            "MB",
            f"< {MEMORY_BAR_MB:.0f} MB",
            after < MEMORY_BAR_MB,
        ),
        Figure(f"{what}: memory of each", 1e3 * (after - before) / connections, "kB"),
    ]


async def _speak(server: Server, people: int) -> Round:
    """Have a room of so many people hear events: one while the last who came are still told of, then the others."""
    code = _room(people)
    async with AsyncExitStack() as stack:
        clients = await _open(server, code, people, stack)
        full = await _say(server, code, clients, 1)
        families = {"signaling": [server.process.pid]}
        before = cpu.read(families)
        late = await _say(server, code, clients, EVENTS)
        spent = cpu.spent(before, cpu.read(families))["signaling"]
    return Round(people, full, late, spent / EVENTS)


async def _say(
    server: Server, code: str, clients: Sequence[ClientConnection], count: int
) -> list[float]:
    """Have so many events told to a room; returns how late they come, each to each client. Raises StackError."""
    late: list[float] = []
    hearing = [asyncio.create_task(_hear(client, count, late)) for client in clients]
    for _ in range(count):
        spoken = signaling_pb2.SpeakersChanged(speakers=[f"@{time.monotonic()}"])
        message = signaling_pb2.ServerMessage(speakers_changed=spoken)
        await server.events.PublishEvents(
            signaling_pb2.PublishEventsRequest(
                meeting=f"meetings/{code}", events=[signaling_pb2.Event(message=message)]
            )
        )
        await asyncio.sleep(EVERY_SECONDS)
    async with asyncio.timeout(START_SECONDS):
        await asyncio.gather(*hearing)
    return late


async def _hear(client: ClientConnection, count: int, late: list[float]) -> None:
    """Note how late each event comes. Raises StackError when one does not."""
    heard = 0
    try:
        while heard < count:
            text = str(await client.recv())
            if MARK in text:
                late.append(time.monotonic() - float(text.split(MARK)[1].split('"', maxsplit=1)[0]))
                heard += 1
    except ConnectionClosed as end:
        raise StackError(f"A client was cut off: {end}") from end


async def _open(
    server: Server, code: str, people: int, stack: AsyncExitStack
) -> list[ClientConnection]:
    """Have so many people join a room, some at a time."""
    clients: list[ClientConnection] = []
    while len(clients) < people:
        count = min(OPENED_AT_ONCE, people - len(clients))
        clients += await asyncio.gather(*(_join(server, code) for _ in range(count)))
    for client in clients:
        stack.callback(client.transport.abort)
    return clients


async def _join(server: Server, code: str) -> ClientConnection:
    claims = {
        "sub": f"meetings/{code}/participants/{uuid.uuid4()}",
        "user": "users/7",
        "display_name": "Bench",
        "role": "participant",
        "grants": {"publish": [], "subscribe": True},
        "voice_activity": False,
    }
    ticket = server.meeting.sign(claims, "parley-signaling", timedelta(minutes=10))
    client = await connect(
        server.websocket, compression=None, max_size=None, ping_interval=None, max_queue=None
    )
    await client.send(json.dumps({"join": {"ticket": ticket}}))
    first = str(await client.recv())
    if '"joined"' not in first:
        raise StackError(f"A client was not let in: {first[:200]}")
    return client


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Server]:
    """Run a signaling process, and what it needs."""
    keys = folder / "keys"
    keys.mkdir()
    secrets = Secrets(keys)
    secrets.write_trust()
    common: dict[str, Any] = {"trust": secrets.trust, "drain_seconds": 0.0}
    peers = ServiceConfig(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        mesh="",
        service_key=secrets.key("meeting"),
        **common,
    )
    identity = ServiceIdentity.load(peers, "meeting")
    servicers = {meeting_pb2_grpc.add_PresenceServiceServicer_to_server: Presence()}
    unit = valkey.unit(folder, folder, _free_port(), "bench")
    store_port = unit.ports["redis"]
    listen, websocket = _free_port(), _free_port()
    async with AsyncExitStack() as stack:
        fakes = await stack.enter_async_context(
            serving(peers, "meeting", identity, None, servicers)
        )
        stack.enter_context(_process([str(part) for part in unit.command], {}))
        environment = {
            "PARLEY_LISTEN": f"127.0.0.1:{listen}",
            "PARLEY_METRICS_LISTEN": "127.0.0.1:0",
            "PARLEY_WEBSOCKET_LISTEN": f"127.0.0.1:{websocket}",
            "PARLEY_MESH": f"127.0.0.1:{fakes.port}",
            "PARLEY_SERVICE_KEY": str(secrets.key("signaling")),
            "PARLEY_TRUST": str(secrets.trust),
            "PARLEY_REDIS_URL": valkey.url(store_port, "bench"),
            "PARLEY_MAX_CONNECTIONS": "10000",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MALLOC_ARENA_MAX": "2",
        }
        command = [sys.executable, "-m", "services.signaling"]
        process = stack.enter_context(_process(command, environment))
        async with asyncio.timeout(START_SECONDS):
            while not await ready.grpc_serving(f"127.0.0.1:{listen}"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        channel: grpc.aio.Channel = await stack.enter_async_context(
            channels.direct(f"127.0.0.1:{listen}", identity)
        )
        yield Server(
            process,
            f"ws://127.0.0.1:{websocket}/ws/signaling",
            signaling_pb2_grpc.EventServiceStub(channel),
            identity,
        )


@contextmanager
def _process(command: Sequence[str], more: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process as long as the block."""
    environment = {**os.environ, **more}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _room(number: int) -> str:
    """Make a meeting's code of a number."""
    last = "".join(LETTERS[number // 26**power % 26] for power in (2, 1, 0))
    return f"aaa-aaaa-{last}"


def _free_port() -> int:
    """Find a TCP port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _allow_files(count: int) -> None:
    """Raise how many files may be open. Raises StackError when this machine does not allow so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise StackError(f"{count} files are needed; this machine allows {hard} (ulimit -Hn).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--rooms", default=",".join(map(str, ROOMS)), help="people in each room")
    parser.add_argument("--join-seconds", type=int, default=arrivals.SECONDS)
    chosen = parser.parse_args()
    people = [int(each) for each in chosen.rooms.split(",")]
    for figure in main(chosen.connections, people, chosen.join_seconds):
        mark = {True: "met", False: "MISSED", None: ""}[figure.met]
        print(f"{figure.name:58} {figure.value:9.3f} {figure.unit:4} {figure.bar:12} {mark}")


__all__ = ["main", "measure"]
