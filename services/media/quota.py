"""What one subscriber gets of each track: as it wants it, as its way can carry it, as the worker can bear it.

Sound always goes. Of pictures, the largest encoding that its tile can show and the estimate allows; when not even the
smallest fits, none. Where more is wanted than the estimate allows, probes find out whether it would go through.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from services.media.acknowledged import Acknowledged
from services.media.allocation import NONE, Choice, Wish, allocate, needed_bps
from services.media.bandwidth import Estimator
from services.media.downlink import Downlink
from services.media.outlet import Outlet
from services.media.probing import STEPS, Probe
from services.media.resends import Resends
from services.media.track import PublishedTrack

ALLOCATE_SECONDS, AMPLE_SECONDS = 0.25, 1.0
"""From one allocation to the next; the second where there is room for everything."""
ALL = 1 << 8
"""A rank above every encoding's."""
UNKNOWN_SECONDS = 2.0
"""How long the smallest pictures alone go while there is no estimate: a subscriber may send no feedback at all."""
SPARED = 0.65
"""Of what sound takes with redundancy it takes so much without: the headers stay."""
SPARE_MARGIN, FULL_SOUND_MARGIN = 1.1, 1.4
"""So much more than what sounds and the smallest pictures take must go through, or redundancy is spared; so much for it to
come back."""
LOSSY = 0.03
"""From this share of losses that are the network's own on redundancy is worth more than a picture."""
SCREEN_PRIORITY = 200
MAX_WANTS = 2_000

Link = tuple[PublishedTrack, Downlink]


@dataclass(frozen=True, slots=True)
class Want:
    """How a track is wanted; sizes in pixels, 0: as large as can be had."""

    paused: bool = False
    width: int = 0
    height: int = 0
    priority: int = 0


ANY = Want()


class Delivery(Enum):
    """Whether a picture comes."""

    ACTIVE = "active"
    PAUSED = "paused"
    STARVED = "starved"
    OUTSIDE_LAST_N = "outside_last_n"


