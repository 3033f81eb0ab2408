"""Whose packet is it: a publisher's SSRCs, and the track and encoding that each belongs to.

Browsers name SSRCs in their offers, or, with simulcast, only mids and rids, in header extensions of the first packets
(RFC 8852). What is found out once is kept; the number of sources is bounded by the transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from services.media import rtp, sdp
from services.media.encoding import Encoding
from services.media.inlet import Inlet
from services.media.track import PublishedTrack


class Source(NamedTuple):
    """An SSRC: `is_repair` when it retransmits the encoding (RFC 4588)."""

    track: PublishedTrack
    encoding: Encoding
    is_repair: bool = False


class Sources:
    """The sources of a publisher's `tracks` (by mid), whose streams are connected to `inlet`."""

    def __init__(self, tracks: Mapping[str, PublishedTrack], inlet: Inlet) -> None:
        self._tracks = tracks
        self._inlet = inlet
        self._known: dict[int, Source] = {}

    @property
    def any_ssrc(self) -> int:
        """Get some source's SSRC, 0 when there is none."""
        return next(iter(self._known), 0)

    def find(self, packet: bytes) -> Source:
        """Find a packet's source. Raises PacketInvalid when nothing tells."""
        ssrc = rtp.ssrc(packet)
        if (known := self._known.get(ssrc)) is None:
            if (track := self._track(packet, ssrc)) is None:
                raise rtp.PacketInvalid
            known = self._known[ssrc] = self._learn(track, packet, ssrc)
        return known

    def forget(self, track: PublishedTrack) -> None:
        """A track is gone."""
        self._keep({ssrc: it for ssrc, it in self._known.items() if it.track is not track})

    def _track(self, packet: bytes, ssrc: int) -> PublishedTrack | None:
        tracks = self._tracks.values()
        for track in tracks:
            if ssrc in track.section.ssrcs or ssrc in track.section.repairs:
                return track
        for track in tracks:
            if _text(packet, track, sdp.MID) == track.mid:
                return track
        number = rtp.payload_type(packet)
        unnamed = [track for track in tracks if not track.section.ssrcs]
        fitting = [track for track in unnamed if number in track.section.payload_types]
        return fitting[0] if len(fitting) == 1 else None

    def _learn(self, track: PublishedTrack, packet: bytes, ssrc: int) -> Source:
        section, forwarder = track.section, track.forwarder
        if primary := section.repairs.get(ssrc, 0):
            return self._repair(track, [e for e in forwarder.encodings if e.ssrc == primary])
        if repaired := _text(packet, track, sdp.REPAIRED_RID):
            return self._repair(track, [e for e in forwarder.encodings if e.rid == repaired])
        if rtp.payload_type(packet) == section.retransmission(track.payload_type):
            return self._repair(track, forwarder.encodings)
        rid = _text(packet, track, sdp.RID) if section.rids else ""
        if section.rids and rid not in section.rids:
            raise rtp.PacketInvalid
        encoding = forwarder.encode(ssrc, rid, section.rids.index(rid) if rid else 0)
        self._keep(
            {
                key: each
                for key, each in self._known.items()
                if each.encoding in each.track.forwarder.encodings
            }
        )
        self._inlet.connect(ssrc, encoding.stream)
        return Source(track, encoding)

    def _keep(self, known: dict[int, Source]) -> None:
        for ssrc in self._known.keys() - known.keys():
            self._inlet.connect(ssrc, None)
        self._known = known

    def _repair(self, track: PublishedTrack, repaired: list[Encoding]) -> Source:
        if len(repaired) != 1:
            raise rtp.PacketInvalid
        return Source(track, repaired[0], is_repair=True)


def _text(packet: bytes, track: PublishedTrack, uri: str) -> str:
    """Read a header extension that is text; empty when it is not there."""
    identifier = track.section.extensions.get(uri, 0)
    return rtp.find_extension(packet, identifier).decode("ascii", "replace") if identifier else ""


__all__ = ["Source", "Sources"]
