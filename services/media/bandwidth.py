"""How much a subscriber's way can carry, estimated at the sender from transport-wide feedback. Sans I/O, pure.

After Google Congestion Control (draft-ietf-rmcat-gcc-02): the slope of the one-way delay (`delay.py`) tells a queue that
grows before anything is lost; loss is the second sign. Where nothing pushes, nothing can be learnt, so that growth
beyond what is being sent takes probes (`probing.py`): short bursts of padding.

Loss that stays the same whatever is sent is the network's own, as on bad radio: it does not bring the estimate down.
"""

from __future__ import annotations

import math
from collections import deque

from services.media.acknowledged import Acknowledged
from services.media.probing import Probe, Prober

START_BPS = 500_000
LEARN_SECONDS = 0.3
"""From the first feedback on, until there is an estimate: what arrives is not known at once."""
MIN_BPS = 60_000
MAX_BPS = 50_000_000
GROWTH_PER_SECOND, MOST_BEYOND = 1.08, 1.2
"""Without a probe it grows by so much, to so many times what arrives."""
DECREASE = 0.85
CUT_SECONDS = 0.3
"""From one cut to the next."""
LARGE_CUT = 0.66
"""After a cut to less than this share a probe comes soon: the way may have been narrow for a moment only."""
WIDENED = 1.25
"""So many times what had arrived at the last cut goes through now: the way is wider, and probes tell by how much."""
LOSS_SECONDS = 1.0
LEAST_PACKETS = 10
"""Of so few no share is made."""
LOSS_HIGH, LOSS_LOW = 0.10, 0.02
REMEMBERED_SECONDS = 4
LESS_SENT = 1.2
"""So many times less must have been sent than some seconds before, to tell whose the loss is."""
MAX_INHERENT = 0.30
LEAST_LOST = 1.5
"""The network's own loss is there at every rate: no more than so many times the least that was lost of late."""
SILENCE_SECONDS = 2.0
PROBE_FACTOR, FIRST_PROBE_FACTOR = 2.0, 6.0
"""So many times the estimate a probe tries at the most; the second until a way has shown that it is narrow."""
PROBE_MARGIN = 1.5
"""Beyond what is wanted: a busy machine sends a probe more slowly than it means to."""
PROBE_SHARE = 0.95
"""Of what a probe has shown, this much is taken."""
WORTHWHILE = 1.05
"""A probe that raises the estimate by less has found nothing."""
BURST_SECONDS = 2.0
"""Until a keyframe that is asked for has come and gone, on a slow way."""
SETTLE_SECONDS = 0.3
"""For so long after a probe has arrived, the queue that it made is no sign of what media does."""


