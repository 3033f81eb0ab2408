"""A participant's subscriber connection: what it receives, one section of its offer per forwarded track.

We offer, the client answers; one offer is out at a time, and what changes meanwhile makes the next. A section whose
track has gone is kept and given to a later track of the same codec, so that offers do not grow for ever.

An offer that is not answered goes out again, for as long as the peer is there: it or its answer was lost, and who can't
answer at all is taken out by signaling. It is the same offer, so that an answer that was merely late still counts; and
the waits grow, since an offer of a large room is large.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.media import rtcp, sdp
from services.media.downlink import Accepted, Downlink, Way
from services.media.fanout import Fanout
from services.media.quota import Quota
from services.media.track import PublishedTrack
from services.media.transport import Transport, rejected

ANSWER_SECONDS = 5.0
"""An offer that is not answered by then goes out again; after each time the wait is twice as long."""
MAX_ANSWER_SECONDS = 40.0
WEIGH_SECONDS = 0.09
"""From one look at what the way can carry to the next, where nothing has to be allocated at once: feedback comes no faster."""


@dataclass(slots=True)
class _Slot:
    mid: str
    codec: sdp.Codec
    ssrc: int
    rtx_ssrc: int
    track: PublishedTrack | None
    downlink: Downlink | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer for the client; `tracks` are (mid, track id)."""

    sdp: str
    revision: int
    tracks: list[tuple[str, str]]


