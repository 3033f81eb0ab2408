"""A participant's publisher connection: what it sends, taken apart by track, and what we tell its congestion control."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.media import rtcp, rtp, sdp
from services.media.domain import MAX_TRACKS_PER_PEER, NotGranted, SdpInvalid, TooManyTracks
from services.media.forwarder import Forwarder
from services.media.transport import Transport, rejected

FEEDBACK_LIMIT = 200
"""Arrivals that one transport-wide feedback packet reports."""
FEEDBACK_SECONDS = 0.1
REPORT_SECONDS = 1.0
MAX_JUMP = 2_000
FEEDBACK_SPAN = 500
"""Numbers from the first to the last that one feedback packet reports, so that it fits a datagram."""

SOURCE_KINDS = {
    "microphone": "audio",
    "camera": "video",
    "screen": "video",
    "screen_audio": "audio",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client says of a section that it offers: its source (by name) and whether it begins muted."""

    source: str
    muted: bool


@dataclass(slots=True, eq=False)
class PublishedTrack:
    """A track in a room. `participant` is its publisher's resource name."""

    id: str
    participant: str
    mid: str
    source: str
    forwarder: Forwarder

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self.forwarder.codec.kind


@dataclass(frozen=True, slots=True)
class Published:
    """What an offer has changed: the answer, and the tracks that came and went."""

    answer: str
    added: list[PublishedTrack]
    removed: list[PublishedTrack]


