"""A long call in which people come and go all the time, and what it does to the memory of the server.

`python -m loadtest.soak [--minutes N] [--people N]` starts a stack with one media worker. Light clients
(loadtest/media) join meetings, stay for some seconds and go, every third without a word; meetings end and others
begin. The memory of the media worker and of signaling is read every few seconds; a line through the second half says
how fast it grows. In the end everybody goes, and nothing may be left. Kept as loadtest/results/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import uvloop

from loadtest.bench_stack import running
from loadtest.media import parley
from loadtest.media.connection import Certificate, ConnectionFailed
from loadtest.media.figures import Figures
from loadtest.media.participant import Participant, Settings
from loadtest.media.sdp import SdpInvalid
from loadtest.media.uplink import Profile
from stack.bench import Figure, keep, table
from stack.errors import StackError
from stack.state import State

MINUTES = 10.0
PEOPLE = 12
ROOMS = 3
ROOM_SECONDS = 60.0
STAY_SECONDS = (3.0, 15.0)
WITHOUT_A_WORD = 3
"""Every so many-th closes its connections and says nothing."""
SAMPLE_SECONDS = 5.0
BAR_MB_PER_HOUR = 24.0
"""2 MB in the second half of ten minutes: less than that comes and goes with the load."""
EMPTY_SECONDS = 60.0
"""Until those who went without a word are taken out: signaling waits for them to resume."""
WATCHED = ("media-0", "signaling")
GAUGE = re.compile(
    r"^parley_media_(rooms|peers|port_held\{kind=\"\w+\"\}) ([0-9.e+]+)$", re.MULTILINE
)


@dataclass(slots=True)
class Soak:
    """What happened. `memory` has (seconds, MB) of each process that is watched."""

    joined: int = 0
    failed: int = 0
    rooms: int = 0
    complaints: list[str] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


class People:
    """Those who come and go, in meetings that begin and end."""

    def __init__(self, channel: grpc.aio.Channel, settings: Settings, soak: Soak) -> None:
        self._channel = channel
        self._settings = settings
        self._soak = soak
        self._dice = random.Random(1)  # noqa: S311 - a fair die, not a secret
        self._meetings: dict[int, tuple[str, str]] = {}
        self._number = 0

    async def hold(self, room: int) -> None:
        """Begin a meeting again and again, each after the one before has ended; until cancelled."""
        while True:
            try:
                token = await parley.sign_up(self._channel)
                (name,) = await parley.create_meetings(self._channel, token, 1, PEOPLE * ROOMS)
            except grpc.aio.AioRpcError as error:
                self._soak.complaints.append(f"{error.code().name}: {error.details()}")
                await asyncio.sleep(1)
                continue
            self._meetings[room] = (name, token)
            self._soak.rooms += 1
            try:
                await asyncio.sleep(ROOM_SECONDS * self._dice.uniform(0.5, 1.5))
            finally:
                del self._meetings[room]
                await parley.end_meetings(self._channel, token, [name])

    async def come_and_go(self) -> None:
        """Be one person after the other; until cancelled."""
        while True:
            if not self._meetings:
                await asyncio.sleep(0.5)
                continue
            self._number += 1
            meeting, token = self._dice.choice(list(self._meetings.values()))
            await self._visit(self._number, meeting, token)

    async def _visit(self, number: int, meeting: str, token: str) -> None:
        client = Participant(self._settings, number, publishes=True, subscribes=True)
        seat = parley.Seat(self._channel, client, lambda _reason: None)
        try:
            await seat.join(meeting, token)
            self._soak.joined += 1
            await asyncio.sleep(self._dice.uniform(*STAY_SECONDS))
        except (parley.JoinFailed, ConnectionFailed, SdpInvalid) as error:
            self._soak.failed += 1
            if meeting in (name for name, _ in self._meetings.values()):
                self._soak.complaints.append(str(error))
        finally:
            await (_vanish(client, seat) if number % WITHOUT_A_WORD == 0 else seat.leave())


async def _vanish(client: Participant, seat: parley.Seat) -> None:
    """Go as those do whose battery is empty: nothing is said."""
    client.close()
    if seat._listening is not None:
        seat._listening.cancel()
        await asyncio.wait([seat._listening])
        seat._stream.cancel()


async def soak(state: State, url: str, minutes: float, people: int) -> Soak:
    """Have people come and go, and watch the memory."""
    result = Soak(memory={name: [] for name in WATCHED})
    profile = Profile(bitrate_bps=200_000, frames_per_second=15)
    settings = Settings(Certificate(), "127.0.0.1", profile, Figures())
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(parley.reached(url))
        crowd = People(channel, settings, result)
        tasks = [asyncio.create_task(crowd.hold(room)) for room in range(ROOMS)]
        tasks += [asyncio.create_task(crowd.come_and_go()) for _ in range(people)]
        await _watch(state, result, 60 * minutes, tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return result


async def _watch(
    state: State, result: Soak, seconds: float, tasks: Sequence[asyncio.Task[None]]
) -> None:
    began = time.monotonic()
    processes = {name: psutil.Process(_pid(state, name)) for name in WATCHED}
    while (now := time.monotonic() - began) < seconds:
        for name, process in processes.items():
            result.memory[name].append((now, process.memory_info().rss / 1e6))
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(SAMPLE_SECONDS)
        print(
            f"\r{now:5.0f} s, {result.joined} joined, {result.failed} failed",
            end="",
            file=sys.stderr,
        )


def _pid(state: State, name: str) -> int:
    status = state.read_status()
    pid = next((p.pid for p in status.processes if p.name == name), 0) if status else 0
    if not pid:
        raise StackError(f"{name} does not run.")
    return pid


def slope_mb_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """Fit a line through the second half of samples of (seconds, MB)."""
    half = samples[len(samples) // 2 :]
    seconds, megabytes = zip(*half, strict=True)
    return 3600 * statistics.linear_regression(seconds, megabytes).slope


def left_over(state: State) -> Mapping[str, float]:
    """Read what the media worker says it holds, until it is nothing, or for EMPTY_SECONDS."""
    status = state.read_status()
    ports = next(p.ports for p in status.processes if p.name == "media-0") if status else {}
    until = time.monotonic() + EMPTY_SECONDS
    while True:
        address = f"http://127.0.0.1:{ports['metrics']}/metrics"
        with urllib.request.urlopen(address, timeout=5) as answer:
            gauges = GAUGE.findall(answer.read().decode())
        held = {name: float(value) for name, value in gauges}
        if not any(held.values()) or time.monotonic() > until:
            return held
        time.sleep(1)


def figures(result: Soak, minutes: float, held: Mapping[str, float]) -> list[Figure]:
    """Sum up."""
    rows = [
        Figure("minutes", minutes, "min"),
        Figure("joins", float(result.joined), ""),
        Figure("joins that failed", float(len(result.complaints)), "", "0", not result.complaints),
        Figure("meetings", float(result.rooms), ""),
    ]
    for name, samples in result.memory.items():
        slope = slope_mb_per_hour(samples)
        rows += [
            Figure(f"{name}: memory at the middle", samples[len(samples) // 2][1], "MB"),
            Figure(f"{name}: memory at the end", samples[-1][1], "MB"),
            Figure(
                f"{name}: slope of the second half",
                slope,
                "MB/hour",
                f"< {BAR_MB_PER_HOUR:.0f} MB/hour",
                slope < BAR_MB_PER_HOUR,
            ),
        ]
    rows += [Figure(f"{name}, when all have gone", n, "", "0", n == 0) for name, n in held.items()]
    return rows


def main() -> int:
    """Soak a stack of its own. Returns 1 when a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default: %(default)s")
    parser.add_argument("--people", type=int, default=PEOPLE, help="at once; default: %(default)s")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="parley-soak-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with running(folder, "--media-workers", "1", "--no-rate-limits") as url:
            state = State(folder)
            result = uvloop.run(soak(state, url, chosen.minutes, chosen.people))
            found = figures(result, chosen.minutes, left_over(state))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keep("soak", found)
    print(f"\n{table(found)}")
    for complaint in sorted(set(result.complaints)):
        print(f"could not join: {complaint}")
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["Soak", "figures", "main", "slope_mb_per_hour", "soak"]
