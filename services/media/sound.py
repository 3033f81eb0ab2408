"""A track's sound on its way to the ai service: when each piece of it was, and how much of it is kept. Pure."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

OPUS_CLOCK_RATE = 48_000
"""RFC 7587 §4.1."""
BYTES_PER_SECOND = 32_000
"""16 kHz, 16 bits."""
ROUNDING = 0.01
"""Of a sample: offsets are told in microseconds."""
LEAP_SECONDS = 5.0
"""A timestamp that leads or lags behind by more is of another source, or has leapt."""
BEHIND_SECONDS = 2.0
"""How much may wait; more than that is dropped, the oldest first."""
KEPT_SECONDS = 20.0
"""How much waits, and is kept to be sent again, where speech is recognised."""
QUIET_SECONDS = 3.0
"""How much is kept while nobody speaks: a word has begun before it is noticed, and a short one is over soon."""


class TrackClock:
    """A track's own time in seconds, from its first packet on: it goes on where timestamps wrap, leap or begin anew."""

    def __init__(self, rate: int = OPUS_CLOCK_RATE) -> None:
        self._rate = rate
        self._timestamp: int | None = None
        self._ticks = 0
        self._at = 0.0

    @property
    def now(self) -> float:
        """Where the last packet begins."""
        return self._ticks / self._rate

    def read(self, timestamp: int, now: float) -> float:
        """Tell when a packet is that came at `now` (monotonic)."""
        if self._timestamp is not None:
            step = ((timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            elapsed = int((now - self._at) * self._rate)
            if abs(step - elapsed) > LEAP_SECONDS * self._rate:
                step = max(0, elapsed)
            self._ticks = max(0, self._ticks + step)
        self._timestamp, self._at = timestamp, now
        return self.now

    def edge(self, now: float) -> float:
        """Tell when what comes now is, as far as can be known before it is read."""
        return 0.0 if self._timestamp is None else self.now + now - self._at

    def came(self, offset: float) -> float:
        """Tell when (monotonic) what is at an offset came, or would have come: what is heard was said just before."""
        return self._at + offset - self.now


class Chunk(NamedTuple):
    """16 kHz mono samples that begin `offset` seconds into the track."""

    offset: float
    pcm: bytes

    @property
    def end(self) -> float:
        """Where they end."""
        return self.offset + len(self.pcm) / BYTES_PER_SECOND

    def after(self, offset: float) -> Chunk:
        """Cut off what is before an offset."""
        samples = math.ceil((offset - self.offset) * BYTES_PER_SECOND / 2 - ROUNDING)
        return Chunk(self.offset + 2 * samples / BYTES_PER_SECOND, self.pcm[2 * samples :])


class Backlog:
    """The sound that waits, and, while it `keeps`, what was sent since `settle`, so that it can be sent again.

    `end` is where the last of it ends; while it `is_quiet` little is kept.
    """

    def __init__(self) -> None:
        self.keeps = False
        self.is_quiet = True
        self.end = 0.0
        self._chunks: deque[Chunk] = deque()
        self._sent = 0

    def put(self, chunk: Chunk) -> int:
        """Have one more; returns how many that wait are dropped for it."""
        self._chunks.append(chunk)
        self.end = chunk.end
        oldest = chunk.end - (KEPT_SECONDS if self.keeps else BEHIND_SECONDS)
        dropped = 0
        while self._chunks[0].end <= oldest or self._is_spare(chunk.end):
            dropped += self._sent == 0
            self._drop()
        return dropped

    def next(self) -> Chunk | None:
        """Look at what is to be sent next."""
        return self._chunks[self._sent] if self._sent < len(self._chunks) else None

    def sent(self) -> None:
        """That was sent."""
        self._sent += 1
        if not self.keeps:
            self._drop()

    def settle(self, until: float) -> None:
        """What is before that need not be sent again."""
        while self._sent and self._chunks[0].end <= until:
            self._drop()
        if self._sent and self._chunks[0].offset < until:
            self._chunks[0] = self._chunks[0].after(until)

    def forget(self) -> None:
        """Keep nothing of what was sent."""
        self.keeps = False
        while self._sent:
            self._drop()

    def rewind(self) -> None:
        """Send what is kept again."""
        self._sent = 0

    def _is_spare(self, now: float) -> bool:
        return self._sent > 0 and self.is_quiet and self._chunks[0].end <= now - QUIET_SECONDS

    def _drop(self) -> None:
        self._chunks.popleft()
        self._sent = max(0, self._sent - 1)


__all__ = ["BYTES_PER_SECOND", "KEPT_SECONDS", "Backlog", "Chunk", "TrackClock"]
