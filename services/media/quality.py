"""How good a participant's connection is, in words that people understand. Pure.

It gets worse at once and better only after a while, so that nobody's bars flicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

BETTER_SECONDS = 5.0
CHECK_SECONDS = 12.0
"""Browsers check their path every 2.5 to 5 seconds (RFC 7675 §5.1); after so long without, nothing comes."""


class Quality(IntEnum):
    """From nothing to nothing noticed."""

    LOST = 0
    POOR = 1
    GOOD = 2
    EXCELLENT = 3


@dataclass(frozen=True, slots=True)
class Signs:
    """What is seen of a connection: losses 0 to 1, times in seconds; `starved`: pictures were stopped for it."""

    loss_up: float = 0.0
    loss_down: float = 0.0
    rtt_seconds: float = 0.0
    jitter_seconds: float = 0.0
    since_check_seconds: float = 0.0
    starved: bool = False


def judge(signs: Signs) -> Quality:
    """Say how good that is."""
    loss = max(signs.loss_up, signs.loss_down)
    if signs.since_check_seconds > CHECK_SECONDS:
        return Quality.LOST
    if loss > 0.10 or signs.rtt_seconds > 0.8 or signs.jitter_seconds > 0.15 or signs.starved:
        return Quality.POOR
    if loss > 0.02 or signs.rtt_seconds > 0.3 or signs.jitter_seconds > 0.05:
        return Quality.GOOD
    return Quality.EXCELLENT


class Verdict:
    """The quality that is told, over time."""

    def __init__(self) -> None:
        self.quality = Quality.EXCELLENT
        self._bad_at = 0.0

    def update(self, signs: Signs, now: float) -> bool:
        """Take what is seen now, once a second or so; returns whether the verdict has changed."""
        seen = judge(signs)
        before = self.quality
        if seen <= self.quality:
            self._bad_at = now
            self.quality = seen
        elif now - self._bad_at >= BETTER_SECONDS:
            self.quality = seen
            self._bad_at = now
        return self.quality is not before


__all__ = ["Quality", "Signs", "Verdict", "judge"]
