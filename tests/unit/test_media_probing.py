"""Probes: how they are planned, when they are due, and what they show."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.media.outlet import WIRE_BYTES
from services.media.probing import (
    AFTER_CUT_SECONDS,
    HEAD_BYTES,
    LOST_SECONDS,
    STEPS,
    WAIT_SECONDS,
    Probe,
    Prober,
    plan,
)

FIRST = 1_000
NEVER_CUT = -100.0


def packets(probe: Probe) -> tuple[list[float], list[int]]:
    """Tell when each packet of a probe is sent, and its bytes on the wire."""
    count = STEPS * probe.packets
    return [number // probe.packets * probe.seconds for number in range(count)], [
        probe.size + HEAD_BYTES + WIRE_BYTES
    ] * count


def arrivals(sent_at: list[float], sizes: list[int], capacity_bps: float) -> list[int | None]:
    """Carry packets over a way; returns when each comes, in microseconds."""
    found: list[int | None] = []
    free_at = 0.0
    for sent, size in zip(sent_at, sizes, strict=True):
        free_at = max(free_at, sent) + 8 * size / capacity_bps
        found.append(int(1e6 * (free_at + 0.04)))
    return found


def told(
    arrivals: Sequence[int | None], sent_at: list[float], sizes: list[int]
) -> list[tuple[int | None, float, int]]:
    return list(zip(arrivals, sent_at, sizes, strict=True))


@pytest.mark.parametrize("rate_bps", [200_000, 1_000_000, 10_000_000])
def test_a_probe_is_of_the_rate_that_it_is_planned_for(rate_bps: int) -> None:
    probe = plan(rate_bps)
    planned = 8 * probe.packets * (probe.size + HEAD_BYTES + WIRE_BYTES) / probe.seconds
    assert planned == pytest.approx(rate_bps, rel=0.1)


def test_a_slow_probe_has_packets_enough_to_tell() -> None:
    assert plan(60_000).packets * STEPS >= 2 * STEPS
    assert plan(60_000).size < plan(2_000_000).size


@pytest.mark.parametrize("capacity_bps", [300_000, 1_000_000])
def test_a_narrow_way_shows_its_capacity(capacity_bps: int) -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(2 * capacity_bps, FIRST, 0.0))
    prober.end(FIRST + len(sizes))
    shown = prober.receive(FIRST, told(arrivals(sent_at, sizes, capacity_bps), sent_at, sizes))
    assert shown == pytest.approx(capacity_bps, rel=0.1)
    assert not prober.is_out


def test_a_wide_way_shows_what_was_sent_and_no_more() -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(2_000_000, FIRST, 0.0))
    prober.end(FIRST + len(sizes))
    shown = prober.receive(FIRST, told(arrivals(sent_at, sizes, 1e9), sent_at, sizes))
    assert shown == pytest.approx(2_000_000, rel=0.1)


def test_a_probe_that_is_reported_in_two_parts_counts_whole() -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(2_000_000, FIRST, 0.0))
    came = told(arrivals(sent_at, sizes, 1e9), sent_at, sizes)
    prober.end(FIRST + len(sizes))
    part = len(sizes) * 2 // 3
    assert prober.receive(FIRST, came[:part]) is None
    shown = prober.receive(FIRST + part, came[part:])
    assert shown == pytest.approx(2_000_000, rel=0.1)


def test_a_probe_that_was_read_late_and_at_once_shows_nothing() -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(2_000_000, FIRST, 0.0))
    prober.end(FIRST + len(sizes))
    at_once: list[int | None] = [200_000 + 20 * number for number in range(len(sizes))]
    assert prober.receive(FIRST, told(at_once, sent_at, sizes)) == 0


def test_a_probe_most_of_which_is_lost_shows_nothing() -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(2_000_000, FIRST, 0.0))
    prober.end(FIRST + len(sizes))
    came = arrivals(sent_at, sizes, 1e9)
    lost = [arrival if number % 3 == 0 else None for number, arrival in enumerate(came)]
    assert prober.receive(FIRST, told(lost, sent_at, sizes)) == 0


def test_probes_that_find_nothing_come_seldom_and_soon_again_when_there_is_hope() -> None:
    prober = Prober()
    cut_at = now = 100.0
    assert not prober.is_due(cut_at, now + AFTER_CUT_SECONDS[1] - 0.1)
    assert prober.is_due(cut_at, now + AFTER_CUT_SECONDS[1])
    for _ in range(6):
        prober.begin(1_000_000, FIRST, now)
        prober.end(FIRST)
        prober.found_nothing()
        now += WAIT_SECONDS[2]
    prober.begin(1_000_000, FIRST, now)
    prober.end(FIRST)
    assert not prober.is_due(NEVER_CUT, now + WAIT_SECONDS[2] - 0.1)
    assert prober.is_due(NEVER_CUT, now + WAIT_SECONDS[2])
    prober.hurry()
    assert prober.is_due(now, now + AFTER_CUT_SECONDS[0])


def test_one_probe_is_out_at_a_time() -> None:
    prober = Prober()
    prober.begin(1_000_000, FIRST, 0.0)
    assert prober.is_out
    assert not prober.is_due(NEVER_CUT, 60.0)


def test_a_probe_that_was_sent_too_slowly_is_not_held_against_the_way() -> None:
    waits = {}
    for name, capacity_bps in (("wide", 1e9), ("narrow", 300_000.0)):
        prober, now = Prober(), 100.0
        for _ in range(6):
            sent_at, sizes = packets(prober.begin(2_000_000, FIRST, now))
            prober.end(FIRST + len(sizes))
            slowly = [2 * at for at in sent_at]
            prober.receive(FIRST, told(arrivals(slowly, sizes, capacity_bps), slowly, sizes))
            prober.found_nothing()
        waits[name] = [prober.is_due(NEVER_CUT, now + wait) for wait in WAIT_SECONDS]
    assert waits == {"wide": [False, True, True], "narrow": [False, False, True]}


def test_a_probe_that_nobody_tells_of_is_given_up() -> None:
    prober = Prober()
    prober.begin(1_000_000, FIRST, 10.0)
    prober.end(FIRST + 10)
    prober.give_up(10.0 + LOST_SECONDS)
    assert prober.is_out
    prober.give_up(10.1 + LOST_SECONDS)
    assert not prober.is_out


def test_what_is_told_again_and_again_counts_once() -> None:
    prober = Prober()
    sent_at, sizes = packets(prober.begin(1_000_000, FIRST, 0.0))
    came = told(arrivals(sent_at, sizes, 500_000), sent_at, sizes)
    prober.end(FIRST + len(sizes))
    for _ in range(5):
        assert prober.receive(FIRST, came[:-1]) is None
    shown = prober.receive(FIRST, came)
    assert shown == pytest.approx(500_000, rel=0.1)
