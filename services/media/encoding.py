"""One stream of RTP from a publisher: a simulcast layer, or all that there is of a track.

Asks the publisher for what has not come, and for keyframes. Its stream counts, keeps and forwards what has come, along
the lanes that it feeds; `plain_lanes` are those of subscribers that take no redundant audio.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from services.media import rtcp
from services.media.fanout import Fanout
from services.media.outlet import WIRE_BYTES, Lane
from services.media.reception import Reception
from services.media.rtp import MIN_HEADER
from services.media.sdp import Codec
from services.media.stream import Kept

KEYFRAME_INTERVAL_SECONDS = 0.35
"""Between two keyframe requests to one source, or as long as an answer takes; a request that comes sooner is deferred,
never dropped. libwebrtc drops those that come within 300 ms of one another."""
NACK_TRIES = 8
NACK_RETRY_SECONDS = (0.06, 0.5)
"""A packet is asked for again when an answer would have come: the soonest and the latest; publishers pass over a second
request that comes within one round trip of the first."""
ANSWER_MARGIN = 1.2
"""So many times as long as answers take is waited for one."""
MAX_MISSING = 256
MAX_GAP = 256
"""A jump further than this is a new beginning, not loss."""
METER_SECONDS = 0.5
METERED = 5
"""Measurements of which the middle one counts: a keyframe is no rate."""
PACKET_BYTES = MIN_HEADER + 8 + WIRE_BYTES
"""What a packet takes beside its payload: its header with the transport-wide number, and what is under it."""
IDLE_SECONDS = 1.0
"""A video source that has sent nothing for this long is switched off."""
TYPICAL_BPS = (150_000, 500_000, 1_700_000)
TYPICAL_SOUND_BPS = 50_000
TYPICAL_HEIGHTS = (180, 360, 720)
"""What layers take that have not been seen yet, and their heights in pixels, by rank."""


class _Asked(NamedTuple):
    """How often a missing packet was asked for, and when first and last."""

    tries: int
    first: float
    last: float


class Waiting(Protocol):
    """Who waits for an encoding's next keyframe."""

    def begin(self, encoding: Encoding, kept: Kept, now: float) -> None:
        """It is here."""
        ...