class Subscriber:
    """The subscriber connection. `on_offer` gets each offer that must reach the client."""

    def __init__(
        self,
        transport: Transport,
        fanout: Fanout,
        local: Callable[[], sdp.Local],
        on_offer: Callable[[Offer], None],
    ) -> None:
        self.transport = transport
        self._told = transport.inlet.acknowledged = fanout.acknowledged(transport.outlet)
        self.quota = Quota(transport.outlet, self._told)
        self._way = Way(fanout, transport.outlet, self.quota.resends, transport.send_rtcp)
        self._local = local
        self._on_offer = on_offer
        self._slots: list[_Slot] = []
        self._by_ssrc: dict[int, _Slot] = {}
        self._revision = 0
        self._offered: Offer | None = None
        self._due_at = 0.0
        self._patience_seconds = ANSWER_SECONDS
        self._changed = False
        self._now = self._reported_at = self._weighed_at = 0.0
        transport.inlet.on_rtcp = self._receive_rtcp
        transport.on_connected = self._request_keyframes

    def add(self, tracks: Sequence[PublishedTrack]) -> None:
        """Receive tracks, from the next offer on: one for all of them."""
        for track in tracks:
            self._add(track)
        if tracks:
            self._offer_soon()

    def _add(self, track: PublishedTrack) -> None:
        ssrc, rtx_ssrc = _new_ssrc(), _new_ssrc()
        for slot in self._slots:
            if slot.track is None and slot.codec is track.forwarder.codec:
                slot.track, slot.ssrc, slot.rtx_ssrc = track, ssrc, rtx_ssrc
                break
        else:
            mid = str(len(self._slots))
            self._slots.append(_Slot(mid, track.forwarder.codec, ssrc, rtx_ssrc, track))

    def remove(self, track: PublishedTrack) -> None:
        """Receive a track no more."""
        for slot in self._slots:
            if slot.track is track:
                self._disconnect(slot)
                self.quota.forget(track)
                slot.track = None
                self._offer_soon()

    def restart_ice(self) -> None:
        """Offer new ICE credentials."""
        self.transport.ice.restart()
        self._settle()
        self._offer_soon()

    def answer(self, text: str, revision: int) -> None:
        """Take the client's answer; one to an older offer is ignored. Raises SdpInvalid."""
        if revision != self._revision:
            return
        description = sdp.parse(text)
        self.transport.set_remote(description.remote)
        sections = {
            section.mid: section
            for section in description.sections
            if section.is_active and section.direction in ("recvonly", "sendrecv")
        }
        for slot in self._slots:
            if slot.track is not None and (section := sections.get(slot.mid)) is not None:
                self._connect(slot, slot.track, _accepted(slot, section))
            else:
                self._disconnect(slot)
        self._settle()
        if self._changed:
            self._offer_soon()

    def tick(self, now: float) -> None:
        """Do what is due: offers that were not answered, or what has changed since, what each track may take, sender reports."""
        self._now = now
        if self._offered is not None and now >= self._due_at:
            self._patience_seconds = min(2 * self._patience_seconds, MAX_ANSWER_SECONDS)
            self._say(self._new_offer() if self._changed else self._offered)
        if now - self._weighed_at < WEIGH_SECONDS and not self.quota.is_pressing:
            return
        self._weighed_at = now
        if not self.transport.is_connected:
            return
        self.quota.tick(self.downlinks, now)
        if now - self._reported_at >= rtcp.REPORT_SECONDS:
            self._reported_at = now
            self._way.report((downlink for _, downlink in self.downlinks()), now)

    def close(self) -> None:
        """Receive nothing more."""
        for slot in self._slots:
            self._disconnect(slot)
        self.quota.close()

    def downlinks(self) -> list[tuple[PublishedTrack, Downlink]]:
        """List what is being sent."""
        return [(s.track, s.downlink) for s in self._slots if s.track is not None and s.downlink]

    @property
    def rtt_seconds(self) -> float:
        """The round trip's time by what the subscriber reports of our sender reports; 0 while it is not known."""
        return max((downlink.rtt_seconds for _, downlink in self.downlinks()), default=0.0)

    def _settle(self) -> None:
        """Wait for no answer any more."""
        self._offered = None
        self._patience_seconds = ANSWER_SECONDS

    def _offer_soon(self) -> None:
        self._changed = True
        if self._offered is None:
            self._say(self._new_offer())

    def _new_offer(self) -> Offer:
        self._changed = False
        self._revision += 1
        sections = [
            sdp.Outgoing(
                slot.mid,
                slot.codec,
                slot.ssrc,
                slot.rtx_ssrc,
                None if slot.track is None else (_last(slot.track.participant), slot.track.id),
            )
            for slot in self._slots
        ]
        text = sdp.offer(sections, self._local(), self._revision)
        tracks = [(slot.mid, slot.track.id) for slot in self._slots if slot.track is not None]
        return Offer(text, self._revision, tracks)

    def _say(self, offer: Offer) -> None:
        self._offered = offer
        self._due_at = self._now + self._patience_seconds
        self._on_offer(offer)

    def _connect(self, slot: _Slot, track: PublishedTrack, accepted: Accepted) -> None:
        if slot.downlink is not None and slot.downlink.ssrc == slot.ssrc:
            return
        self._disconnect(slot)
        slot.downlink = Downlink(self._way, slot.ssrc, accepted)
        slot.downlink.on_choices = self.quota.allocate_soon
        self._by_ssrc[slot.ssrc] = slot
        track.forwarder.add(slot.downlink)
        if self.transport.is_connected:  # else a keyframe would come too soon, and delay the next
            self.quota.begin(track, slot.downlink)

    def _disconnect(self, slot: _Slot) -> None:
        if slot.downlink is None:
            return
        self._by_ssrc.pop(slot.downlink.ssrc, None)
        if slot.track is not None:
            slot.track.forwarder.remove(slot.downlink)
            self.quota.forget(slot.track)
        slot.downlink = None

    def _request_keyframes(self) -> None:
        for track, downlink in self.downlinks():
            self.quota.begin(track, downlink)

    def _receive_rtcp(self, packet: bytes) -> None:
        try:
            feedback = rtcp.parse(packet)
        except rtcp.RtcpInvalid:
            rejected.labels("rtcp").inc()
            return
        self._now = time.monotonic()
        for item in feedback:
            if isinstance(item, rtcp.TransportFeedback):
                self._take_transport_feedback(item.body)
            elif (slot := self._by_ssrc.get(item.ssrc)) is not None and slot.downlink is not None:
                slot.downlink.take_feedback(item, self._now)

    def _take_transport_feedback(self, body: bytes) -> None:
        try:
            self._told.receive(body)
        except ValueError:
            rejected.labels("rtcp").inc()


def _accepted(slot: _Slot, section: sdp.Section) -> Accepted:
    rtx = slot.codec.rtx_payload_type
    has_rtx = rtx in section.payload_types
    red = sdp.RED_PAYLOAD_TYPE in section.payload_types
    return Accepted(
        rtx if has_rtx else 0, slot.rtx_ssrc if has_rtx else 0, red or slot.codec is not sdp.OPUS
    )


def _new_ssrc() -> int:
    return secrets.randbelow(2**32 - 1) + 1


def _last(name: str) -> str:
    return name.rpartition("/")[2]


__all__ = ["Offer", "Subscriber"]
