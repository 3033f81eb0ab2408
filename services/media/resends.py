"""How much a subscriber may have again. Pure.

What is lost on a way that is too narrow is asked for again at once, and lost again: without a bound of their own,
retransmissions keep a way full that has long been given less.
"""

from __future__ import annotations

START_BPS = 2_000_000
SHARE, CONGESTED_SHARE = 0.5, 0.1
"""Of what the way carries, for retransmissions."""
BURST_SECONDS = 0.05
LEAST_BURST = 6_000
"""Bytes that may go at once, so that a lost frame comes back whole on a slow way too."""


class Resends:
    """A token bucket; `bps` is what it is filled with."""

    def __init__(self, bps: float = SHARE * START_BPS) -> None:
        self.bps = bps
        self._left = float(LEAST_BURST)
        self._at = 0.0

    def carried(self, bps: float, *, is_congested: bool) -> None:
        """Learn what the way carries."""
        self.bps = (CONGESTED_SHARE if is_congested else SHARE) * bps

    def take(self, octets: int, now: float) -> bool:
        """Tell whether so many bytes may go, and count them."""
        most = max(LEAST_BURST, self.bps / 8 * BURST_SECONDS)
        self._left = min(most, self._left + self.bps / 8 * (now - self._at))
        self._at = now
        if self._left < octets:
            return False
        self._left -= octets
        return True


__all__ = ["Resends"]
