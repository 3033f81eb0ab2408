"""How a publisher's source is received: loss and jitter as RFC 3550 §6.4.1 and appendix A count them."""

from __future__ import annotations

from services.media import rtcp
from services.media.stream import Stream


class Reception:
    """What receiver reports say of a stream. `fraction_lost` is that of the last report, 0 to 1."""

    def __init__(self, stream: Stream, clock_rate: int) -> None:
        self.fraction_lost = 0.0
        self._stream = stream
        self._clock_rate = clock_rate
        self._expected_before = 0
        self._received_before = 0
        self._sender_report: tuple[int, float] | None = None

    @property
    def jitter_seconds(self) -> float:
        """How much arrivals vary (RFC 3550 §6.4.1)."""
        return self._stream.jitter / self._clock_rate

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self._expected - self._stream.packets)

    @property
    def _expected(self) -> int:
        return self._stream.highest - self._stream.first + 1 if self._stream.packets else 0

    def reported(self, report: rtcp.SenderReport) -> None:
        """Remember the last sender report, for the round trip time."""
        self._sender_report = ((report.ntp >> 16) & 0xFFFFFFFF, self._stream.last_at)

    def block(self, ssrc: int, now: float) -> rtcp.Reception:
        """Make a report block of what came since the one before."""
        expected = self._expected - self._expected_before
        received = self._stream.packets - self._received_before
        self._expected_before, self._received_before = self._expected, self._stream.packets
        lost = max(0, expected - received)
        self.fraction_lost = lost / expected if expected > 0 else 0.0
        last, since = self._sender_report or (0, now)
        return rtcp.Reception(
            ssrc=ssrc,
            fraction_lost=min(255, 256 * lost // expected) if expected > 0 else 0,
            lost=self.lost,
            highest_sequence=(self._stream.highest - 0x10000) & 0xFFFFFFFF,
            jitter=int(self._stream.jitter),
            last_sender_report=last,
            delay_since=int((now - since) * 65_536) if last else 0,
        )


__all__ = ["Reception"]
