"""How busy a media worker counts as: what makes it so, and how fast that shows."""

from __future__ import annotations

import pytest

from services.media.stress import LATE_SECONDS, NOVICE_SECONDS, Limits, Sample, Stress

LIMITS = Limits(packets=1_000, peers=100, rooms=10)
IDLE = Sample(elapsed=1.0, cpu=0.0, lateness=0.0, packets=0)


def after(*samples: Sample) -> Stress:
    stress = Stress(LIMITS, person_cost=0.01)
    for sample in samples:
        stress.measure(sample)
    return stress


@pytest.mark.parametrize(
    "busy",
    [
        Sample(elapsed=1.0, cpu=0.95, lateness=0.0, packets=0),
        Sample(elapsed=1.0, cpu=0.1, lateness=0.95 * LATE_SECONDS, packets=0),
        Sample(elapsed=1.0, cpu=0.1, lateness=0.0, packets=950),
    ],
    ids=["cpu", "late", "packets"],
)
def test_whatever_runs_short_first_is_what_counts(busy: Sample) -> None:
    assert after(busy).load == pytest.approx(0.95)


def test_it_rises_faster_than_it_falls_so_that_layers_do_not_come_and_go() -> None:
    stress = after(Sample(elapsed=0.5, cpu=0.5, lateness=0.0, packets=0))
    assert stress.load == pytest.approx(0.5)
    stress.measure(Sample(elapsed=0.5, cpu=0.0, lateness=0.0, packets=0))
    assert stress.load == pytest.approx(0.45)


def test_it_is_never_more_than_one() -> None:
    stress = after(Sample(elapsed=1.0, cpu=1.5, lateness=9.0, packets=99_999))
    assert stress.load == 1.0
    assert stress.placement(0.0, peers=1_000, rooms=1_000) == 1.0
    assert stress.admission(peers=1_000) == 1.0


def test_a_clock_that_stands_still_changes_nothing() -> None:
    stress = after(Sample(elapsed=0.0, cpu=1.0, lateness=1.0, packets=1))
    assert stress.load == 0.0


def test_who_has_just_come_counts_before_they_are_felt_and_less_and_less() -> None:
    stress = after(IDLE)
    for _ in range(20):
        stress.came(now=100.0)
    assert stress.placement(100.0, peers=0, rooms=0) == pytest.approx(0.2)
    assert stress.placement(100.0 + NOVICE_SECONDS / 2, peers=0, rooms=0) == pytest.approx(0.1)
    assert stress.placement(100.0 + NOVICE_SECONDS, peers=0, rooms=0) == 0.0
    assert stress.admission(peers=0) == 0.0, "a crowd that comes at once is let in"


def test_many_rooms_keep_new_rooms_away_but_not_people() -> None:
    stress = after(IDLE)
    assert stress.placement(0.0, peers=0, rooms=9) == pytest.approx(0.9)
    assert stress.admission(peers=0) == 0.0
    assert stress.admission(peers=90) == pytest.approx(0.9)
