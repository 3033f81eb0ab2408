"""A bad link, sans I/O: which packet is lost, and when each of the others arrives.

What `tc netem` does, for kernels that lack it, and the same every time: a link is made with its own dice. Unlike
netem's, its jitter never reorders: packets queue behind one another, as on the links that people have.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

QUEUE_SECONDS = 0.25
"""What a link of limited rate holds back before it drops, as home routers do."""
PACKET_BYTES = 1_500
"""A queue holds one packet at least, however slow its link."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How bad a link is, one way. `loss` is 0 to 1; the delay varies evenly by `jitter_ms` to either side; 0: any rate."""

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_bps: float = 0.0


CLEAN = Conditions()


class Link:
    """One direction of a link. `now` is any clock in seconds that does not go back."""

    def __init__(self, conditions: Conditions, seed: int) -> None:
        self.lost = 0
        self.dropped = 0
        self.carried = 0
        self._conditions = conditions
        self._dice = random.Random(seed)  # noqa: S311 - a fair die, not a secret
        self._sent_until = 0.0
        self._last_arrival = 0.0

    def change(self, conditions: Conditions) -> None:
        """Be better or worse from now on; what is under way still arrives as it would have."""
        self._conditions = conditions

    def send(self, size: int, now: float) -> float | None:
        """Take a packet of `size` bytes; returns when it arrives, None when it is lost or the queue is full."""
        conditions = self._conditions
        if self._dice.random() < conditions.loss:
            self.lost += 1
            return None
        leaves = now
        if conditions.rate_bps:
            begins = max(now, self._sent_until)
            room = max(QUEUE_SECONDS, 8 * PACKET_BYTES / conditions.rate_bps)
            if begins - now > room:
                self.dropped += 1
                return None
            leaves = self._sent_until = begins + 8 * size / conditions.rate_bps
        jitter = self._dice.uniform(-conditions.jitter_ms, conditions.jitter_ms)
        arrival = leaves + max(0.0, conditions.delay_ms + jitter) / 1000
        self._last_arrival = max(arrival, self._last_arrival)
        self.carried += 1
        return self._last_arrival


__all__ = ["CLEAN", "Conditions", "Link"]