class Losses:
    """What share of packets is lost, a second at a time, and how much of that is the network's own.

    `fraction` is of what was told of since `since`. Where the way is too narrow, sending less loses less. Loss that stays when less is sent is the network's own.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.inherent = 0.0
        self.since = 0.0
        self._before = 0, 0, 0
        self._looked_at = 0.0
        self._seconds: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_SECONDS)

    @property
    def excess(self) -> float:
        """The share that our own sending may have caused."""
        return max(0.0, self.fraction - self.inherent)

    def look(self, told: Acknowledged, now: float) -> bool:
        """Look at what has been told so far; returns whether `fraction` is a new one."""
        elapsed = now - self._looked_at
        if elapsed < LOSS_SECONDS:
            return False
        received, lost, octets = self._before
        received, lost = told.received - received, told.lost - lost
        if received + lost < LEAST_PACKETS:
            return False
        self.fraction = lost / (received + lost)
        rate = (told.octets - octets) / elapsed
        for before, fraction in self._seconds:
            if before >= LESS_SENT * rate:
                self._blame(fraction, before / rate)
        self.inherent = min(self.inherent, LEAST_LOST * self.fraction)
        self._seconds.append((rate, self.fraction))
        self._before = told.received, told.lost, told.octets
        self.since, self._looked_at = self._looked_at, now
        return True

    def _blame(self, before: float, less: float) -> None:
        """Tell by what was lost before, when `less` times as much was sent, whose the loss is now."""
        if_narrow = max(0.0, 1 - (1 - before) * less)
        if self.fraction > (if_narrow + before) / 2:
            least = min(fraction for _, fraction in self._seconds)
            self.inherent = min(MAX_INHERENT, self.fraction, LEAST_LOST * least)


class Estimator:
    """`estimate_bps` is None until feedback has come: the subscriber may not send any, and then nothing is known.

    `told` is the account of that feedback. It `is_limited` once anything has spoken for less than it was. The way
    `is_congested` while it is being filled faster than it empties.
    """

    def __init__(self, told: Acknowledged) -> None:
        self.estimate_bps: float | None = None
        self.losses = Losses()
        self.is_congested = self.is_limited = False
        self._told = told
        self._received = 0
        self._fed_at = 0.0
        self._given_up = 0
        self._grown_at = 0.0
        self._cut_at = 0.0
        self._prober = Prober()
        self._probe_factor = FIRST_PROBE_FACTOR
        self._settled_at = 0.0
        self._burst_at = -math.inf
        self._limit_bps = math.inf

    @property
    def acknowledged_bps(self) -> float:
        """What arrives."""
        return self._told.bps

    def tick(self, number: int, now: float) -> bool:
        """Make of what has been told since the last time what is to be made; returns whether the way has just become congested.

        `number` is the transport-wide number of the next packet.
        """
        self._prober.give_up(now)
        if self._told.received == self._received:
            self._wait(number, now)
            return False
        self._received, self._fed_at = self._told.received, now
        if self.estimate_bps is None and not self._begin(now):
            return False
        if self._told.lists:
            self._look_at_probe(now)
        if self.losses.look(self._told, now):
            self._weigh_losses(now)
        was_congested, self.is_congested = self.is_congested, self._told.trend > 0
        self._adapt(now)
        return self.is_congested and not was_congested

    def _wait(self, number: int, now: float) -> None:
        """Nothing was told since the last time. For long that is a bad sign, unless nothing is to be told."""
        if number <= max(self._told.end, self._given_up):
            self._fed_at, self.is_congested = now, False
        elif self.estimate_bps is not None and now - self._fed_at > SILENCE_SECONDS:
            self._fed_at, self._given_up = now, number
            self._set(self.estimate_bps * 0.7)
            self._prober.hurry()

    def _begin(self, now: float) -> bool:
        """Begin, once it is known what arrives, or that too much is sent; tells whether it is."""
        if not self._grown_at:
            self._grown_at = now
        if now - self._grown_at < LEARN_SECONDS and self._told.trend <= 0:
            return False
        self.estimate_bps, self._grown_at = START_BPS, now
        self._prober.hurry()
        return True

    def expect_burst(self, now: float) -> None:
        """A picture begins: the queue that its keyframe makes is no sign of what follows. Of several the first counts."""
        if now - self._burst_at > 2 * BURST_SECONDS:
            self._burst_at = now
            self._settle(now + BURST_SECONDS)

    def hurry(self) -> None:
        """Probe soon: a picture has stopped, and might go through after all."""
        self._prober.hurry()

    def probe(self, wanted_bps: float, first: int, now: float) -> Probe | None:
        """Say what to send in order to learn whether `wanted_bps` would go through; None: nothing, for now.

        `first` is the transport-wide number that the first packet will have; call `probed` when all is sent.
        """
        estimate = self.estimate_bps
        if estimate is None or wanted_bps <= estimate or self.is_congested:
            return None
        is_passing = (
            self.is_limited and now - self._burst_at < BURST_SECONDS
        )  # it would be lost in a keyframe's queue
        if is_passing or not self._prober.is_due(self._cut_at, now):
            return None
        rate = min(estimate * self._probe_factor, wanted_bps * PROBE_MARGIN, MAX_BPS)
        self._told.lists = True
        return self._prober.begin(rate, first, now)

    def probed(self, end: int) -> None:
        """The probe's last packet was that before `end`."""
        self._prober.end(end)

    def _look_at_probe(self, now: float) -> None:
        for base, packets in self._told.take_listed():
            if (measured := self._prober.receive(base, packets)) is not None:
                self._weigh_probe(measured, now)
        self._told.lists = self._prober.is_out

    def _weigh_probe(self, measured_bps: float, now: float) -> None:
        assert self.estimate_bps is not None
        self._settle(now + SETTLE_SECONDS)
        found = PROBE_SHARE * min(measured_bps, self.estimate_bps * self._probe_factor)
        if found > WORTHWHILE * self.estimate_bps:
            self._prober.found()
        elif self._prober.found_nothing():
            self._probe_factor = PROBE_FACTOR
        self._set(max(found, self.estimate_bps))

    def _weigh_losses(self, now: float) -> None:
        assert self.estimate_bps is not None
        is_new = self.losses.since > self._cut_at  # what was cut for is not cut for again
        if self.losses.excess > LOSS_HIGH and is_new and now >= self._settled_at:
            self._set(self.estimate_bps * (1 - 0.5 * self.losses.excess))

    def _adapt(self, now: float) -> None:
        assert self.estimate_bps is not None
        elapsed, self._grown_at = now - self._grown_at, now
        if self.is_congested:
            is_own_probes = self._prober.is_out or now < self._settled_at
            if now - self._cut_at > CUT_SECONDS and not is_own_probes:
                self._cut(now)
        elif self._told.trend == 0 and self.losses.excess < LOSS_LOW:
            arrives = self.acknowledged_bps
            self._set(max(self.estimate_bps, arrives))  # what arrives goes through
            most = MOST_BEYOND * arrives + 10_000
            if self.estimate_bps < most:
                self._set(min(most, self.estimate_bps * GROWTH_PER_SECOND ** min(elapsed, 1.0)))
            if arrives > WIDENED * self._limit_bps:
                self._limit_bps = math.inf
                self._prober.hurry()

    def _cut(self, now: float) -> None:
        assert self.estimate_bps is not None
        self._cut_at = now
        self._probe_factor = PROBE_FACTOR
        before = self.estimate_bps
        self._limit_bps = max(self._told.bps, self._told.latest_bps)
        self._set(min(before, DECREASE * self._limit_bps))
        if self.estimate_bps < LARGE_CUT * before:
            self._prober.hurry()

    def _settle(self, at: float) -> None:
        self._settled_at = max(self._settled_at, at)

    def _set(self, bps: float) -> None:
        self.is_limited = self.is_limited or bps < (self.estimate_bps or 0)
        self.estimate_bps = max(MIN_BPS, min(MAX_BPS, bps))


__all__ = ["Estimator", "Losses", "Probe"]
