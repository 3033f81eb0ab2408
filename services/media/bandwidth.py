"""How much a subscriber's way can carry, estimated at the sender from transport-wide feedback. Sans I/O, pure.

After Google Congestion Control (draft-ietf-rmcat-gcc-02): the slope of the one-way delay, over groups of packets that
left together, tells a queue that grows before anything is lost; loss is the second sign. Where nothing pushes, nothing
can be learnt, so that growth beyond what is being sent takes probes: short bursts of padding.

Loss that stays the same whatever is sent is the network's own, as on bad radio: it does not bring the estimate down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.media.rtcp import TransportFeedback

START_BPS = 2_000_000
MIN_BPS = 60_000
MAX_BPS = 50_000_000
GROUP_SECONDS = 0.005
WINDOW = 20
"""Groups over which the delay's slope is taken (§5.4 has a Kalman filter; libwebrtc since uses a line, as here)."""
SMOOTHING = 0.9
GAIN = 4.0
MAX_DELTAS = 60
THRESHOLD_START_MS = 12.5
THRESHOLD_MS = (6.0, 600.0)
GROWTH_PER_SECOND = 1.08
DECREASE = 0.85
STRETCH = 1.15
"""What arrives over so many times as long as it was sent in was held up on the way. Where less than that is, a reader
may just have been busy for a moment."""
RATE_SECONDS = 0.5
LOSS_SECONDS = 1.0
LOSS_HIGH, LOSS_LOW = 0.10, 0.02
REMEMBERED_SECONDS = 4
LESS_SENT = 1.2
"""So many times less must have been sent than some seconds before, to tell whose the loss is."""
MAX_INHERENT = 0.30
SILENCE_SECONDS = 2.0
PROBE_SECONDS = (0.3, 3.0, 20.0)
"""After a probe: the next at the soonest; the usual; the longest, where probes find nothing."""
PROBE_FACTOR = 2.0
PROBE_LENGTH_SECONDS = 0.025
MIN_PROBE_PACKETS = 8


