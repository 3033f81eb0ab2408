"""Time, as something that is passed in: the domain never reads a clock of its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Tell the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Tell a time that never goes back, in seconds from an arbitrary start."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Tell the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Tell a time that never goes back, in seconds from an arbitrary start."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when it is told to, for tests."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Tell the time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Tell the seconds that were let pass."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


__all__ = ["Clock", "ManualClock", "SystemClock"]