class Publisher:
    """The publisher connection of `participant`. `on_audio` gets each audio packet's payload, for the AI tap."""

    def __init__(
        self,
        participant: str,
        granted: frozenset[str],
        transport: Transport,
        local: Callable[[], sdp.Local],
    ) -> None:
        self.transport = transport
        self.tracks: dict[str, PublishedTrack] = {}
        self.on_audio: Callable[[PublishedTrack, bytes], None] = lambda _track, _packet: None
        self._participant = participant
        self._granted = granted
        self._local = local
        self._by_ssrc: dict[int, PublishedTrack] = {}
        self._by_payload_type: dict[int, PublishedTrack] = {}
        self._arrivals: dict[int, float] = {}
        self._highest = -1
        self._oldest = 0
        self._feedback_count = 0
        self._feedback_at = 0.0
        self._reported_at = 0.0
        self._now = 0.0
        transport.on_rtp = self._receive_rtp
        transport.on_rtcp = self._receive_rtcp

    def negotiate(self, text: str, wanted: Mapping[str, Wanted]) -> Published:
        """Answer an offer. Raises SdpInvalid, NotGranted, TooManyTracks, and then nothing has changed."""
        offer = sdp.parse(text)
        accepted = self._accepted(offer, wanted)
        if self.transport.set_remote(offer.remote):
            self.transport.ice.restart()
        removed = [track for mid, track in self.tracks.items() if mid not in accepted]
        added = []
        for section in offer.sections:
            if section.mid in accepted and section.mid not in self.tracks:
                track = self._new_track(section, accepted[section.mid][1], wanted.get(section.mid))
                self.tracks[section.mid] = track
                added.append(track)
        for track in removed:
            del self.tracks[track.mid]
        self._index(offer, accepted)
        return Published(sdp.answer(offer, accepted, self._local()), added, removed)

    def find(self, track_id: str) -> PublishedTrack | None:
        """Find a track by its id."""
        return next((track for track in self.tracks.values() if track.id == track_id), None)

    def tick(self, now: float) -> None:
        """Do what is due: keyframe requests, NACKs, reports, congestion feedback."""
        self._now = now
        for track in self.tracks.values():
            track.forwarder.tick(now)
        if self._arrivals and now - self._feedback_at >= FEEDBACK_SECONDS:
            self._feedback_at = now
            self._send_feedback()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._send_report(now)

    def _accepted(
        self, offer: sdp.Description, wanted: Mapping[str, Wanted]
    ) -> dict[str, tuple[int, sdp.Codec]]:
        accepted: dict[str, tuple[int, sdp.Codec]] = {}
        seen: set[str] = set()
        for section in offer.sections:
            if not section.mid or section.mid in seen:
                raise SdpInvalid(text="A section has no mid, or another's.")
            seen.add(section.mid)
            if not section.is_active or section.direction == "recvonly":
                continue
            if (chosen := section.chosen()) is not None:
                source = _source(section, wanted.get(section.mid))
                if source not in self._granted:
                    raise NotGranted(source=source)
                accepted[section.mid] = chosen
        if not accepted and any(section.is_active for section in offer.sections):
            raise SdpInvalid(text="Nothing is offered that this server speaks: Opus; VP8 or H.264.")
        if len(accepted) > MAX_TRACKS_PER_PEER:
            raise TooManyTracks(limit=str(MAX_TRACKS_PER_PEER))
        return accepted

    def _new_track(
        self, section: sdp.Section, codec: sdp.Codec, wanted: Wanted | None
    ) -> PublishedTrack:
        extensions = {
            section.extensions[uri]: identifier
            for uri, identifier in sdp.FORWARDED_EXTENSIONS.items()
            if uri in section.extensions
        }
        forwarder = Forwarder(
            codec,
            extensions,
            section.extensions.get(sdp.TRANSPORT_SEQUENCE, 0),
            self.transport.send_rtcp,
        )
        forwarder.muted = wanted is not None and wanted.muted
        return PublishedTrack(
            id=secrets.token_hex(8),
            participant=self._participant,
            mid=section.mid,
            source=_source(section, wanted),
            forwarder=forwarder,
        )

    def _index(self, offer: sdp.Description, accepted: Mapping[str, tuple[int, sdp.Codec]]) -> None:
        self._by_ssrc, self._by_payload_type = {}, {}
        for section in offer.sections:
            if (track := self.tracks.get(section.mid)) is not None:
                self._by_ssrc.update(dict.fromkeys(section.ssrcs, track))
                self._by_payload_type.setdefault(accepted[section.mid][0], track)

    def _receive_rtp(self, packet: bytes) -> None:
        track = self._by_ssrc.get(rtp.ssrc(packet)) or self._by_payload_type.get(
            rtp.payload_type(packet)
        )
        if track is None:
            rejected.labels("rtp").inc()
            return
        now = self._now = time.monotonic()
        try:
            number = track.forwarder.receive(packet, now)
            if track.forwarder.codec is sdp.OPUS:
                self.on_audio(track, packet)
        except rtp.PacketInvalid:
            rejected.labels("rtp").inc()
            return
        if number >= 0:
            self._note_arrival(number)

    def _receive_rtcp(self, packet: bytes) -> None:
        try:
            feedback = rtcp.parse(packet)
        except rtcp.RtcpInvalid:
            rejected.labels("rtcp").inc()
            return
        for item in feedback:
            if isinstance(item, rtcp.SenderReport) and item.ssrc in self._by_ssrc:
                self._by_ssrc[item.ssrc].forwarder.report(item)

    def _note_arrival(self, number: int) -> None:
        """Unwrap a transport-wide sequence number and note when it came."""
        if self._highest < 0:
            self._highest = number
        step = ((number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        unwrapped = self._highest + step
        self._highest = max(self._highest, unwrapped)
        if abs(step) > MAX_JUMP:
            self._arrivals.clear()
        if self._arrivals and abs(unwrapped - self._oldest) > FEEDBACK_SPAN:
            self._send_feedback()
        if not self._arrivals:
            self._oldest = unwrapped
        self._arrivals.setdefault(unwrapped, self._now)
        if len(self._arrivals) >= FEEDBACK_LIMIT:
            self._send_feedback()

    def _send_feedback(self) -> None:
        arrivals, self._arrivals = sorted(self._arrivals.items()), {}
        first = next((t.forwarder.ssrc for t in self.tracks.values() if t.forwarder.ssrc), 0)
        packet = rtcp.transport_feedback(1, first, self._feedback_count, arrivals)
        self._feedback_count += 1
        self.transport.send_rtcp(packet)

    def _send_report(self, now: float) -> None:
        blocks = [
            track.forwarder.reception.block(track.forwarder.ssrc, now)
            for track in self.tracks.values()
            if track.forwarder.ssrc
        ]
        if blocks:
            self.transport.send_rtcp(rtcp.receiver_report(1, blocks))


def _source(section: sdp.Section, wanted: Wanted | None) -> str:
    named = wanted.source if wanted is not None else ""
    source = named or ("microphone" if section.kind == "audio" else "camera")
    if SOURCE_KINDS.get(source) != section.kind:
        raise SdpInvalid(text=f"A {source} sends no {section.kind}.")
    return source


__all__ = ["Published", "PublishedTrack", "Publisher", "Wanted"]