Sent = Callable[[int, int], tuple[Sequence[float], Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Probe:
    """Padding to send: so many bytes in all, evenly over so many seconds."""

    octets: int
    seconds: float


@dataclass(slots=True)
class Group:
    """Packets that left within GROUP_SECONDS; times in milliseconds."""

    first_sent: float
    sent: float
    arrived: float
    octets: int


class Trend:
    """Whether the delay grows: 1 it does (overuse), -1 it shrinks, 0 neither."""

    def __init__(self) -> None:
        self.state = 0
        self._before: Group | None = None
        self._delay = self._smoothed = 0.0
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._count = 0
        self._threshold = THRESHOLD_START_MS
        self._slope = 0.0
        self._over_since: float | None = None

    def receive(self, groups: Sequence[Group]) -> None:
        """Take groups, in the order of sending."""
        since = self._points[-1][0] if self._points else 0.0
        for group in groups:
            if self._before is not None:
                self._compare(self._before, group)
            self._before = group
        if len(self._points) == WINDOW and self._points[-1][0] > since:
            latest = self._points[-1][0]
            self._detect(_slope(self._points), latest - since if since else 0.0, latest)

    def _compare(self, before: Group, group: Group) -> None:
        sent, arrived = group.sent - before.sent, group.arrived - before.arrived
        if (
            arrived < -1000 or sent > 2000
        ):  # the receiver's clock leapt, or nothing was sent for long
            self._points.clear()
            return
        self._count = min(self._count + 1, MAX_DELTAS)
        self._delay += arrived - sent
        self._smoothed = SMOOTHING * self._smoothed + (1 - SMOOTHING) * self._delay
        self._points.append((group.arrived, self._smoothed))

    def _detect(self, slope: float, sent_ms: float, now_ms: float) -> None:
        modified = self._count * slope * GAIN
        if modified > self._threshold:
            self._over_since = (
                now_ms - sent_ms / 2 if self._over_since is None else self._over_since
            )
            if now_ms - self._over_since > 10 and slope >= self._slope:
                self.state = 1
        else:
            self._over_since = None
            self.state = -1 if modified < -self._threshold else 0
        self._slope = slope
        distance = abs(modified) - self._threshold
        if distance < 15:  # what is far off is a leap, not a trend (§5.4)
            rate = 0.0087 if distance > 0 else 0.039
            self._threshold += rate * distance * min(sent_ms, 100)
            self._threshold = max(THRESHOLD_MS[0], min(THRESHOLD_MS[1], self._threshold))


def _slope(points: deque[tuple[float, float]]) -> float:
    """Fit a line (least squares); its slope has no unit: milliseconds of delay by milliseconds."""
    count, origin = len(points), points[0][0]
    sum_x = sum_y = sum_xx = sum_xy = 0.0
    for at, y in points:
        x = at - origin
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_xy += x * y
    spread = count * sum_xx - sum_x * sum_x
    return (count * sum_xy - sum_x * sum_y) / spread if spread else 0.0


class Losses:
    """What share of packets is lost, a second at a time, and how much of that is the network's own.

    Where the way is too narrow, sending less loses less. Loss that stays when less is sent is the network's own.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.inherent = 0.0
        self._received = self._lost = self._octets = 0
        self._since = 0.0
        self._seconds: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_SECONDS)

    @property
    def excess(self) -> float:
        """The share that our own sending may have caused."""
        return max(0.0, self.fraction - self.inherent)

    def count(self, received: int, lost: int, octets: int, now: float) -> bool:
        """Take a feedback's counts, and the bytes that were sent; returns whether `fraction` is a new one."""
        self._received += received
        self._lost += lost
        self._octets += octets
        elapsed = now - self._since
        if elapsed < LOSS_SECONDS or self._received + self._lost < 10:
            return False
        self.fraction = self._lost / (self._received + self._lost)
        rate = self._octets / elapsed
        for before, fraction in self._seconds:
            if before >= LESS_SENT * rate:
                self._blame(fraction, before / rate)
        self.inherent = min(self.inherent, 1.5 * self.fraction)
        self._seconds.append((rate, self.fraction))
        self._received = self._lost = self._octets = 0
        self._since = now
        return True

    def _blame(self, before: float, less: float) -> None:
        """Tell by what was lost before, when `less` times as much was sent, whose the loss is now."""
        if_narrow = max(0.0, 1 - (1 - before) * less)
        if self.fraction > (if_narrow + before) / 2:
            self.inherent = min(MAX_INHERENT, self.fraction)


class Estimator:
    """`estimate_bps` is None until feedback has come: the subscriber may not send any, and then nothing is known.

    `sent(first, count)` tells of packets when they were sent (seconds) and their sizes; 0 where that is not known.
    """

    def __init__(self, sent: Sent) -> None:
        self.estimate_bps: float | None = None
        self.losses = Losses()
        self._sent = sent
        self._trend = Trend()
        self._open: Group | None = None
        self._recent: deque[Group] = deque()
        self._recent_octets = 0
        self._next = 0
        self._fed_at = 0.0
        self._grown_at = 0.0
        self._cut_at = 0.0
        self._probed_at = -PROBE_SECONDS[1]
        self._probe: tuple[int, int] | None = None
        self._probe_wait = PROBE_SECONDS[0]

    @property
    def is_congested(self) -> bool:
        """Tell whether the way is being filled faster than it empties."""
        return self._trend.state > 0

    @property
    def acknowledged_bps(self) -> float:
        """What arrives, over the last RATE_SECONDS of the receiver's clock."""
        if not self._recent:
            return 0.0
        span = max((self._recent[-1].arrived - self._recent[0].arrived) / 1000, RATE_SECONDS / 2)
        return 8 * self._recent_octets / span

    @property
    def _is_held_up(self) -> bool:
        """Tell whether what was sent of late arrives more slowly than it was sent."""
        if len(self._recent) < 2:
            return False
        first, last = self._recent[0], self._recent[-1]
        return last.arrived - first.arrived > STRETCH * (last.sent - first.sent)

    def feedback(self, feedback: TransportFeedback, highest: int, now: float) -> None:
        """Take a feedback; `highest` is the transport-wide number sent last, unwrapped."""
        base = highest - (highest - feedback.base & 0xFFFF)
        end = base + len(feedback.arrivals)
        sent_at, sizes = self._sent(base, end - base)
        groups, received = self._gather(feedback.arrivals, sent_at, sizes)
        if not received:
            return
        lost = feedback.arrivals[max(0, self._next - base) :].count(None)
        self._next = max(self._next, end)
        self._fed_at = now
        if self.estimate_bps is None:
            self.estimate_bps, self._grown_at = START_BPS, now
        self._trend.receive(groups)
        self._remember(groups)
        self._learn_from_probe(feedback.arrivals, base, sizes)
        if self.losses.count(received, lost, sum(sizes), now):
            self._weigh_losses()
        self._adapt(now)

    def _gather(
        self, arrivals: Sequence[int | None], sent_at: Sequence[float], sizes: Sequence[int]
    ) -> tuple[list[Group], int]:
        """Gather what has arrived by groups; the last stays open for what comes by the next feedback."""
        groups: list[Group] = []
        group, received = self._open, 0
        for arrival, sent, size in zip(arrivals, sent_at, sizes, strict=True):
            if arrival is None or not size:
                continue
            received += 1
            if group is None or sent - group.first_sent / 1000 > GROUP_SECONDS:
                if group is not None:
                    groups.append(group)
                group = Group(1000 * sent, 1000 * sent, arrival / 1000, size)
                continue
            group.octets += size
            group.sent = max(group.sent, 1000 * sent)
            group.arrived = max(group.arrived, arrival / 1000)
        self._open = group
        return groups, received

    def tick(self, now: float) -> None:
        """Do what is due: no feedback for long is a bad sign."""
        if self.estimate_bps is not None and now - self._fed_at > SILENCE_SECONDS:
            self._fed_at = now
            self._set(self.estimate_bps * 0.7)

    def probe(self, wanted_bps: float, first: int, now: float) -> Probe | None:
        """Say what to send in order to learn whether `wanted_bps` would go through; None: nothing, for now.

        `first` is the transport-wide number that the first packet will have; call `probed` when all is sent.
        """
        estimate = self.estimate_bps
        if estimate is None or wanted_bps <= estimate or self._trend.state > 0 or self._probe:
            return None
        if now - self._probed_at < self._probe_wait or now - self._cut_at < PROBE_SECONDS[1]:
            return None
        self._probed_at = now
        self._probe = (first, -1)
        rate = min(estimate * PROBE_FACTOR, wanted_bps * 1.2, MAX_BPS)
        return Probe(int(rate * PROBE_LENGTH_SECONDS / 8), PROBE_LENGTH_SECONDS)

    def probed(self, end: int) -> None:
        """The probe's last packet was that before `end`."""
        if self._probe is not None:
            self._probe = (self._probe[0], end) if end > self._probe[0] else None

    def _remember(self, groups: Sequence[Group]) -> None:
        recent = self._recent
        for group in groups:
            recent.append(group)
            self._recent_octets += group.octets
        while recent and recent[0].arrived < recent[-1].arrived - 1000 * RATE_SECONDS:
            self._recent_octets -= recent.popleft().octets

    def _learn_from_probe(
        self, arrivals: Sequence[int | None], base: int, sizes: Sequence[int]
    ) -> None:
        if self._probe is None or self._probe[1] < 0 or self.estimate_bps is None:
            return
        first, end = self._probe
        if self._next < end:
            return
        self._probe = None
        of_it = [
            (arrival, size)
            for number, (arrival, size) in enumerate(zip(arrivals, sizes, strict=True), base)
            if arrival is not None and first <= number < end
        ]
        span = max(at for at, _ in of_it) - min(at for at, _ in of_it) if of_it else 0
        if len(of_it) < max(MIN_PROBE_PACKETS, (end - first) // 2) or span <= 0:
            self._wait_longer()
            return
        octets = sum(size for _, size in of_it[1:])
        measured = min(8e6 * octets / span, self.estimate_bps * PROBE_FACTOR)
        if measured > self.estimate_bps * 1.05:
            self._probe_wait = PROBE_SECONDS[0]
            self._set(measured * 0.95)
        else:
            self._wait_longer()

    def _wait_longer(self) -> None:
        self._probe_wait = min(PROBE_SECONDS[2], max(PROBE_SECONDS[1], 2 * self._probe_wait))

    def _weigh_losses(self) -> None:
        assert self.estimate_bps is not None
        if self.losses.excess > LOSS_HIGH:
            self._set(self.estimate_bps * (1 - 0.5 * self.losses.excess))

    def _adapt(self, now: float) -> None:
        assert self.estimate_bps is not None
        elapsed, self._grown_at = now - self._grown_at, now
        if self._trend.state > 0:
            if now - self._cut_at > 0.3:
                self._cut_at = now
                carried = self.acknowledged_bps if self._is_held_up else self.estimate_bps
                self._set(DECREASE * min(self.estimate_bps, carried))
        elif self._trend.state == 0 and self.losses.excess < LOSS_LOW:
            most = 1.5 * self.acknowledged_bps + 10_000
            if self.estimate_bps < most:
                self._set(min(most, self.estimate_bps * GROWTH_PER_SECOND ** min(elapsed, 1.0)))

    def _set(self, bps: float) -> None:
        self.estimate_bps = max(MIN_BPS, min(MAX_BPS, bps))


__all__ = ["Estimator", "Losses", "Probe"]
