"""Sequence continuity of one stream as its receiver sees it: what is missing, what to ask for, what is lost for good."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from loadtest.media.rtp import distance

LOST_SECONDS = 1.0
RETRY_SECONDS = 0.1
MAX_TRIES = 8
MAX_GAP = 1_000
"""A jump further than this is a new beginning."""
MAX_MISSING = 2_000
RECENT = 1_024
"""Numbers behind the newest of which it is known whether they came."""


class Arrival(Enum):
    """What a packet is to a receiver."""

    NEXT = "next"
    RECOVERED = "recovered"
    LATE = "late"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class _Missing:
    since: float
    asked: float = 0.0
    tries: int = 0


class Continuity:
    """Follows the sequence numbers; times are seconds of any one clock."""

    __slots__ = ("_missing", "first", "highest", "lost", "received", "restarts")

    def __init__(self) -> None:
        self.first = self.highest = -1
        self.received = self.lost = self.restarts = 0
        self._missing: dict[int, _Missing] = {}

    def receive(self, number: int, now: float) -> Arrival:
        """Take a packet's 16-bit number."""
        if self.highest < 0:
            self.first = self.highest = number
            self.received = 1
            return Arrival.NEXT
        step = distance(number, self.highest & 0xFFFF)
        if step == 1:
            self.highest += 1
            self.received += 1
            return Arrival.NEXT
        if step > 0 or step < -RECENT:
            self._jump(step, now)
            return Arrival.NEXT
        return self._fill(self.highest + step)

    def repaired(self, number: int) -> bool:
        """Take a retransmission of a packet; tells whether it was missing."""
        if self.highest < 0:
            return False
        return self._fill(self.highest + distance(number, self.highest & 0xFFFF)) in (
            Arrival.RECOVERED,
            Arrival.LATE,
        )

    def wanted(self, now: float) -> list[int]:
        """List the 16-bit numbers to ask for now; what is missing for too long is lost."""
        wanted = []
        for number, each in list(self._missing.items()):
            if now - each.since >= LOST_SECONDS:
                del self._missing[number]
                self.lost += 1
            elif each.tries < MAX_TRIES and now - each.asked >= RETRY_SECONDS:
                each.asked, each.tries = now, each.tries + 1
                wanted.append(number & 0xFFFF)
        return wanted

    def settle(self) -> None:
        """It is over: what is missing is lost."""
        self.lost += len(self._missing)
        self._missing.clear()

    def _jump(self, step: int, now: float) -> None:
        self.received += 1
        if not 0 < step <= MAX_GAP:
            self.settle()
            self.restarts += 1
            self.highest += step
            return
        gap = range(self.highest + 1, self.highest + step)
        self._missing.update((number, _Missing(now)) for number in gap)
        while len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]
            self.lost += 1
        self.highest += step

    def _fill(self, number: int) -> Arrival:
        if (missing := self._missing.pop(number, None)) is None:
            return Arrival.DUPLICATE
        self.received += 1
        return Arrival.RECOVERED if missing.tries else Arrival.LATE


__all__ = ["Arrival", "Continuity"]
