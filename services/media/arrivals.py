"""What our feedback tells a publisher's congestion control: when each of its packets came (transport-wide, TWCC).

In pure Python; `native/arrivals.c` does the same, compiled, and one contract suite runs both.
"""

from __future__ import annotations

from services.media import rtcp

MAX_ARRIVALS = 1024
"""Arrivals that are kept until they are told; of what comes beyond nothing is told."""
FEEDBACK_LIMIT = 200
"""Arrivals that one feedback packet reports."""
FEEDBACK_SPAN = 500
"""Numbers from the first to the last that one feedback packet reports, so that it fits a datagram."""
MAX_JUMP = 2_000


class Arrivals:
    """Arrivals that are still to be told."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, float]] = []
        self._highest = -1
        self._count = 0

    def note(self, number: int, now: float) -> None:
        """Note a transport-wide sequence number (16 bits), and when it came."""
        if self._highest < 0:
            self._highest = number + 0x10000
        step = ((number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if abs(step) > MAX_JUMP:
            self._waiting.clear()
        if len(self._waiting) < MAX_ARRIVALS:
            self._waiting.append((self._highest + step, now))
        self._highest += max(0, step)

    def take(self, media_ssrc: int) -> list[bytes]:
        """Make feedback packets of what was noted since the last time; of a number that came twice, its first time."""
        waiting, self._waiting = sorted(self._waiting, key=lambda each: each[0]), []
        packets: list[bytes] = []
        part: list[tuple[int, float]] = []
        for number, at in waiting:
            if part and number == part[-1][0]:
                continue
            if part and (len(part) == FEEDBACK_LIMIT or number - part[0][0] >= FEEDBACK_SPAN):
                packets.append(self._write(part, media_ssrc))
                part = []
            part.append((number, at))
        if part:
            packets.append(self._write(part, media_ssrc))
        return packets

    def _write(self, part: list[tuple[int, float]], media_ssrc: int) -> bytes:
        self._count += 1
        return rtcp.transport_feedback(1, media_ssrc, self._count - 1, part)


__all__ = ["MAX_ARRIVALS", "Arrivals"]
