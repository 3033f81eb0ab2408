"""What our feedback tells a publisher's congestion control: when each of its packets came (transport-wide, TWCC)."""

from __future__ import annotations

from services.media import rtcp

FEEDBACK_LIMIT = 200
"""Arrivals that one feedback packet reports."""
FEEDBACK_SECONDS = 0.1
FEEDBACK_SPAN = 500
"""Numbers from the first to the last that one feedback packet reports, so that it fits a datagram."""
MAX_JUMP = 2_000


class Arrivals:
    """Arrivals that are still to be told. `take` makes a feedback packet of them."""

    def __init__(self) -> None:
        self._waiting: dict[int, float] = {}
        self._highest = -1
        self._oldest = 0
        self._count = 0
        self._told_at = 0.0

    def note(self, number: int, now: float, media_ssrc: int) -> bytes | None:
        """Note a transport-wide sequence number (16 bits); returns a feedback packet when one is full."""
        if self._highest < 0:
            self._highest = number
        step = ((number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        unwrapped = self._highest + step
        self._highest = max(self._highest, unwrapped)
        if abs(step) > MAX_JUMP:
            self._waiting.clear()
        full = None
        if self._waiting and abs(unwrapped - self._oldest) > FEEDBACK_SPAN:
            full = self._take(media_ssrc)
        if not self._waiting:
            self._oldest = unwrapped
        self._waiting.setdefault(unwrapped, now)
        if len(self._waiting) >= FEEDBACK_LIMIT:
            full = self._take(media_ssrc)
        return full

    def due(self, now: float, media_ssrc: int) -> bytes | None:
        """Make a feedback packet if it is time for one."""
        if not self._waiting or now - self._told_at < FEEDBACK_SECONDS:
            return None
        self._told_at = now
        return self._take(media_ssrc)

    def _take(self, media_ssrc: int) -> bytes:
        arrivals, self._waiting = sorted(self._waiting.items()), {}
        packet = rtcp.transport_feedback(1, media_ssrc, self._count, arrivals)
        self._count += 1
        return packet


__all__ = ["FEEDBACK_SECONDS", "Arrivals"]
