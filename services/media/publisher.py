"""A participant's publisher connection: what it sends, taken apart by track, and what we tell its congestion control."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.media import rtcp, rtp, sdp
from services.media.data import DataChannels
from services.media.domain import MAX_TRACKS_PER_PEER, NotGranted, SdpInvalid, TooManyTracks
from services.media.encoding import Encoding
from services.media.fanout import Fanout
from services.media.forwarder import Forwarder, Terms
from services.media.sources import Sources
from services.media.track import PublishedTrack
from services.media.transport import Transport, rejected

FEEDBACK_SECONDS = 0.1
"""How often a publisher is told when its packets came: by every other tick."""

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


@dataclass(frozen=True, slots=True)
class Published:
    """What an offer has changed: the answer, and the tracks that came and went."""

    answer: str
    added: list[PublishedTrack]
    removed: list[PublishedTrack]


class Publisher:
    """The publisher connection of `participant`."""

    def __init__(
        self,
        participant: str,
        granted: frozenset[str],
        transport: Transport,
        fanout: Fanout,
        local: Callable[[], sdp.Local],
    ) -> None:
        self.transport = transport
        self.tracks: dict[str, PublishedTrack] = {}
        self._participant = participant
        self.granted = granted
        self._fanout = fanout
        self._local = local
        self.data = DataChannels(transport.send_data)
        self._sources = Sources(self.tracks, transport.inlet)
        self._told_at = 0.0
        self._reported_at = 0.0
        self._now = 0.0
        transport.inlet.on_rtp = self._receive_rtp
        transport.inlet.on_rtcp = self._receive_rtcp
        transport.on_data = self.data.receive

    def negotiate(self, text: str, wanted: Mapping[str, Wanted]) -> Published:
        """Answer an offer. Raises SdpInvalid, NotGranted, TooManyTracks, and then nothing has changed."""
        offer = sdp.parse(text)
        accepted = self._accepted(offer, wanted)
        if self.transport.set_remote(offer.remote):
            self.transport.ice.restart()
        removed = [
            track
            for mid, track in self.tracks.items()
            if mid not in accepted or accepted[mid][1] is not track.forwarder.codec
        ]
        for track in removed:
            self._forget(track)
        added = []
        for section in offer.sections:
            if section.mid not in accepted:
                continue
            if (known := self.tracks.get(section.mid)) is not None:
                known.section, known.payload_type = section, accepted[section.mid][0]
                known.forwarder.renegotiate(_terms(section, accepted[section.mid]))
            else:
                track = self._new_track(section, accepted[section.mid], wanted.get(section.mid))
                self.tracks[section.mid] = track
                added.append(track)
        data = [section.mid for section in offer.sections if section.is_data and section.is_active][
            :1
        ]
        if data:
            port = next(section.sctp_port for section in offer.sections if section.mid == data[0])
            self.data.open(port)
        return Published(sdp.answer(offer, accepted, self._local(), data), added, removed)

    def withdraw(self, granted: frozenset[str]) -> list[PublishedTrack]:
        """Take sources away: their tracks are gone at once, and can't be offered again. Returns those tracks."""
        self.granted = granted
        removed = [track for track in self.tracks.values() if track.source not in granted]
        for track in removed:
            self._forget(track)
        return removed

    def find(self, track_id: str) -> PublishedTrack | None:
        """Find a track by its id."""
        return next((track for track in self.tracks.values() if track.id == track_id), None)

    def tick(self, now: float) -> None:
        """Do what is due: keyframe requests, NACKs, reports, congestion feedback."""
        self._now = now
        for track in self.tracks.values():
            track.forwarder.tick(now)
        if now - self._told_at >= FEEDBACK_SECONDS:
            self._told_at = now
            for feedback in self.transport.inlet.take_feedback(self._sources.any_ssrc):
                self.transport.send_rtcp(feedback)
        if now - self._reported_at >= rtcp.REPORT_SECONDS:
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
            if not section.is_active or section.direction == "recvonly" or section.is_data:
                continue
            if (chosen := section.chosen()) is not None:
                source = _source(section, wanted.get(section.mid))
                if source not in self.granted:
                    raise NotGranted(source=source)
                accepted[section.mid] = chosen
        if not accepted and any(s.is_active and not s.is_data for s in offer.sections):
            raise SdpInvalid(
                text="Nothing is offered that this server speaks: Opus; VP8, VP9, H.264 or AV1."
            )
        if len(accepted) > MAX_TRACKS_PER_PEER:
            raise TooManyTracks(limit=str(MAX_TRACKS_PER_PEER))
        return accepted

    def _new_track(
        self, section: sdp.Section, chosen: tuple[int, sdp.Codec], wanted: Wanted | None
    ) -> PublishedTrack:
        payload_type, codec = chosen
        forwarder = Forwarder(
            codec, _terms(section, chosen), self._fanout, self.transport.send_rtcp
        )
        forwarder.muted = wanted is not None and wanted.muted
        return PublishedTrack(
            id=secrets.token_hex(8),
            participant=self._participant,
            mid=section.mid,
            source=_source(section, wanted),
            forwarder=forwarder,
            section=section,
            payload_type=payload_type,
        )

    def _forget(self, track: PublishedTrack) -> None:
        del self.tracks[track.mid]
        self._sources.forget(track)

    def _receive_rtp(self, packet: bytes) -> None:
        """Take the first packet of a source, or a retransmission: all else goes from the inlet to its stream."""
        now = self._now = time.monotonic()
        try:
            source = self._sources.find(packet)
            if source.is_repair:
                number = self._receive_repair(source.track, packet, source.encoding, now)
            else:
                number = source.track.forwarder.receive(packet, source.encoding, now)
        except rtp.PacketInvalid:
            rejected.labels("rtp").inc()
            return
        if number >= 0:
            self.transport.inlet.note_arrival(number, now)

    def _receive_repair(
        self, track: PublishedTrack, packet: bytes, encoding: Encoding, now: float
    ) -> int:
        """Take a retransmission (RFC 4588), or padding that comes as one. Raises PacketInvalid."""
        original = rtp.unwrap_retransmission(packet, track.payload_type, encoding.ssrc)
        if original is not None:
            return track.forwarder.receive(original, encoding, now)
        identifier = track.section.extensions.get(sdp.TRANSPORT_SEQUENCE, 0)
        number = rtp.find_extension(packet, identifier) if identifier else b""
        return int.from_bytes(number, "big") if len(number) == 2 else -1

    def _receive_rtcp(self, packet: bytes) -> None:
        try:
            feedback = rtcp.parse(packet)
        except rtcp.RtcpInvalid:
            rejected.labels("rtcp").inc()
            return
        for item in feedback:
            if isinstance(item, rtcp.SenderReport):
                for track in self.tracks.values():
                    track.forwarder.report(item)

    def _send_report(self, now: float) -> None:
        blocks = [
            encoding.reception.block(encoding.ssrc, now)
            for track in self.tracks.values()
            for encoding in track.forwarder.encodings
        ]
        if blocks:
            self.transport.send_rtcp(rtcp.receiver_report(1, blocks))


def _terms(section: sdp.Section, chosen: tuple[int, sdp.Codec]) -> Terms:
    payload_type, codec = chosen
    payload_types = {payload_type: codec.payload_type}
    if codec is sdp.OPUS and (red := section.redundancy()):
        payload_types[red] = sdp.RED_PAYLOAD_TYPE
    extensions = {
        section.extensions[uri]: identifier
        for uri, identifier in sdp.FORWARDED_EXTENSIONS.items()
        if uri in section.extensions
    }
    return Terms(payload_types, extensions, section.extensions.get(sdp.TRANSPORT_SEQUENCE, 0))


def _source(section: sdp.Section, wanted: Wanted | None) -> str:
    named = wanted.source if wanted is not None else ""
    source = named or ("microphone" if section.kind == "audio" else "camera")
    if SOURCE_KINDS.get(source) != section.kind:
        raise SdpInvalid(text=f"A {source} sends no {section.kind}.")
    return source


__all__ = ["Published", "Publisher", "Wanted"]
