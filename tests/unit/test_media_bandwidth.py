"""What a way is estimated to carry, on links that are simulated: a queue that drains at a rate, delay, loss."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from services.media.bandwidth import MIN_BPS, START_BPS, Estimator
from services.media.rtcp import TransportFeedback

FEEDBACK_SECONDS = 0.05
FRAME_SECONDS = 1 / 30
PACKET_BYTES = 1_000


@dataclass
class Link:
    """A bottleneck: what does not fit its queue is lost, and a share of the rest too."""

    capacity_bps: float
    queue_seconds: float = 0.3
    delay_seconds: float = 0.04
    loss: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(7))
    free_at: float = 0.0

    def carry(self, size: int, now: float) -> float | None:
        """Returns when a packet arrives, or None."""
        start = max(self.free_at, now)
        if start - now > self.queue_seconds or self.random.random() < self.loss:
            return None
        self.free_at = start + 8 * size / self.capacity_bps
        return self.free_at + self.delay_seconds


class Sender:
    """Sends frames at the lower of the estimate and what there is to send, and probes when that is more."""

    def __init__(self, link: Link, wanted_bps: float) -> None:
        self.link = link
        self.wanted_bps = wanted_bps
        self.sent: list[tuple[float, int]] = []
        self.estimator = Estimator(self.told)
        self.lost = 0
        self._arrivals: list[float | None] = []
        self._reported = 0
        self._credit = 0.0

    def told(self, first: int, count: int) -> tuple[list[float], list[int]]:
        known = self.sent[first : first + count]
        return [at for at, _ in known], [size for _, size in known]

    @property
    def estimate_bps(self) -> float:
        return self.estimator.estimate_bps or START_BPS

    def send(self, size: int, now: float) -> None:
        self.sent.append((now, size))
        self._arrivals.append(self.link.carry(size, now))
        self.lost += self._arrivals[-1] is None

    def run(self, begin: float, seconds: float) -> None:
        steps = int(seconds / FRAME_SECONDS)
        fed_at = begin
        for step in range(steps):
            now = begin + step * FRAME_SECONDS
            self._credit += min(self.wanted_bps, self.estimate_bps) * FRAME_SECONDS / 8
            while self._credit >= PACKET_BYTES:
                self._credit -= PACKET_BYTES
                self.send(PACKET_BYTES, now)
            self._probe(now)
            if now - fed_at >= FEEDBACK_SECONDS:
                fed_at = now
                self._feed(now)
            self.estimator.tick(now)

    def _probe(self, now: float) -> None:
        probe = self.estimator.probe(self.wanted_bps * 1.3, len(self.sent), now)
        if probe is not None:
            count = -(-probe.octets // 255)
            for number in range(count):
                self.send(255, now + probe.seconds * number / count)
            self.estimator.probed(len(self.sent))

    def _feed(self, now: float) -> None:
        """Report, in order, what has arrived by now; a gap counts as lost when something after it is there."""
        end = self._reported
        for number in range(self._reported, len(self._arrivals)):
            arrival = self._arrivals[number]
            if arrival is not None and arrival <= now:
                end = number + 1
        if end > self._reported:
            part = self._arrivals[self._reported : end]
            feedback = TransportFeedback(
                self._reported & 0xFFFF, [None if a is None else int(a * 1e6) for a in part]
            )
            self.estimator.feedback(feedback, len(self.sent) - 1, now)
            self._reported = end


def test_without_feedback_nothing_is_known() -> None:
    assert Estimator(lambda _first, _count: ([], [])).estimate_bps is None


@pytest.mark.parametrize("capacity_bps", [250_000, 600_000, 2_000_000])
def test_a_narrow_way_is_filled_and_not_overrun(capacity_bps: int) -> None:
    sender = Sender(Link(capacity_bps), 3_000_000)
    sender.run(0.0, 20.0)
    before, lost = len(sender.sent), sender.lost
    sender.run(20.0, 20.0)
    assert sender.lost - lost < 0.03 * (len(sender.sent) - before)
    assert 0.5 * capacity_bps < sender.estimate_bps < 1.3 * capacity_bps


def test_a_wide_way_is_found_by_probes_in_seconds() -> None:
    sender = Sender(Link(20_000_000), 4_000_000)
    sender.run(0.0, 4.0)
    assert sender.estimate_bps > 4_000_000
    assert sender.lost == 0


def test_a_way_that_narrows_is_noticed_within_seconds() -> None:
    sender = Sender(Link(5_000_000), 2_000_000)
    sender.run(0.0, 8.0)
    assert sender.estimate_bps > 1_500_000
    sender.link.capacity_bps = 300_000
    sender.run(8.0, 4.0)
    assert sender.estimate_bps < 420_000


def test_a_way_that_widens_again_is_used_again() -> None:
    sender = Sender(Link(300_000), 2_000_000)
    sender.run(0.0, 15.0)
    assert sender.estimate_bps < 400_000
    sender.link.capacity_bps = 10_000_000
    sender.run(15.0, 20.0)
    assert sender.estimate_bps > 1_500_000


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_loss_that_is_the_networks_own_does_not_bring_the_picture_down(loss: float) -> None:
    sender = Sender(Link(10_000_000, loss=loss), 1_500_000)
    sender.run(0.0, 30.0)
    assert sender.estimate_bps > 1_000_000


def test_own_loss_is_known_before_the_picture_has_to_stop() -> None:
    sender = Sender(Link(10_000_000), 1_500_000)
    sender.run(0.0, 8.0)
    sender.link.loss = 0.2
    least = sender.estimate_bps
    for second in range(8, 20):
        sender.run(float(second), 1.0)
        least = min(least, sender.estimate_bps)
    assert least > 600_000


def test_what_a_policer_drops_is_no_loss_of_the_networks_own() -> None:
    sender = Sender(Link(300_000, queue_seconds=0.1), 1_500_000)
    sender.run(0.0, 30.0)
    before, lost = len(sender.sent), sender.lost
    sender.run(30.0, 20.0)
    assert sender.lost - lost < 0.15 * (len(sender.sent) - before)


def test_jitter_alone_is_no_congestion() -> None:
    link = Link(20_000_000)
    sender = Sender(link, 1_000_000)
    carry = link.carry
    wobble = random.Random(3)
    link.carry = lambda size, now: (  # type: ignore[method-assign]  # the link's own, later
        None if (at := carry(size, now)) is None else at + wobble.uniform(0, 0.02)
    )
    sender.run(0.0, 15.0)
    assert sender.estimate_bps > 700_000


def test_feedback_that_stays_away_is_a_bad_sign_and_has_a_floor() -> None:
    sender = Sender(Link(5_000_000), 1_000_000)
    sender.run(0.0, 3.0)
    before = sender.estimate_bps
    for second in range(4, 60):
        sender.estimator.tick(float(second))
    assert sender.estimate_bps < before / 2
    assert sender.estimate_bps >= MIN_BPS
