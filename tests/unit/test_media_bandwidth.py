"""What a way is estimated to carry, on ways that are simulated: narrow, lossy, jittery, long, and read by sleepers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from services.media.acknowledged import Acknowledged
from services.media.bandwidth import BURST_SECONDS, MIN_BPS, Estimator, Losses
from services.media.outlet import Outlet
from tests.simulated_way import (
    TICK_SECONDS,
    Naps,
    Reader,
    Sender,
    Way,
    no_naps,
    random_naps,
    regular_naps,
)

WANTED_BPS = 3_000_000
LAYERS = (150_000, 500_000, 1_700_000)
SOUND_BPS = 32_000
WIDE_BPS = 20_000_000
SECONDS = 40.0
LAST_SECONDS = 10.0

NAPS: dict[str, Callable[[], Naps]] = {
    "awake": no_naps,
    "50 ms in 400": lambda: regular_naps(0.4, 0.05),
    "200 ms in 2 s": lambda: regular_naps(2.0, 0.2),
    "20 ms in 40": lambda: regular_naps(0.04, 0.02),
    "now and then": lambda: random_naps(1.0, 0.2),
    "half of the time": lambda: random_naps(0.3, 0.2),
}


@dataclass(frozen=True)
class Last:
    """The last LAST_SECONDS of a run: estimates, how long packets queued, the shares that were used and lost."""

    estimates: Sequence[float]
    waited_p95: float
    used: float
    lost: float


def run(sender: Sender, seconds: float = SECONDS) -> Last:
    """Run a simulation; returns its last seconds."""
    sender.run(seconds - LAST_SECONDS)
    sent, lost, waits = len(sender.packets), sender.lost, len(sender.way.waits)
    sender.run(LAST_SECONDS)
    octets = sum(size for _, size in sender.packets[sent:])
    share = (sender.lost - lost) / (len(sender.packets) - sent)
    return Last(
        sender.estimates[-round(LAST_SECONDS / TICK_SECONDS) :],
        quantile(sender.way.waits[waits:], 0.95),
        8 * octets * (1 - share) / LAST_SECONDS / sender.way.capacity_bps,
        share,
    )


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


def seconds_until(estimates: Sequence[float], reached: Callable[[float], bool]) -> float:
    """Tell how long it took, of estimates a tick apart, until one was as it should be."""
    ticks = next((n for n, estimate in enumerate(estimates) if reached(estimate)), None)
    assert ticks is not None, "never"
    return ticks * TICK_SECONDS


def test_without_feedback_nothing_is_known() -> None:
    assert Estimator(Acknowledged(Outlet())).estimate_bps is None


@pytest.mark.parametrize("capacity_bps", [300_000, 1_000_000])
@pytest.mark.parametrize(
    ("queue_ms", "delay_ms", "naps", "waited_ms", "lost"),
    [
        (20, 40, "awake", 20, 0.10),
        (50, 40, "awake", 50, 0.07),
        (100, 40, "awake", 100, 0.01),
        (300, 40, "awake", 120, 0.01),
        (300, 10, "awake", 120, 0.01),
        (300, 50, "awake", 120, 0.01),
        (300, 150, "awake", 150, 0.01),
        (300, 300, "awake", 180, 0.01),
        (300, 40, "50 ms in 400", 150, 0.02),
        (300, 40, "200 ms in 2 s", 150, 0.02),
        (300, 40, "now and then", 280, 0.02),
        (300, 40, "20 ms in 40", 150, 0.02),
    ],
)
def test_a_narrow_way_is_filled_and_not_overrun(
    capacity_bps: int, queue_ms: int, delay_ms: int, naps: str, waited_ms: int, lost: float
) -> None:
    way = Way(capacity_bps, queue_ms / 1000, delay_ms / 1000, reader=Reader(NAPS[naps]()))
    last = run(Sender(way, WANTED_BPS))
    assert 0.8 * capacity_bps < statistics.median(last.estimates) < 1.1 * capacity_bps
    assert quantile(last.estimates, 0.05) > 0.6 * capacity_bps
    assert quantile(last.estimates, 0.95) < 1.2 * capacity_bps
    assert last.used > 0.8
    assert last.waited_p95 < waited_ms / 1000
    assert last.lost < lost


@pytest.mark.parametrize("naps", NAPS)
def test_a_reader_that_sleeps_is_no_narrow_way(naps: str) -> None:
    sender = Sender(Way(WIDE_BPS, reader=Reader(NAPS[naps]())), WANTED_BPS)
    sender.run(SECONDS)
    assert seconds_until(sender.estimates, lambda bps: bps > WANTED_BPS) < 6.0
    assert min(sender.estimates[round(10 / TICK_SECONDS) :]) > WANTED_BPS
    assert sender.lost == 0


@pytest.mark.parametrize("naps", NAPS)
def test_a_reader_that_sleeps_keeps_its_layer(naps: str) -> None:
    way = Way(WIDE_BPS, reader=Reader(NAPS[naps]()))
    sender = Sender(way, LAYERS[-1], layers=LAYERS, sound_bps=SOUND_BPS)
    sender.run(SECONDS)
    assert set(sender.pictures[round(3 / TICK_SECONDS) :]) == {LAYERS[-1]}


def test_what_arrives_from_the_beginning_is_not_stopped() -> None:
    sender = Sender(Way(WIDE_BPS), 8_000_000, layers=(8_000_000,))
    sender.run(5.0)
    assert set(sender.pictures) == {8_000_000}


@pytest.mark.parametrize(("capacity_bps", "fitting"), [(300_000, 150_000), (1_000_000, 500_000)])
@pytest.mark.parametrize("naps", ["awake", "now and then"])
def test_the_layer_that_fits_stays(capacity_bps: int, fitting: int, naps: str) -> None:
    way = Way(capacity_bps, reader=Reader(NAPS[naps]()))
    sender = Sender(way, LAYERS[-1], layers=LAYERS, sound_bps=SOUND_BPS)
    sender.run(SECONDS)
    late = sender.pictures[round(10 / TICK_SECONDS) :]
    assert late.count(fitting) > 0.95 * len(late)
    assert sum(a != b for a, b in itertools.pairwise(late)) <= 2


@pytest.mark.parametrize("naps", ["awake", "50 ms in 400"])
@pytest.mark.parametrize("sound_bps", [95_000, 105_000, 115_000])
def test_the_smallest_picture_comes_back_where_it_fits_beside_sound(
    sound_bps: int, naps: str
) -> None:
    way = Way(5_000_000, 0.25, 0.005, reader=Reader(NAPS[naps]()))
    layers = (160_000, 500_000)
    sender = Sender(way, layers[-1], layers=layers, sound_bps=sound_bps, keyframe=16)
    sender.run(10.0)
    way.capacity_bps = 300_000
    sender.run(30.0)
    late = sender.pictures[round(15 / TICK_SECONDS) :]
    assert late.count(layers[0]) > 0.95 * len(late)


@pytest.mark.parametrize("phase", range(4))
def test_what_was_lost_before_a_cut_is_no_reason_for_another(phase: int) -> None:
    way = Way(5_000_000, 0.25, 0.005)
    sender = Sender(way, 1_000_000, layers=(150_000, 1_000_000), sound_bps=100_000)
    sender.run(10.0 + phase / 4)
    way.capacity_bps = 300_000
    narrowed = len(sender.estimates)
    sender.run(10.0)
    assert min(sender.estimates[narrowed:]) > 0.73 * way.capacity_bps


def test_on_a_narrow_way_nothing_is_probed_while_a_keyframe_passes() -> None:
    sender = Sender(Way(300_000), WANTED_BPS)
    sender.run(10.0)
    sender.wanted_bps = 100_000
    sender.run(10.0)
    estimator, now = sender.estimator, sender.now
    estimator.expect_burst(now)
    assert estimator.probe(WANTED_BPS, sender.number, now + BURST_SECONDS - 0.1) is None
    assert estimator.probe(WANTED_BPS, sender.number, now + BURST_SECONDS)


@pytest.mark.parametrize("jitter_ms", [20, 50])
@pytest.mark.parametrize(("capacity_bps", "least"), [(WIDE_BPS, 0.12), (1_000_000, 0.7)])
def test_jitter_alone_is_no_congestion(jitter_ms: int, capacity_bps: int, least: float) -> None:
    last = run(Sender(Way(capacity_bps, jitter_seconds=jitter_ms / 1000), WANTED_BPS))
    assert quantile(last.estimates, 0.05) > least * capacity_bps
    assert last.waited_p95 < 0.15


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("wanted_bps", [1_500_000, WANTED_BPS])
def test_loss_that_is_the_networks_own_does_not_bring_the_picture_down(
    loss: float, wanted_bps: int
) -> None:
    last = run(Sender(Way(WIDE_BPS, loss=loss), wanted_bps))
    assert min(last.estimates) > wanted_bps


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("capacity_bps", [300_000, 1_000_000])
def test_a_way_that_is_narrow_and_lossy_is_not_overrun(loss: float, capacity_bps: int) -> None:
    last = run(Sender(Way(capacity_bps, loss=loss), WANTED_BPS))
    assert 0.7 * capacity_bps < statistics.median(last.estimates) < 1.15 * capacity_bps
    assert last.waited_p95 < 0.12
    assert last.lost < loss + 0.03


def test_own_loss_is_known_before_the_picture_has_to_stop() -> None:
    sender = Sender(Way(WIDE_BPS), 1_500_000)
    sender.run(8.0)
    before = len(sender.estimates)
    sender.way.loss = 0.2
    sender.run(12.0)
    assert min(sender.estimates[before:]) > 600_000


@pytest.mark.parametrize("naps", ["awake", "now and then"])
@pytest.mark.parametrize("narrow_seconds", [3.0, 12.0, 60.0])
def test_a_way_that_narrows_is_given_less_and_then_more_again(
    naps: str, narrow_seconds: float
) -> None:
    way = Way(5_000_000, reader=Reader(NAPS[naps]()))
    sender = Sender(way, WANTED_BPS)
    sender.run(10.0)
    assert sender.estimate_bps > WANTED_BPS
    way.capacity_bps = 500_000
    narrowed = len(sender.estimates)
    sender.run(narrow_seconds)
    assert seconds_until(sender.estimates[narrowed:], lambda bps: bps < 550_000) < 1.5
    assert way.waits[-1] < 0.15
    way.capacity_bps = 5_000_000
    widened = len(sender.estimates)
    sender.run(20.0)
    assert seconds_until(sender.estimates[widened:], lambda bps: bps > WANTED_BPS) < 10.0


def test_a_way_that_has_become_longer_is_no_narrower() -> None:
    sender = Sender(Way(WIDE_BPS), WANTED_BPS)
    sender.run(10.0)
    sender.way.delay_seconds += 0.2
    sender.run(20.0)
    assert min(sender.estimates[round(20 / TICK_SECONDS) :]) > WANTED_BPS


@pytest.mark.parametrize("capacity_bps", [1_000_000, WIDE_BPS])
@pytest.mark.parametrize(("longer_ms", "jitter_ms"), [(300, 0), (300, 100), (150, 60)])
def test_a_way_that_becomes_longer_and_jittery_keeps_its_picture(
    longer_ms: int, jitter_ms: int, capacity_bps: int
) -> None:
    way = Way(capacity_bps, 0.25, 0.001)
    sender = Sender(way, LAYERS[-1], layers=LAYERS, sound_bps=60_000, keyframe=16)
    sender.run(10.0)
    way.delay_seconds += (longer_ms - jitter_ms / 2) / 1000
    way.jitter_seconds = jitter_ms / 1000
    changed = len(sender.pictures)
    sender.run(30.0)
    since = sender.pictures[changed:]
    assert since.count(0) < 0.05 * len(since)
    assert sum(rate >= LAYERS[1] for rate in since) > 0.7 * len(since)


def test_sound_goes_on_where_there_is_room_for_it_alone_and_pictures_come_back() -> None:
    sender = Sender(Way(60_000), LAYERS[-1], layers=LAYERS, sound_bps=SOUND_BPS)
    sender.run(5.0)
    spoken, sent = len(sender.sounds), len(sender.way.waits)
    sender.run(20.0)
    assert set(sender.pictures[round(5 / TICK_SECONDS) :]) == {0}
    assert None not in sender.sounds[spoken:]
    assert quantile(sender.way.waits[sent:], 0.95) < 0.1
    sender.way.capacity_bps = WIDE_BPS
    widened = len(sender.pictures)
    sender.run(20.0)
    assert seconds_until(sender.pictures[widened:], lambda bps: bps == LAYERS[-1]) < 15.0


def test_where_the_next_layer_does_not_fit_probes_are_few() -> None:
    sender = Sender(Way(300_000), 2_000_000, layers=(250_000, 2_000_000), sound_bps=SOUND_BPS)
    sender.run(10.0)
    before = sender.probes
    sender.run(30.0)
    assert sender.probes - before <= 4


def test_what_is_read_in_bunches_has_not_arrived_faster_than_it_was_sent() -> None:
    sender = Sender(Way(WIDE_BPS, reader=Reader(regular_naps(0.4, 0.2))), 1_000_000)
    for _ in range(100):
        sender.run(0.1)
        assert sender.estimator.acknowledged_bps < 1_100_000


def test_a_second_without_loss_tells_that_none_is_the_networks_own() -> None:
    losses, told = Losses(), Acknowledged(Outlet())
    for second, (kbps, lost) in enumerate(
        [(1_294, 0.225), (1_151, 0.202), (988, 0.023), (965, 0.0), (1_031, 0.144)], 1
    ):
        told.received += round(1_000 * (1 - lost))
        told.lost += round(1_000 * lost)
        told.octets += 125 * kbps
        assert losses.look(told, float(second))
    assert losses.inherent == 0
    assert losses.excess == pytest.approx(0.144)


def test_feedback_that_stays_away_is_a_bad_sign_and_has_a_floor() -> None:
    sender = Sender(Way(5_000_000), 1_000_000)
    sender.run(3.0)
    before = sender.estimate_bps
    for second in range(4, 60):
        sender.estimator.tick(sender.number + second, float(second))
    assert MIN_BPS <= sender.estimate_bps < before / 2


def test_where_nothing_is_sent_silence_is_no_sign() -> None:
    sender = Sender(Way(5_000_000), 1_000_000)
    sender.run(3.0)
    sender.wanted_bps = 0
    sender.run(2.0)
    before = sender.estimate_bps
    sender.run(60.0)
    assert sender.estimate_bps >= before


def test_a_way_that_was_broken_for_a_while_carries_pictures_again() -> None:
    sender = Sender(Way(2_000_000), LAYERS[-1], layers=LAYERS)
    sender.run(10.0)
    sender.way.loss = 1.0
    sender.run(15.0)
    sender.way.loss = 0.0
    sender.run(15.0)
    assert sender.pictures[-1] == LAYERS[-1]