class Quota:
    """`outside` are tracks beyond the room's last N; `cap` is the highest rank that the worker can bear.

    `on_delivery` hears, by track, when its delivery or the rid that comes is another one; `starvations` counts, by
    track, how often its picture stopped for lack of bandwidth; `desired` has the rank that would be watched, -1 for none,
    and `on_more_desired` hears when one has risen.
    """

    def __init__(self, outlet: Outlet, told: Acknowledged) -> None:
        self.estimator = Estimator(told)
        self.resends = Resends()
        self.wants: dict[str, Want] = {}
        self.outside: frozenset[str] = frozenset()
        self.cap = ALL
        self.desired: dict[str, int] = {}
        self.on_delivery: Callable[[PublishedTrack, Delivery, str], None] = lambda *_: None
        self.on_more_desired: Callable[[], None] = lambda: None
        self._outlet = outlet
        self.starvations: dict[str, int] = {}
        self._told: dict[str, tuple[Delivery, str]] = {}
        self._allocated_at = 0.0
        self._is_ample = False
        self._spares = False
        self._full_bps = 0.0
        self._began_at: float | None = None
        self._probing: list[asyncio.TimerHandle] = []

    def begin(self, track: PublishedTrack, downlink: Downlink) -> None:
        """Start with the smallest encoding, for a first picture at once; `tick` raises it."""
        track.forwarder.choose(downlink, ALL if track.kind == "audio" else 0)
        self.allocate_soon()
        for encoding in (downlink.current, downlink.target):
            if encoding is not None:
                encoding.request_keyframe()

    def allocate_soon(self) -> None:
        """Allocate at the next tick: things are not as they were."""
        self._allocated_at = 0.0

    @property
    def is_pressing(self) -> bool:
        """Tell whether the next tick is to allocate."""
        return not self._allocated_at

    def forget(self, track: PublishedTrack) -> None:
        """A track is gone."""
        for table in (self.wants, self.desired, self.starvations, self._told):
            table.pop(track.id, None)

    def want(self, track_id: str, want: Want) -> None:
        """Say how a track is wanted, from now on."""
        if track_id in self.wants or len(self.wants) < MAX_WANTS:
            self.wants[track_id] = want
            self.allocate_soon()

    def tick(self, list_links: Callable[[], Sequence[Link]], now: float) -> None:
        """Do what is due; call some ten times a second."""
        if self.estimator.tick(self._outlet.number, now):
            self.allocate_soon()
            self._tell_resends()
        if now - self._allocated_at < (AMPLE_SECONDS if self._is_ample else ALLOCATE_SECONDS):
            return
        self._allocated_at = now
        self._tell_resends()
        links = list_links()
        pictures = [link for link in links if link[0].kind == "video"]
        sounds = [downlink for track, downlink in links if track.kind == "audio"]
        wishes = [self._wish(track, downlink, now) for track, downlink in pictures]
        estimate = self._estimate(now)
        if estimate is None:
            wishes = [replace(each, choices=each.choices[:1]) for each in wishes]
        budget = math.inf if estimate is None else estimate
        smallest_bps = sum(each.choices[0].bitrate_bps for each in wishes if each.choices)
        if not self.estimator.is_limited:  # nothing speaks against the smallest pictures yet
            budget = max(budget, SPARE_MARGIN * (_bps(sounds) + smallest_bps))
        sound_bps = self._pay_sounds(sounds, smallest_bps, budget)
        chosen = allocate(wishes, budget - sound_bps)
        for track, downlink in pictures:
            self._give(track, downlink, chosen[track.id], now)
        needed = max(needed_bps(wishes) + sound_bps, self._full_bps)
        self._is_ample = estimate is not None and estimate >= needed
        self._probe(pictures, needed, now)

    def delivery(self, track_id: str) -> Delivery:
        """Tell how a track comes."""
        return self._told.get(track_id, (Delivery.ACTIVE, ""))[0]

    def close(self) -> None:
        """End what goes on."""
        for handle in self._probing:
            handle.cancel()

    def _pay_sounds(self, sounds: Sequence[Downlink], smallest_bps: float, budget: float) -> float:
        """Have sounds go, without redundancy where the smallest pictures would stop for it; returns what they take."""
        sound_bps = _bps(sounds)
        least_bps = sound_bps + smallest_bps
        needed = least_bps * (SPARE_MARGIN if not self._spares else FULL_SOUND_MARGIN)
        stops = smallest_bps > 0 and needed > budget
        self._spares = stops and self.estimator.losses.inherent < LOSSY
        self._full_bps = FULL_SOUND_MARGIN * least_bps if self._spares else 0.0
        for downlink in sounds:
            downlink.spare(spares=self._spares)
        return SPARED * sound_bps if self._spares else sound_bps

    def _tell_resends(self) -> None:
        if (bps := self.estimator.estimate_bps) is not None:
            self.resends.carried(bps, is_congested=self.estimator.is_congested)

    def _estimate(self, now: float) -> float | None:
        """Tell the estimate, None while it may still come; without feedback there is none, and all goes."""
        if self.estimator.estimate_bps is not None:
            return self.estimator.estimate_bps
        if self._began_at is None and self._outlet.number:  # there is something to tell of
            self._began_at = now
        is_early = self._began_at is None or now - self._began_at < UNKNOWN_SECONDS
        return None if is_early else math.inf

    def _wish(self, track: PublishedTrack, downlink: Downlink, now: float) -> Wish:
        want = self.wants.get(track.id, ANY)
        encodings = track.forwarder.encodings
        is_wanted = not want.paused and not self._is_outside(track, want)
        if not is_wanted or not encodings:  # of what has not come yet, all layers
            self._desire(track.id, ALL if is_wanted else NONE)
            return Wish(track.id, ())
        desired, choices = track.forwarder.choices(want.height, self.cap, now)
        self._desire(track.id, desired)
        if track.forwarder.muted:  # it takes nothing, and will begin with the smallest
            choices = [Choice(choices[0].rank, 0)]
        priority = want.priority + (SCREEN_PRIORITY if track.source == "screen" else 0)
        return Wish(track.id, choices, downlink.rank, priority)

    def _desire(self, track_id: str, rank: int) -> None:
        before = self.desired.get(track_id, NONE)
        self.desired[track_id] = rank
        if rank > before:
            self.on_more_desired()

    def _is_outside(self, track: PublishedTrack, want: Want) -> bool:
        return track.id in self.outside and not want.priority

    def _give(self, track: PublishedTrack, downlink: Downlink, rank: int, now: float) -> None:
        if downlink.rank != rank:
            if downlink.rank == NONE:
                self.estimator.expect_burst(now)
            track.forwarder.choose(downlink, rank)
        delivery = Delivery.ACTIVE
        want = self.wants.get(track.id, ANY)
        if want.paused:
            delivery = Delivery.PAUSED
        elif self._is_outside(track, want):
            delivery = Delivery.OUTSIDE_LAST_N
        elif rank == NONE and track.forwarder.encodings:
            delivery = Delivery.STARVED
        rid = downlink.current.rid if downlink.current is not None else ""
        told = (delivery, rid)
        if self._told.get(track.id, (Delivery.ACTIVE, "")) != told:
            self._told[track.id] = told
            if delivery is Delivery.STARVED:
                self.starvations[track.id] = self.starvations.get(track.id, 0) + 1
                self.estimator.hurry()
            self.on_delivery(track, delivery, rid)

    def _probe(self, pictures: Sequence[Link], needed: float, now: float) -> None:
        carrier = next((d for _, d in pictures if d.can_pad), None)
        if carrier is None:
            return
        if (probe := self.estimator.probe(needed, self._outlet.number, now)) is not None:
            self._send_probe(probe, carrier, 0)

    def _send_probe(self, probe: Probe, carrier: Downlink, step: int) -> None:
        """Send a probe in steps, so that it measures the way and not its queues."""
        now = time.monotonic()
        for _ in range(probe.packets):
            carrier.pad(probe.size, now)
        if step + 1 == STEPS:
            self._probing.clear()
            self.estimator.probed(self._outlet.number)
            return
        loop = asyncio.get_running_loop()
        self._probing = [loop.call_later(probe.seconds, self._send_probe, probe, carrier, step + 1)]


def _bps(downlinks: Sequence[Downlink]) -> float:
    """Tell what the encodings take that feed downlinks."""
    return sum(each.current.bitrate_bps for each in downlinks if each.current is not None)


__all__ = ["ALL", "Delivery", "Quota", "Want"]
