"""Who is served next: final texts, then first ones, then those that go on; rooms in fairness; one piece of work of a stream at a time.

Of the rooms that wait the one that was served least is next, so that a room of twenty talkers leaves another's one alone.
A stream that waits takes up what it knows when its turn comes, not when it began to wait.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

T = TypeVar("T")

MAX_ROOMS = 10_000
"""So many rooms' service is remembered; when there are more, all begin anew."""


class Urgency(IntEnum):
    """How soon a stream's turn is to come: that somebody begins to be understood matters more than the next guess at another."""

    FINAL = 0
    FIRST = 1
    NEXT = 2


@dataclass(eq=False, slots=True)
class _Ticket:
    room: str
    urgency: Callable[[], Urgency]
    number: int
    called: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """Gives turns to many streams, `places` of them at once. Work is done in an executor of as many threads."""

    def __init__(self, executor: Executor, places: int) -> None:
        self._executor = executor
        self._free = places
        self._waiting: list[_Ticket] = []
        self._served: dict[str, float] = {}
        self._numbers = itertools.count()

    @property
    def waiting(self) -> int:
        """How many streams wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, room: str, urgency: Callable[[], Urgency]) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends. `urgency` is asked whenever a place is free."""
        await self._called(room, urgency)
        began = time.monotonic()
        try:
            yield
        finally:
            self._served[room] = self._served.get(room, self._least()) + time.monotonic() - began
            self._free += 1
            self._call_next()

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work of a turn in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _called(self, room: str, urgency: Callable[[], Urgency]) -> None:
        if len(self._served) > MAX_ROOMS:
            self._served.clear()
        self._served.setdefault(room, self._least())
        ticket = _Ticket(room, urgency, next(self._numbers))
        self._waiting.append(ticket)
        self._call_next()
        try:
            await ticket.called.wait()
        except asyncio.CancelledError:
            if ticket.called.is_set():
                self._free += 1
                self._call_next()
            else:
                self._waiting.remove(ticket)
            raise

    def _call_next(self) -> None:
        while self._free and self._waiting:
            ticket = min(self._waiting, key=self._rank)
            self._waiting.remove(ticket)
            self._free -= 1
            ticket.called.set()

    def _rank(self, ticket: _Ticket) -> tuple[Urgency, float, int]:
        return ticket.urgency(), self._served.get(ticket.room, 0.0), ticket.number

    def _least(self) -> float:
        """What the least served room was served: a new one begins there, so that it may not hold up the others."""
        return min(self._served.values(), default=0.0)


__all__ = ["Desk", "Urgency"]
