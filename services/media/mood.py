"""What the faces show of those who have agreed, on average, here and elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FRESH_SECONDS = 15.0
"""How long a face counts that is not seen again."""
LEAST_PEOPLE = 3
"""Of fewer nothing is told: one could tell who it is."""


class Totals(NamedTuple):
    """Scores by expression, added up over so many people."""

    scores: Mapping[str, float]
    people: int


class Mood:
    """A room's."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, Mapping[str, float]]] = {}
        self._elsewhere: dict[str, tuple[float, Totals]] = {}

    def note(self, participant: str, scores: Mapping[str, float], now: float) -> None:
        """Somebody's face shows this."""
        self._seen[participant] = now, scores

    def forget(self, participant: str) -> None:
        """Somebody is gone, or has not agreed any more."""
        self._seen.pop(participant, None)

    def clear(self) -> None:
        """Forget everybody here."""
        self._seen.clear()

    def note_elsewhere(self, node: str, totals: Totals, now: float) -> None:
        """The faces at another worker show this."""
        self._elsewhere[node] = now, totals

    def here(self, now: float) -> Totals:
        """Add up what is seen here."""
        self._seen = {who: it for who, it in self._seen.items() if now - it[0] < FRESH_SECONDS}
        return _added([Totals(scores, 1) for _, scores in self._seen.values()])

    def shares(self, now: float) -> Totals | None:
        """Average what is seen everywhere: shares that together are 1; None when it is of too few people."""
        fresh = [totals for at, totals in self._elsewhere.values() if now - at < FRESH_SECONDS]
        together = _added([self.here(now), *fresh])
        whole = sum(together.scores.values())
        if together.people < LEAST_PEOPLE or whole <= 0:
            return None
        return Totals({name: it / whole for name, it in together.scores.items()}, together.people)


def _added(each: list[Totals]) -> Totals:
    scores: dict[str, float] = {}
    for totals in each:
        for name, score in totals.scores.items():
            scores[name] = scores.get(name, 0.0) + score
    return Totals(scores, sum(totals.people for totals in each))


__all__ = ["LEAST_PEOPLE", "Mood", "Totals"]
