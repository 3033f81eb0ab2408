"""Whether a way's delay grows, by groups whose times are made up."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from services.media.delay import Trend

FRAME_MS = 33.3
FEEDBACK_GROUPS = 2


def feed(trend: Trend, delays: list[float], at_once: int = FEEDBACK_GROUPS) -> list[int]:
    """Give a trend one group a frame, each so many milliseconds on its way, some at once; returns its states."""
    groups = [
        (sent, sent, sent + delay, 1_000)
        for number, delay in enumerate(delays)
        for sent in [number * FRAME_MS]
    ]
    states = []
    for at in range(0, len(groups), at_once):
        trend.receive(groups[at : at + at_once])
        states.append(trend.state)
    return states


def slept(begin_ms: float, end_ms: float) -> Callable[[int], float]:
    """Tell what a reader that sleeps, from one time to another, adds to each group's delay of 40 ms."""

    def delay(number: int) -> float:
        arrived = number * FRAME_MS + 40
        return 40 + (end_ms - arrived if begin_ms <= arrived < end_ms else 0)

    return delay


def test_a_delay_that_stays_is_no_congestion() -> None:
    assert set(feed(Trend(), [40.0] * 100)) == {0}


def test_a_backlog_that_is_read_at_once_is_no_congestion() -> None:
    delay = slept(1_500, 1_700)
    assert set(feed(Trend(), [delay(number) for number in range(100)])) == {0}


def test_what_is_read_late_and_stays_late_is_congestion() -> None:
    assert 1 in feed(Trend(), [40.0] * 50 + [240.0] * 50)


def test_a_delay_that_grows_slowly_is_congestion() -> None:
    assert feed(Trend(), [40 + 0.03 * FRAME_MS * number for number in range(100)])[-1] == 1


def test_a_delay_that_shrinks_is_no_congestion() -> None:
    assert feed(Trend(), [400 - 0.05 * FRAME_MS * number for number in range(100)])[-1] == -1


def test_one_late_look_is_no_congestion() -> None:
    late = [100.0, 160.0, 220.0, 280.0]
    assert 1 not in feed(Trend(), [40.0] * 40 + late + [40.0] * 40, at_once=4)


def test_a_delay_that_stands_is_congestion_until_the_way_is_known_to_be_longer() -> None:
    states = feed(Trend(), [40.0] * 50 + [340.0] * 150)
    second = round(1000 / FRAME_MS / FEEDBACK_GROUPS)
    assert set(states[25 + second // 2 : 25 + second]) == {1}
    assert set(states[25 + 3 * second :]) == {0}


def test_a_delay_that_varies_is_seldom_taken_for_a_queue() -> None:
    chance, at, delays = random.Random(5), 0.0, []
    for number in range(3_000):
        at = max(at, number * FRAME_MS + chance.uniform(250, 350))  # what comes is in order
        delays.append(at - number * FRAME_MS)
    states = feed(Trend(), delays)
    assert states.count(1) < 0.015 * len(states)


@pytest.mark.parametrize("leap_ms", [10_000.0, -5_000.0])
def test_a_clock_that_leaps_is_no_congestion(leap_ms: float) -> None:
    delays = [40.0] * 50 + [40.0 + leap_ms] * 50
    assert set(feed(Trend(), delays)) == {0}


def test_what_was_congested_before_a_pause_is_not_after_it() -> None:
    trend = Trend()
    growing = [(n * FRAME_MS, n * FRAME_MS, n * FRAME_MS + 40 + 5.0 * n, 1_000) for n in range(60)]
    for at in range(0, len(growing), FEEDBACK_GROUPS):
        trend.receive(growing[at : at + FEEDBACK_GROUPS])
    assert trend.state == 1
    later = [(sent + 10_000, sent + 10_000, sent + 10_050, 1_000) for sent, *_ in growing[:5]]
    trend.receive(later)
    assert trend.state == 0
