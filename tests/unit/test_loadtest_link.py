"""A bad link: what it loses, and when what it carries arrives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.link import CLEAN, QUEUE_SECONDS, Conditions, Link


def arrivals(conditions: Conditions, times: list[float], size: int = 1_000) -> list[float | None]:
    link = Link(conditions, 1)
    return [link.send(size, now) for now in times]


def test_a_clean_link_changes_nothing() -> None:
    assert arrivals(CLEAN, [0.0, 1.0, 1.0]) == [0.0, 1.0, 1.0]


def test_a_delay_is_a_delay() -> None:
    assert arrivals(Conditions(delay_ms=100), [0.0, 1.0]) == [0.1, 1.1]


def test_it_loses_about_as_much_as_it_should_and_counts_it() -> None:
    link = Link(Conditions(loss=0.05), 1)
    came = [link.send(1_000, 0.0) is not None for _ in range(10_000)]
    assert came.count(False) == link.lost == pytest.approx(500, abs=100)
    assert link.carried == came.count(True)


def test_a_narrow_link_sends_one_packet_after_the_other_and_drops_what_its_queue_cannot_hold() -> (
    None
):
    narrow = Conditions(rate_bps=80_000)  # 1,000 bytes take 0.1 s
    came = arrivals(narrow, [0.0] * 10)
    assert came[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert came[3:] == [None] * 7
    assert max(each for each in came if each is not None) <= QUEUE_SECONDS + 0.1
    again = arrivals(narrow, [0.0] * 10 + [5.0])
    assert again[-1] == pytest.approx(5.1)


def test_the_slowest_link_still_carries_a_packet_at_a_time() -> None:
    assert arrivals(Conditions(rate_bps=1_000), [0.0]) == [8.0]


@settings(max_examples=100, database=None, deadline=None)
@given(
    st.lists(st.floats(0, 0.5), min_size=1, max_size=50),
    st.floats(0, 300),
    st.floats(0, 300),
)
def test_jitter_reorders_nothing_and_nothing_arrives_before_it_was_sent(
    gaps: list[float], delay: float, jitter: float
) -> None:
    link, now, before = Link(Conditions(delay_ms=delay, jitter_ms=jitter), 1), 0.0, 0.0
    for gap in gaps:
        now += gap
        arrival = link.send(1_000, now)
        assert arrival is not None
        assert arrival >= max(now, before)
        before = arrival


def test_what_gets_better_does_not_overtake_what_is_under_way() -> None:
    link = Link(Conditions(delay_ms=500), 1)
    assert link.send(1_000, 0.0) == 0.5
    link.change(CLEAN)
    assert link.send(1_000, 0.1) == 0.5
