"""How busy a worker is, 0 to 1, by the scarcest of what it lives on. Pure: it is told what was measured.

`load` is what is felt: the loop thread's CPU, how late the loop comes round, packets against a ceiling. It rises faster
than it falls, so that what is taken away for it does not come and go. For admission the worker's fullness counts as
well, and for placement those who have just come and are not felt yet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

RISE_SECONDS = 1.0
FALL_SECONDS = 5.0
"""In which a change comes through to 63 %."""
LATE_SECONDS = 0.1
"""How late the event loop comes round, on average, when it is overwhelmed."""
NOVICE_SECONDS = 10.0
"""After which somebody who came shows in what is measured; until then they count for less and less."""
MAX_NOVICES = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker takes: `packets` a second (in and out), people, rooms."""

    packets: int
    peers: int
    rooms: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used since the last: seconds gone by, seconds of CPU, mean lateness in seconds, packets in and out."""

    elapsed: float
    cpu: float
    lateness: float
    packets: int


class Stress:
    """One worker's."""

    def __init__(self, limits: Limits, person_cost: float) -> None:
        self.load = 0.0
        self._limits = limits
        self._person_cost = person_cost
        self._novices: deque[float] = deque(maxlen=MAX_NOVICES)

    def measure(self, sample: Sample) -> None:
        """Take what was measured."""
        if sample.elapsed <= 0:
            return
        felt = max(
            sample.cpu / sample.elapsed,
            sample.lateness / LATE_SECONDS,
            sample.packets / sample.elapsed / self._limits.packets,
        )
        seconds = RISE_SECONDS if felt > self.load else FALL_SECONDS
        self.load += (min(felt, 1.0) - self.load) * min(1.0, sample.elapsed / seconds)

    def came(self, now: float) -> None:
        """Count somebody in who has just come."""
        self._novices.append(now)

    def admission(self, peers: int) -> float:
        """Tell how close the worker is to taking nobody more, 0 to 1."""
        return min(1.0, max(self.load, peers / self._limits.peers))

    def placement(self, now: float, peers: int, rooms: int) -> float:
        """Tell how unwelcome new rooms are, 0 to 1: as `admission`, and who has just come counts as well."""
        while self._novices and now - self._novices[0] >= NOVICE_SECONDS:
            self._novices.popleft()
        expected = sum(1 - (now - came) / NOVICE_SECONDS for came in self._novices)
        felt = self.load + self._person_cost * expected
        return min(1.0, max(felt, self.admission(peers), rooms / self._limits.rooms))


__all__ = ["Limits", "Sample", "Stress"]
