"""The unbroken line of sequence numbers and timestamps that a track's subscribers see.

A publisher's numbers are kept but for an offset, which changes after packets were withheld (mute) and when another
source takes over. Without it a track that was muted for a while would come back with numbers that SRTP takes for old
ones (RFC 3711 §3.3.1), and be silent until they have caught up.
"""

from __future__ import annotations

from services.media import rtp


class Numbering:
    """One track's line. Of each stretch between two breaks, what comes late from before its beginning is dropped."""

    def __init__(self, clock_rate: int) -> None:
        self.timestamp_offset = 0
        self._clock_rate = clock_rate
        self._offset = 0
        self._highest = -1
        self._stretch_began = 0
        self._is_broken = True
        self._is_new_source = False
        self._timestamp = 0
        self._at = 0.0

    def interrupt(self, *, new_source: bool = False) -> None:
        """Packets are withheld, or another source follows: the next packet continues the line."""
        self._is_broken = True
        self._is_new_source |= new_source

    def renumber(self, packet: bytearray, extended: int, now: float) -> int | None:
        """Write a packet's place on the line into it, and return its sequence number there; None: too late.

        `extended` is the publisher's extended sequence number.
        """
        timestamp = rtp.timestamp(packet)
        if self._is_broken:
            self._continue(extended, timestamp, now)
        if extended < self._stretch_began:
            return None
        line = extended + self._offset
        sequence, timestamp = line & 0xFFFF, (timestamp + self.timestamp_offset) & 0xFFFFFFFF
        rtp.set_numbers(packet, sequence, timestamp)
        if line > self._highest:
            self._highest, self._timestamp, self._at = line, timestamp, now
        return sequence

    def _continue(self, extended: int, timestamp: int, now: float) -> None:
        if self._highest >= 0:
            self._offset = self._highest + 1 - extended
            self._stretch_began = extended
            if self._is_new_source:
                elapsed = int((now - self._at) * self._clock_rate)
                self.timestamp_offset = (self._timestamp + elapsed - timestamp) & 0xFFFFFFFF
        self._is_broken = self._is_new_source = False


__all__ = ["Numbering"]
