"""Who gets which picture when there is not enough for all."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from services.media.allocation import (
    KEEP_MARGIN,
    NONE,
    Choice,
    Wish,
    allocate,
    needed_bps,
    wanted_rank,
)

LAYERS = (Choice(0, 150_000), Choice(1, 500_000), Choice(2, 1_700_000))


def test_where_there_is_room_for_all_everyone_gets_their_largest() -> None:
    wishes = [Wish("a", LAYERS), Wish("b", LAYERS[:2]), Wish("c", ())]
    assert allocate(wishes, math.inf) == {"a": 2, "b": 1, "c": NONE}


def test_everyones_smallest_comes_before_anybodys_larger() -> None:
    wishes = [Wish("a", LAYERS, now=2), Wish("b", LAYERS, now=0)]
    assert allocate(wishes, 350_000) == {"a": 0, "b": 0}


def test_among_equals_the_higher_priority_is_served_first() -> None:
    faces = [Wish(f"face {n}", LAYERS[:1], now=0) for n in range(3)]
    screen = Wish("screen", (Choice(0, 400_000),), now=0, priority=200)
    assert allocate([*faces, screen], 550_000) == {
        "face 0": 0,
        "face 1": NONE,
        "face 2": NONE,
        "screen": 0,
    }


def test_without_room_nothing_comes() -> None:
    assert allocate([Wish("a", LAYERS, now=0)], 100_000) == {"a": NONE}


def test_nobody_goes_up_and_down_at_the_edge() -> None:
    assert allocate([Wish("a", LAYERS, now=1)], 500_000) == {"a": 1}
    assert allocate([Wish("a", LAYERS, now=0)], 500_000) == {"a": 0}
    assert allocate([Wish("a", LAYERS, now=0)], 600_000) == {"a": 1}


def test_a_picture_that_had_stopped_begins_where_it_just_fits() -> None:
    assert allocate([Wish("a", LAYERS, now=NONE)], 150_000) == {"a": 0}
    assert allocate([Wish("a", LAYERS, now=NONE)], 149_000) == {"a": NONE}
    assert allocate([Wish("a", LAYERS, now=NONE)], 510_000) == {"a": 0}


def test_among_equals_who_has_a_picture_keeps_it() -> None:
    wishes = [Wish("a", LAYERS), Wish("b", LAYERS, now=0)]
    assert allocate(wishes, 200_000) == {"a": NONE, "b": 0}
    assert allocate([Wish("a", LAYERS, priority=1), wishes[1]], 200_000) == {"a": 0, "b": NONE}


WISHES = st.lists(
    st.builds(
        Wish,
        st.uuids().map(str),
        st.integers(0, 3).map(lambda count: LAYERS[:count]),
        st.integers(NONE, 2),
        st.integers(0, 3),
    ),
    max_size=12,
    unique_by=lambda wish: wish.key,
)


@settings(max_examples=150, database=None, deadline=None)
@given(WISHES, st.floats(0, 2e7))
def test_no_more_is_given_than_there_is(wishes: list[Wish], budget: float) -> None:
    chosen = allocate(wishes, budget)
    taken = sum(LAYERS[chosen[wish.key]].bitrate_bps for wish in wishes if chosen[wish.key] >= 0)
    kept = sum(wish.choices[0].bitrate_bps for wish in wishes if wish.choices and wish.now == 0)
    assert taken <= budget + (1 - KEEP_MARGIN) * kept
    assert all(chosen[wish.key] in {NONE, *(c.rank for c in wish.choices)} for wish in wishes)
    if budget >= needed_bps(wishes):
        assert all(chosen[w.key] == w.choices[-1].rank for w in wishes if w.choices)


def test_the_smallest_picture_that_fills_a_tile_is_wanted() -> None:
    heights = {0: 180, 1: 360, 2: 720}
    assert [wanted_rank(heights, tile) for tile in (90, 225, 300, 450, 500, 2160, 0)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        2,
    ]
