"""Drives SFUs that speak JSON lines: Parley's media worker, run by itself, and werift (npm's), as an SFU.

A request has an `id`, a `request` and who it is about; its answer has the `id`. Offers to subscribers come between.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loadtest.media.participant import Participant
from loadtest.peers.place import Place
from loadtest.peers.sfu import SfuFailed, process

START_SECONDS = 20.0
ANSWER_SECONDS = 20.0
WERIFT = Path(__file__).parent / "werift"


class Piped:
    """A server behind a pair of pipes, as a benchmark sees it."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._process = started
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._clients: dict[str, Participant] = {}
        self._asked = 0
        self.on_relay: Callable[[str], None] = lambda _message: None

    @property
    def pids(self) -> list[int]:
        """The server's."""
        return [self._process.pid]

    async def join(self, room: int, client: Participant) -> None:
        """Seat a client. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        client.begin()
        participant = f"participants/{client.number}"
        who = {"room": room, "participant": participant}
        self._clients[participant] = client
        await self._ask("start", who, subscribe=client.downlink is not None)
        if client.uplink is not None:
            mids = list(client.uplink.mids)
            said = await self._ask("publish", who, sdp=client.uplink.offer(), mids=mids)
            client.uplink.answered(said["sdp"])
        await client.connected()

    async def listen(self) -> None:
        """Take what the server says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if (answer := self._answers.pop(said.get("id", 0), None)) is not None:
                answer.set_result(said)
            elif "revision" in said:
                self._answer(said)
            elif "relay" in said:
                self.on_relay(said["relay"])

    async def hello(self, *, calls: bool) -> dict[str, Any]:
        """Have a media worker describe its end of a relay. Raises SfuFailed."""
        return await self._ask("hello", {}, calls=calls)

    async def relay(self, other: dict[str, Any]) -> None:
        """Have a media worker begin a relay to another, whose `hello` this is. Raises SfuFailed."""
        await self._ask("relay", {}, other=other)

    def hear(self, message: str) -> None:
        """Pass on what the other end of the relay has said."""
        self._say("hear", {"relay": message, "id": 0})

    def _answer(self, said: dict[str, Any]) -> None:
        client = self._clients[said["participant"]]
        if client.downlink is not None:
            sdp = client.downlink.answer(said["sdp"])
            self._say("answer", said | {"sdp": sdp, "id": 0})

    async def _ask(self, request: str, who: dict[str, Any], **more: Any) -> dict[str, Any]:
        self._asked += 1
        answer = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        self._say(request, who | more | {"id": self._asked})
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise SfuFailed(f"no answer to {request}") from None

    def _say(self, request: str, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what | {"request": request}).encode() + b"\n")


@asynccontextmanager
async def parley(place: Place, log: Path, fanout: str) -> AsyncIterator[Piped]:
    """Run a media worker with a fan-out, `python` or `compiled`. Raises SfuFailed when there is none such."""
    command = [sys.executable, "-m", "loadtest.peers.parley_worker", place.there]
    environment = {**os.environ, "PARLEY_FANOUT": fanout}
    async with _piped([*place.prefix, *command], log, environment) as (server, ready):
        if ready["fanout"] != fanout:
            raise SfuFailed(f"there is no {fanout} fan-out")
        yield server


class Pair:
    """Two media workers that share all rooms: clients sit at the one and the other by turns."""

    def __init__(self, one: Piped, other: Piped) -> None:
        self._both = (one, other)

    @property
    def pids(self) -> list[int]:
        """The workers'."""
        return [pid for each in self._both for pid in each.pids]

    async def join(self, room: int, client: Participant) -> None:
        """Seat a client. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        await self._both[client.number % 2].join(room, client)


@asynccontextmanager
async def pair(place: Place, log: Path, fanout: str) -> AsyncIterator[Pair]:
    """Run two media workers and join them by a relay. Raises SfuFailed."""
    async with parley(place, log, fanout) as one, parley(place, log, fanout) as other:
        one.on_relay, other.on_relay = other.hear, one.hear
        hellos = await one.hello(calls=True), await other.hello(calls=False)
        await other.relay(hellos[0])
        await one.relay(hellos[1])
        yield Pair(one, other)


def has_werift() -> bool:
    """Tell whether werift is installed, and a Node to run it."""
    return shutil.which("node") is not None and (WERIFT / "node_modules" / "werift").is_dir()


@asynccontextmanager
async def werift(place: Place, log: Path) -> AsyncIterator[Piped]:
    """Run werift. Raises SfuFailed when it does not start."""
    command = ["node", str(WERIFT / "sfu.mjs"), place.there]
    async with _piped([*place.prefix, *command], log, os.environ) as (server, _):
        yield server


@asynccontextmanager
async def _piped(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> AsyncIterator[tuple[Piped, dict[str, Any]]]:
    """Run a server; also gives the line by which it says that it is ready. Raises SfuFailed."""
    async with process(command, log, environment, piped=True) as started:
        assert started.stdout is not None
        try:
            ready = await asyncio.wait_for(started.stdout.readline(), START_SECONDS)
        except TimeoutError:
            ready = b""
        if not ready:
            raise SfuFailed(f"{command[-2]} does not start: see {log}")
        server = Piped(started)
        listening = asyncio.create_task(server.listen())
        try:
            yield server, json.loads(ready)
        finally:
            listening.cancel()


__all__ = ["Pair", "Piped", "has_werift", "pair", "parley", "werift"]
