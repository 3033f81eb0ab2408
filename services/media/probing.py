"""Probes: short bursts of padding, sent evenly, whose arrival tells what a way would carry beyond what is being sent.

A probe's rate is what less of two shows: how fast it was sent, how fast it came. One that comes much faster than it was
sent waited for its reader, and tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.media.outlet import WIRE_BYTES

WAIT_SECONDS = (0.3, 3.0, 10.0)
"""From one probe to the next: the soonest; the usual; the longest, where probes find nothing."""
LOST_SECONDS = 3.0
"""After that one that is out counts as lost."""
AFTER_CUT_SECONDS = (0.5, 3.0)
"""How long nothing is probed after a cut: where the way may be wide again; otherwise."""
MOST_LATE = 4
"""After so many probes that were read late it is waited as after one that found nothing."""
SECONDS = 0.025
"""At the least."""
STEPS = 5
STEP_PACKETS = 2
"""At the least."""
PACKET_BYTES = (16, 255)
HEAD_BYTES = 20
"""What a packet of padding has before it."""
COMPRESSED = 1.5


@dataclass(frozen=True, slots=True)
class Probe:
    """Padding to send: STEPS times so many packets of `size` bytes, `seconds` from one step to the next."""

    packets: int
    size: int
    seconds: float


def plan(rate_bps: float) -> Probe:
    """Plan a probe at a rate. Where that is low its packets are small, and it is longer: it takes enough of them to tell anything."""
    least, most = (HEAD_BYTES + WIRE_BYTES + size for size in PACKET_BYTES)
    octets = max(rate_bps * SECONDS / 8 / STEPS, STEP_PACKETS * least)
    packets = max(STEP_PACKETS, math.ceil(octets / most))
    size = round(octets / packets) - HEAD_BYTES - WIRE_BYTES
    return Probe(packets, min(size, PACKET_BYTES[1]), 8 * octets / rate_bps)


class Prober:
    """When to probe, and what a probe has shown. At most one is out."""

    def __init__(self) -> None:
        self._at = -WAIT_SECONDS[1]
        self._wait = WAIT_SECONDS[0]
        self._is_hopeful = False
        self._kept_up = False
        self._was_late = False
        self._late = 0
        self._range: tuple[int, int] | None = None
        self._arrived: dict[int, tuple[int, float, int]] = {}

    @property
    def is_out(self) -> bool:
        """Tell whether a probe is on its way."""
        return self._range is not None

    def hurry(self) -> None:
        """Probe soon, and on for as long as that finds more: the way may be wide again."""
        self._is_hopeful, self._wait = True, WAIT_SECONDS[0]

    def found(self) -> None:
        """The last probe has found more."""
        self._wait = WAIT_SECONDS[0]

    def found_nothing(self) -> bool:
        """The last probe has found nothing; returns whether that says anything of the way.

        One that was read late tells nothing; the next may do better, and comes soon, but not for ever. One that came as
        fast as it was sent was sent too slowly, by a busy machine: that says nothing against the way.
        """
        self._late += self._was_late
        if self._was_late and self._late % MOST_LATE:
            self._wait = WAIT_SECONDS[0]
            return False
        self._is_hopeful = False
        longest = WAIT_SECONDS[1 if self._kept_up else 2]
        self._wait = min(longest, max(WAIT_SECONDS[1], 2 * self._wait))
        return not self._was_late

    def give_up(self, now: float) -> None:
        """Wait no more for one that was lost, or of which nobody tells."""
        if self._range is not None and now - self._at > LOST_SECONDS:
            self._range = None

    def is_due(self, cut_at: float, now: float) -> bool:
        """Tell whether to probe now; `cut_at` is when the estimate was last cut."""
        if self._range is not None or now - self._at < self._wait:
            return False
        return now - cut_at >= AFTER_CUT_SECONDS[0 if self._is_hopeful else 1]

    def begin(self, rate_bps: float, first: int, now: float) -> Probe:
        """Begin one; its first packet has the transport-wide number `first`."""
        self._at, self._range = now, (first, -1)
        self._arrived.clear()
        return plan(rate_bps)

    def end(self, end: int) -> None:
        """The probe's last packet was that before `end`."""
        if self._range is not None:
            self._range = (self._range[0], end) if end > self._range[0] else None

    def receive(self, base: int, packets: Sequence[tuple[int | None, float, int]]) -> float | None:
        """Take a feedback's packets, from number `base` on, as `Acknowledged.take_listed` has them.

        Returns the rate that the probe has shown, once it is all there; 0 if it told nothing.
        """
        if self._range is None:
            return None
        first, end = self._range
        self._arrived.update(
            (number, (arrival, sent, size))
            for number, (arrival, sent, size) in enumerate(packets, base)
            if arrival is not None and size and first <= number and (end < 0 or number < end)
        )
        if end < 0 or base + len(packets) < end:
            return None
        self._range, self._kept_up, self._was_late = None, False, False
        if 2 * len(self._arrived) < end - first or len(self._arrived) < STEPS:
            return 0.0
        sent_bps, came_bps = _rates([packet for _, packet in sorted(self._arrived.items())])
        self._kept_up = 0 < sent_bps <= came_bps
        self._was_late = not sent_bps
        return min(sent_bps, came_bps)


def _rates(arrived: Sequence[tuple[int, float, int]]) -> tuple[float, float]:
    """Tell the rates at which packets (arrival, sent, size) were sent and came, in bits a second; 0: no saying."""
    begin, end = min(at for at, _, _ in arrived), max(at for at, _, _ in arrived)
    came_seconds = (end - begin) / 1e6
    sent_seconds = arrived[-1][1] - arrived[0][1]
    octets = sum(size for _, _, size in arrived)
    if came_seconds * COMPRESSED < sent_seconds or not sent_seconds:
        return 0.0, 0.0
    sent = octets * (STEPS - 1) / STEPS / sent_seconds
    return 8 * sent, 8 * (octets - arrived[0][2]) / came_seconds


__all__ = ["STEPS", "Probe", "Prober", "plan"]
