"""A track's clock, and the sound that waits or may have to be sent again."""

from __future__ import annotations

import pytest

from services.media.sound import KEPT_SECONDS, Backlog, Chunk, TrackClock

SECOND = 48_000


def chunk(offset: float, seconds: float = 0.5) -> Chunk:
    return Chunk(offset, bytes(int(seconds * 32_000)))


def waiting(backlog: Backlog) -> list[float]:
    """Send all that waits; tell where each piece begins."""
    found = []
    while (each := backlog.next()) is not None:
        found.append(each.offset)
        backlog.sent()
    return found


@pytest.mark.parametrize(
    ("timestamps", "offsets"),
    [
        ((5, 5 + SECOND, 5 + 3 * SECOND), (0, 1, 3)),
        ((0xFFFFFFFF, SECOND - 1, 2 * SECOND - 1), (0, 1, 2)),
        ((100 * SECOND, 3, 3 + SECOND), (0, 1, 2)),
        ((0, 9_000 * SECOND, 9_001 * SECOND), (0, 1, 2)),
        ((SECOND, SECOND // 2, 2 * SECOND), (0, 0, 1.5)),
    ],
    ids=["steps", "a wrap", "another source", "a leap", "out of order"],
)
def test_a_tracks_clock_goes_on(timestamps: tuple[int, ...], offsets: tuple[float, ...]) -> None:
    clock = TrackClock()
    assert tuple(clock.read(each, 1_000.0 + at) for at, each in enumerate(timestamps)) == offsets


def test_the_clock_tells_when_what_it_reads_came_and_what_comes_next_will_be() -> None:
    clock = TrackClock()
    assert clock.edge(99.0) == 0.0
    clock.read(0, 100.0)
    clock.read(2 * SECOND, 102.5)
    assert clock.came(1.5) == 102.0
    assert clock.edge(103.0) == 2.5


def test_what_was_sent_is_gone_and_what_waits_too_long_is_dropped() -> None:
    backlog = Backlog()
    assert sum(backlog.put(chunk(at / 2)) for at in range(8)) == 4
    assert waiting(backlog) == [2.0, 2.5, 3.0, 3.5]
    backlog.rewind()
    assert waiting(backlog) == []


def test_where_speech_is_recognised_what_was_sent_since_the_last_final_is_sent_again() -> None:
    backlog = Backlog()
    backlog.keeps, backlog.is_quiet = True, False
    for at in range(4):
        backlog.put(chunk(at / 2))
    assert waiting(backlog) == [0.0, 0.5, 1.0, 1.5]
    backlog.settle(0.75)
    backlog.rewind()
    first = backlog.next()
    assert first is not None
    assert (first.offset, first.end) == (0.75, 1.0)
    assert waiting(backlog) == [0.75, 1.0, 1.5]
    backlog.forget()
    backlog.rewind()
    assert waiting(backlog) == []


def test_what_was_not_sent_is_not_settled() -> None:
    backlog = Backlog()
    backlog.keeps, backlog.is_quiet = True, False
    backlog.put(chunk(0.0))
    backlog.settle(10.0)
    assert waiting(backlog) == [0.0]


@pytest.mark.parametrize(("is_quiet", "most"), [(False, KEPT_SECONDS), (True, 4.0)])
def test_what_is_kept_has_a_bound_and_little_is_while_nobody_speaks(
    is_quiet: bool, most: float
) -> None:
    backlog = Backlog()
    backlog.keeps, backlog.is_quiet = True, is_quiet
    for at in range(200):
        assert backlog.put(chunk(at / 2)) == 0
        waiting(backlog)
    backlog.rewind()
    kept = waiting(backlog)
    assert most - 1 <= 100 - kept[0] <= most
