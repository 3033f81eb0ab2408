"""Which datagrams one send may carry."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.media.outbox import MAX_SEGMENTS, runs


def sizes(*lengths: int) -> list[list[int]]:
    return [[len(each) for each in run] for run in runs([bytes(length) for length in lengths])]


def test_a_frame_leaves_in_one_send() -> None:
    assert sizes(1200, 1200, 1200, 300) == [[1200, 1200, 1200, 300]]


def test_a_longer_one_begins_anew() -> None:
    assert sizes(300, 1200, 1200) == [[300], [1200, 1200]]


def test_only_the_last_may_be_shorter() -> None:
    assert sizes(1200, 300, 300, 1200) == [[1200, 300], [300], [1200]]


@settings(max_examples=100, database=None, deadline=None)
@given(st.lists(st.integers(12, 16), min_size=1, max_size=200))
def test_every_datagram_goes_once_in_order_in_lawful_runs(lengths: list[int]) -> None:
    datagrams = [bytes([i % 256]) * length for i, length in enumerate(lengths)]
    cut = [list(run) for run in runs(datagrams)]
    assert [each for run in cut for each in run] == datagrams
    for run in cut:
        assert 1 <= len(run) <= MAX_SEGMENTS
        assert {len(each) for each in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])