class Encoding:
    """`rank` orders a track's encodings, 0 the smallest. `request` sends RTCP to the publisher.

    `stream` is what is received of it; `on_packet` gets of that what `Stream` says, and all while it is looked for a
    keyframe or `is_tapped`.
    """

    def __init__(
        self,
        codec: Codec,
        ssrc: int,
        rid: str,
        rank: int,
        fanout: Fanout,
        request: Callable[[bytes], None],
        on_packet: Callable[[Encoding, Kept, int, float], None],
    ) -> None:
        self.codec = codec
        self.ssrc = ssrc
        self.rid = rid
        self.rank = rank
        self.rtx_ssrc = 0
        self.stream = fanout.stream(
            codec.clock_rate,
            codec.name == "VP8",
            lambda kept, before, now: on_packet(self, kept, before, now),
            -IDLE_SECONDS,
        )
        self.reception = Reception(self.stream, codec.clock_rate)
        self.plain_lanes: list[Lane] = []
        self.waiting: list[Waiting] = []
        self.height = 0
        self.is_tapped = False
        self.keyframe_requests = 0
        self.nacks = 0
        self.recovered = 0
        self.report: rtcp.SenderReport | None = None
        self._request = request
        self._missing: dict[int, _Asked] = {}
        self._answer_seconds = NACK_RETRY_SECONDS[0]
        self._asked_at = -KEYFRAME_INTERVAL_SECONDS
        self._keyframe_wanted = False
        self._measured: deque[int] = deque(maxlen=METERED)
        self._bitrate_bps = 0
        self._metered_at = 0.0
        self._metered_octets = 0
        self.watch()

    @property
    def bitrate_bps(self) -> int:
        """What it takes on the wire, as measured of late; while it is off, what it took before or what its like take."""
        if self._bitrate_bps:
            return self._bitrate_bps
        if self.codec.kind == "audio":
            return TYPICAL_SOUND_BPS
        return TYPICAL_BPS[min(self.rank, len(TYPICAL_BPS) - 1)]

    @property
    def typical_height(self) -> int:
        """Its height in pixels; while that is not known, what its like have."""
        return self.height or TYPICAL_HEIGHTS[min(self.rank, len(TYPICAL_HEIGHTS) - 1)]

    def is_active(self, now: float) -> bool:
        """Tell whether it is being sent."""
        return now - self.stream.last_at < IDLE_SECONDS

    def watch(self) -> None:
        """See anew whether each packet is to be looked at: call when anything that decides on it has changed."""
        is_sized = self.codec.name != "VP8" or self.height
        self.stream.is_watched = bool(
            self.waiting or self.plain_lanes or self.is_tapped or not is_sized
        )

    def note_gap(self, extended: int, before: int, now: float) -> None:
        """Ask the publisher for what was skipped between `before`, the highest so far, and a packet that has come."""
        if (asked := self._missing.pop(extended, None)) is not None:
            self.recovered += 1
            self._note_answer(now - asked.first)
        gap = extended - before - 1 if before >= 0 else 0
        if 0 < gap <= MAX_GAP:
            self._missing.update(
                {each: _Asked(0, now, now) for each in range(before + 1, extended)}
            )
            while len(self._missing) > MAX_MISSING:
                del self._missing[next(iter(self._missing))]
            self._ask_for_missing(now)
        elif gap > MAX_GAP:
            self._missing.clear()

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe, at the next `tick` that may."""
        self._keyframe_wanted = self.codec.kind == "video"

    def keyframe_came(self) -> None:
        """One has begun: who wanted one has it."""
        self._keyframe_wanted = False

    def tick(self, now: float) -> None:
        """Do what is due: keyframe requests and NACKs to the publisher. Call some twenty times a second."""
        if not self.stream.packets:
            return
        is_wanted = self._keyframe_wanted or (self.waiting and self.codec.kind == "video")
        if is_wanted and now - self._asked_at >= max(KEYFRAME_INTERVAL_SECONDS, self._answer_wait):
            self._keyframe_wanted = False
            self._asked_at = now
            self.keyframe_requests += 1
            self._request(rtcp.picture_loss_indication(1, self.ssrc))
        if self._missing:
            self._ask_for_missing(now)
        if now - self._metered_at >= METER_SECONDS:
            self._meter(now)

    def _meter(self, now: float) -> None:
        elapsed, self._metered_at = now - self._metered_at, now
        total = self.stream.octets + PACKET_BYTES * self.stream.packets
        octets, self._metered_octets = total - self._metered_octets, total
        if octets and elapsed < 4 * METER_SECONDS:  # what is off keeps the figure that it had
            self._measured.append(int(8 * octets / elapsed))
            self._bitrate_bps = statistics.median_low(self._measured)

    @property
    def _answer_wait(self) -> float:
        """How long an answer is waited for."""
        soonest, latest = NACK_RETRY_SECONDS
        return max(soonest, min(latest, ANSWER_MARGIN * self._answer_seconds))

    def _note_answer(self, seconds: float) -> None:
        """Learn how long an answer takes, counted from the first request."""
        self._answer_seconds += (seconds - self._answer_seconds) / 4

    def _ask_for_missing(self, now: float) -> None:
        wait, due = self._answer_wait, []
        for extended, (tries, first, last) in list(self._missing.items()):
            if tries and now - last < wait:
                continue
            if tries >= NACK_TRIES:
                del self._missing[extended]
                if self.stream.lanes or self.waiting:  # who watches waits for it in vain
                    self.request_keyframe()
            else:
                self._missing[extended] = _Asked(tries + 1, first, now)
                due.append(extended & 0xFFFF)
        if due:
            self.nacks += len(due)
            self._request(rtcp.nack(1, self.ssrc, due))


__all__ = ["Encoding"]
