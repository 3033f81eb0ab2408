"""Whether the delay of a way grows: what tells of a queue before anything is lost. Sans I/O, pure.

Compared are groups of packets that left together (draft-ietf-rmcat-gcc-02 §5.2). Groups that left apart and arrived at
once were held up together, by a reader that was busy or a link that sends in bursts, and count as one: the last of them
had waited least, and its delay is the way's. A queue delays the last ones too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

Group = tuple[float, float, float, int]
"""Packets that left together: when the first left, the last left, the last arrived (milliseconds), and their bytes."""

BURST_MS, MAX_BURST_MS = 5.0, 100.0
"""Groups that arrive within BURST_MS of the one before are one burst, up to MAX_BURST_MS in all."""
WINDOW = 20
"""Bursts over which the delay's slope is taken (§5.4 has a Kalman filter; libwebrtc since uses a line, as here)."""
SMOOTHING = 0.9
GAIN = 4.0
MAX_DELTAS = 60
THRESHOLD_START_MS = 12.5
THRESHOLD_MS = (6.0, 600.0)
NOISE = 1.0
"""A rise is one when it is more than so many times what single delays stray from the line: jitter rises and falls again."""
STANDING_MS = 120.0
"""So much more delay than the least of late is a queue that stands: one that is full grows no more."""
PATIENCE_MS = 1000.0
"""A queue shrinks where less is sent: what stands for so long is none, and the way a longer one."""
LEAP_MS = 3000.0
"""No queue grows by so much from one burst to the next."""


class Trend:
    """Whether the delay grows: 1 it does (overuse) or has grown and stays, -1 it shrinks, 0 neither."""

    def __init__(self) -> None:
        self.state = 0
        self._before: tuple[float, float] | None = None
        self._burst: tuple[float, float] | None = None
        self._burst_began = 0.0
        self._delay = self._smoothed = self._least = self._noise = 0.0
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._count = 0
        self._threshold = THRESHOLD_START_MS
        self._slope = 0.0
        self._over_since: float | None = None
        self._standing_since: float | None = None

    def receive(self, groups: Sequence[Group]) -> None:
        """Take groups, in the order of sending."""
        since = self._points[-1][0] if self._points else 0.0
        burst = self._burst
        for _, sent, arrived, _ in groups:
            if burst is None or not self._joins(burst, sent, arrived):
                if burst is not None:
                    if self._before is not None:
                        self._compare(self._before, burst)
                    self._before = burst
                self._burst_began = arrived
            burst = (sent, arrived)
        self._burst = burst
        if len(self._points) == WINDOW and self._points[-1][0] > since:
            latest = self._points[-1][0]
            self._detect(_slope(self._points), latest - since if since else 0.0, latest)

    def _joins(self, burst: tuple[float, float], sent: float, arrived: float) -> bool:
        """Tell whether a group belongs to the burst that is being read."""
        later = arrived - burst[1]
        is_near = later <= BURST_MS and later < sent - burst[0]
        return is_near and arrived - self._burst_began < MAX_BURST_MS

    def _compare(self, before: tuple[float, float], burst: tuple[float, float]) -> None:
        sent, arrived = burst[0] - before[0], burst[1] - before[1]
        leapt = not -1000 < arrived - sent < LEAP_MS
        if leapt or sent > 2000:  # the receiver's clock leapt, or nothing was sent
            self.state, self._over_since = 0, None
            self._points.clear()
            self._least = self._smoothed = self._delay
            return
        if self._count < MAX_DELTAS:
            self._count += 1
        delay = self._delay = self._delay + arrived - sent
        self._least = min(self._least, delay)
        self._smoothed += (1 - SMOOTHING) * (delay - self._smoothed)
        self._noise += (1 - SMOOTHING) * (abs(delay - self._smoothed) - self._noise)
        self._points.append((burst[1], self._smoothed))

    def _is_standing(self, now_ms: float) -> bool:
        """Tell whether there is a queue that does not grow only because it is full."""
        if self._smoothed - self._least <= STANDING_MS:
            self._standing_since = None
            return False
        if self._standing_since is None:
            self._standing_since = now_ms
        if now_ms - self._standing_since <= PATIENCE_MS:
            return True
        self._standing_since, self._least = None, self._smoothed
        return False

    def _detect(self, slope: float, sent_ms: float, now_ms: float) -> None:
        modified = self._count * slope * GAIN
        if modified > self._threshold:
            if self._over_since is None:  # one look alone may have been at a moment's jitter
                self._over_since = now_ms
            rise = slope * (now_ms - self._points[0][0])
            is_rising = slope >= self._slope and rise > NOISE * self._noise
            if now_ms - self._over_since > 10 and is_rising:
                self.state = 1
        else:
            self._over_since = None
            is_standing = self._is_standing(now_ms)
            self.state = -1 if modified < -self._threshold else int(is_standing)
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


__all__ = ["Group", "Trend"]
