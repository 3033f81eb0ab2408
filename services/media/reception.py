"""How a publisher's source is received: loss and jitter as RFC 3550 §6.4.1 and appendix A count them."""

from __future__ import annotations

from services.media import rtcp


class Reception:
    """What is known of one source (SSRC). Sequence numbers are extended: they count on where 16 bits wrap.

    `fraction_lost` is that of the last report, 0 to 1.
    """

    def __init__(self, clock_rate: int) -> None:
        self.highest = -1
        self.fraction_lost = 0.0
        self._clock_rate = clock_rate
        self._first = 0
        self._received = 0
        self._jitter = 0.0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._sender_report: tuple[int, float] | None = None
        self._now = 0.0

    @property
    def jitter_seconds(self) -> float:
        """How much arrivals vary (RFC 3550 §6.4.1)."""
        return self._jitter / self._clock_rate

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self._expected - self._received)

    @property
    def _expected(self) -> int:
        return self.highest - self._first + 1 if self._received else 0

    def receive(self, sequence: int, timestamp: int, now: float) -> int:
        """Count a packet; returns its extended sequence number. `highest` may be that of a later one."""
        self._now = now
        self._received += 1
        if self._received == 1:
            # One turn ahead, so that a packet from before the first one is not negative.
            self._first = self.highest = sequence + 0x10000
            return self.highest
        step = ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000
        if step <= 0:
            return self.highest + step
        self.highest += step
        self._note_transit(now * self._clock_rate - timestamp)
        return self.highest

    def reported(self, report: rtcp.SenderReport) -> None:
        """Remember the last sender report, for the round trip time."""
        self._sender_report = ((report.ntp >> 16) & 0xFFFFFFFF, self._now)

    def block(self, ssrc: int, now: float) -> rtcp.Reception:
        """Make a report block of what came since the one before."""
        expected = self._expected - self._expected_before
        received = self._received - self._received_before
        self._expected_before, self._received_before = self._expected, self._received
        lost = max(0, expected - received)
        self.fraction_lost = lost / expected if expected > 0 else 0.0
        last, since = self._sender_report or (0, now)
        return rtcp.Reception(
            ssrc=ssrc,
            fraction_lost=min(255, 256 * lost // expected) if expected > 0 else 0,
            lost=self.lost,
            highest_sequence=(self.highest - 0x10000) & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_sender_report=last,
            delay_since=int((now - since) * 65_536) if last else 0,
        )

    def _note_transit(self, transit: float) -> None:
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock_rate:  # a wrapped timestamp is no jitter
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit


__all__ = ["Reception"]
