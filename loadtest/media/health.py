"""Whether the generator itself kept up: a run that it was too slow for says nothing about the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loadtest.media.figures import Figures, Histogram

MAX_LAG_MS = 20.0
"""At p99, of the event loop and of the senders."""
LAG_SECONDS = 0.01
MAX_BEHIND_SECONDS = 0.5


class Metronome:
    """Calls something at even intervals, without drift; what it is late by is counted."""

    def __init__(self, seconds: float, beat: Callable[[], None], lateness: Histogram) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._beat = beat
        self._lateness = lateness
        self._due = self._loop.time()
        self._handle: asyncio.TimerHandle | None = None

    def start(self, delay: float) -> None:
        """Begin, in so many seconds."""
        self._due = self._loop.time() + delay
        self._handle = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Call it no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        now = self._loop.time()
        self._lateness.add(int((now - self._due) * 1e6))
        self._due += self._seconds
        if now - self._due > MAX_BEHIND_SECONDS:
            self._due = now
        self._handle = self._loop.call_at(self._due, self._tick)
        self._beat()


def reasons_void(figures: Figures) -> list[str]:
    """Say why a run says nothing about the server; nothing when the generator kept up."""
    reasons = []
    for name, lateness in (("its event loop", figures.lag), ("its senders", figures.lateness)):
        if (late := lateness.quantile(0.99) / 1000) > MAX_LAG_MS:
            reasons.append(f"{name} ran {late:.0f} ms late at p99 (more than {MAX_LAG_MS:.0f} ms)")
    if figures.unsent > figures.sent // 1000:
        reasons.append(f"its own sockets did not take {figures.unsent} packets")
    return reasons


__all__ = ["LAG_SECONDS", "MAX_LAG_MS", "Metronome", "reasons_void"]
