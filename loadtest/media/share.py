"""One process's share of a run: seats its participants, lets them talk, and counts what becomes of it.

It speaks with its parent through a pipe: `joined` when all are seated or have failed, `go` from the parent, `progress`
every second, and `done` with the figures. Every wait is bounded.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import uvloop

from loadtest.media import parley
from loadtest.media.connection import Certificate, ConnectionFailed
from loadtest.media.figures import Figures
from loadtest.media.health import LAG_SECONDS, Metronome
from loadtest.media.participant import Participant, Settings
from loadtest.media.sdp import SdpInvalid
from loadtest.media.uplink import Profile

SETTLE_SECONDS = 1.2
"""After the senders have stopped, so that what is missing can still come."""
GO_SECONDS = 600.0
MOST_COMPLAINTS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A participant to be: its number, its meeting, and what it does there."""

    number: int
    meeting: str
    publishes: bool
    subscribes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a process has to know."""

    url: str
    token: str
    host: str
    places: tuple[Place, ...]
    profile: Profile
    joining: int
    verify: int
    duration: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: counts since the beginning."""

    joined: int
    sent: int
    received: int
    received_bytes: int
    recovered: int
    corrupt: int


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it. `packets` and `octets` were received in `seconds`, from `go` on."""

    figures: Figures
    joining_seconds: float
    seconds: float
    packets: int
    octets: int
    complaints: tuple[str, ...]


def run(plan: Plan, pipe: Pipe) -> None:
    """Do a share, in a process of its own."""
    uvloop.run(_Share(plan, pipe).run())


class _Share:
    def __init__(self, plan: Plan, pipe: Pipe) -> None:
        self._plan = plan
        self._pipe = pipe
        self._figures = Figures()
        self._complaints: list[str] = []
        self._seats: list[parley.Seat] = []
        self._clients: list[Participant] = []

    async def run(self) -> None:
        """Join, talk, leave."""
        figures, plan = self._figures, self._plan
        lag = Metronome(LAG_SECONDS, lambda: None, figures.lag)
        lag.start(0)
        async with AsyncExitStack() as stack:
            reporting = asyncio.create_task(self._report())
            joining_seconds = await self._join(stack)
            self._pipe.send("joined")
            if await asyncio.to_thread(self._pipe.poll, GO_SECONDS):
                self._pipe.recv()
            began, before = time.monotonic(), (figures.received, figures.received_bytes)
            await asyncio.sleep(plan.duration)
            seconds = time.monotonic() - began
            packets = figures.received - before[0]
            octets = figures.received_bytes - before[1]
            await self._leave()
            lag.stop()
            reporting.cancel()
        complaints = tuple(dict.fromkeys(self._complaints))[:MOST_COMPLAINTS]
        self._pipe.send(Done(figures, joining_seconds, seconds, packets, octets, complaints))

    async def _join(self, stack: AsyncExitStack) -> float:
        """Seat everybody, some at a time; returns how long that took."""
        plan = self._plan
        settings = Settings(Certificate(), plan.host, plan.profile, self._figures, plan.verify)
        count = -(-len(plan.places) // parley.SEATS_PER_CHANNEL)
        channels = [await stack.enter_async_context(parley.reached(plan.url)) for _ in range(count)]
        turn, began = asyncio.Semaphore(plan.joining), time.monotonic()
        hearing: list[asyncio.Task[bool]] = []

        async def join(place: Place, number: int) -> None:
            client = Participant(
                settings, place.number, publishes=place.publishes, subscribes=place.subscribes
            )
            seat = parley.Seat(channels[number % count], client, self._lost)
            self._clients.append(client)
            self._seats.append(seat)
            async with turn:
                try:
                    await seat.join(place.meeting, plan.token)
                except (parley.JoinFailed, ConnectionFailed, SdpInvalid) as error:
                    self._figures.failed += 1
                    self._complaints.append(f"could not join: {error}")
                    return
            if client.downlink is not None and client.downlink.tracks:
                hearing.append(asyncio.create_task(client.heard()))

        async with asyncio.TaskGroup() as group:
            for number, place in enumerate(plan.places):
                group.create_task(join(place, number))
        seconds = time.monotonic() - began
        if hearing and not all(await asyncio.gather(*hearing)):
            self._complaints.append("somebody heard nothing of what was offered")
        return seconds

    async def _leave(self) -> None:
        for client in self._clients:
            if client.uplink is not None:
                client.uplink.stop()
        await asyncio.sleep(SETTLE_SECONDS)
        for client in self._clients:
            client.close()
        await asyncio.gather(*(seat.leave() for seat in self._seats))

    async def _report(self) -> None:
        figures = self._figures
        while True:
            await asyncio.sleep(1)
            self._pipe.send(
                Progress(
                    figures.joined,
                    figures.sent,
                    figures.received,
                    figures.received_bytes,
                    figures.recovered,
                    figures.corrupt,
                )
            )

    def _lost(self, reason: str) -> None:
        self._figures.failed += 1
        self._complaints.append(f"lost its seat: {reason}")


__all__ = ["Done", "Place", "Plan", "Progress", "run"]
