"""Tracks that are published at another worker, as they come to this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parley.media.v1.relay_pb2 import RelayTrack

from services.media import messages, rtp, sdp
from services.media.encoding import Encoding
from services.media.fanout import Fanout
from services.media.forwarder import Forwarder, Terms
from services.media.track import PublishedTrack

CODECS = {codec.name: codec for codec in sdp.CODECS}
SOURCES = {value: name for name, value in messages.SOURCES.items()}


@dataclass(slots=True, eq=False)
class Arriving:
    """A source (SSRC) that comes from another worker; `repairs` is the one that it retransmits."""

    track: PublishedTrack
    ssrc: int
    rid: str = ""
    rank: int = 0
    repairs: Arriving | None = None
    encoding: Encoding | None = None

    def receive(self, packet: bytes, now: float) -> None:
        """Forward a packet. Raises PacketInvalid."""
        forwarder = self.track.forwarder
        if self.repairs is not None:
            encoding = self.repairs.encoding
            original = rtp.unwrap_retransmission(
                packet, forwarder.codec.payload_type, self.repairs.ssrc
            )
            if encoding is not None and original is not None:
                forwarder.receive(original, encoding, now)
            return
        if self.encoding is None:
            self.encoding = forwarder.encode(self.ssrc, self.rid, self.rank)
        forwarder.receive(packet, self.encoding, now)


def remote_track(
    shown: RelayTrack, node: str, fanout: Fanout, request: Callable[[bytes], None]
) -> PublishedTrack:
    """Make the track that `node` has shown; what comes of it is laid out as that worker sends to any subscriber."""
    codec = CODECS[shown.codec]
    payload_types = {codec.payload_type: codec.payload_type}
    if codec is sdp.OPUS:
        payload_types[sdp.RED_PAYLOAD_TYPE] = sdp.RED_PAYLOAD_TYPE
    extensions = {identifier: identifier for identifier in sdp.FORWARDED_EXTENSIONS.values()}
    terms = Terms(payload_types, extensions)
    forwarder = Forwarder(codec, terms, fanout, request)
    forwarder.muted = shown.track.muted
    rids = [each.rid for each in shown.encodings if each.rid]
    return PublishedTrack(
        id=shown.track.id,
        participant=shown.track.participant,
        mid="",
        source=SOURCES.get(shown.track.source, ""),
        forwarder=forwarder,
        section=sdp.Section(codec.kind, 9, [codec.payload_type], rids=rids),
        payload_type=codec.payload_type,
        node=node,
    )


__all__ = ["CODECS", "Arriving", "remote_track"]
