"""Which encoding of which track a subscriber gets, for what its way can carry. Pure.

Everyone's smallest picture comes before anybody's larger one; among those, higher priority first. What there is no
room for stops; sound is not in question here: it is paid for before (`budget_bps` is what remains for pictures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UP_MARGIN = 1.15
"""A larger encoding than now must fit this well, so that nobody goes up and down by the second.

A picture that had stopped need only fit: to have none is worse than to lose it again, and no probe shows all that a way carries.
"""
NEEDED_MARGIN = 1.2
KEEP_MARGIN = 0.85
"""The smallest one that is there is kept where it does not quite fit: what is measured of it varies."""
NONE = -1


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoding that may be chosen: its rank and what it takes."""

    rank: int
    bitrate_bps: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A track that a subscriber wants: by preference order its `choices`, the smallest first; what it has `now` (rank).

    Of two wishes the one with the higher `priority` is served first; among equals who has a picture: another's would begin
    with a keyframe.
    """

    key: str
    choices: Sequence[Choice]
    now: int = NONE
    priority: int = 0


def allocate(wishes: Sequence[Wish], budget_bps: float) -> dict[str, int]:
    """Choose a rank for each wish, NONE where there is no room."""
    ordered = sorted(wishes, key=lambda each: (-each.priority, each.now == NONE))
    chosen = {each.key: NONE for each in wishes}
    left = budget_bps
    for level in range(max((len(each.choices) for each in wishes), default=0)):
        for wish in ordered:
            if level < len(wish.choices) and (
                level == 0 or chosen[wish.key] == wish.choices[level - 1].rank
            ):
                left -= _raise(wish, level, left, chosen)
    return chosen


def _raise(wish: Wish, level: int, left: float, chosen: dict[str, int]) -> float:
    """Give a wish its next larger choice if it fits; returns what that takes beyond what it had."""
    choice = wish.choices[level]
    before = wish.choices[level - 1].bitrate_bps if level else 0
    more = choice.bitrate_bps - before
    margin = 1.0
    if choice.rank == wish.now and not level:
        margin = KEEP_MARGIN
    if choice.rank > wish.now and (level or wish.now != NONE):
        margin = UP_MARGIN
    if more * margin > left:
        return 0
    chosen[wish.key] = choice.rank
    return more


def needed_bps(wishes: Sequence[Wish]) -> float:
    """Tell what it would take to give everyone their largest, with more than the margins that going up needs."""
    return sum(each.choices[-1].bitrate_bps for each in wishes if each.choices) * NEEDED_MARGIN


def wanted_rank(heights: Mapping[int, int], height: int) -> int:
    """Choose the smallest encoding that fills a tile: `heights` of the encodings in pixels by rank, `height` the tile's.

    A picture may be up to a fifth smaller than its tile before the next larger one is taken. 0: as large as can be had.
    """
    ranks = sorted(heights)
    if not height:
        return ranks[-1]
    return next((rank for rank in ranks if 1.25 * heights[rank] >= height), ranks[-1])


__all__ = ["NONE", "Choice", "Wish", "allocate", "needed_bps", "wanted_rank"]
