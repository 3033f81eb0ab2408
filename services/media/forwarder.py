"""Forwarding: one published track to its subscribers, undecoded.

A packet is laid out once as all subscribers get it, kept for those who lose it, and handed to the fan-out with the
lanes that its encoding feeds. Downlinks that wait for an encoding come over when a keyframe of it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.media import payload, rtcp, rtp
from services.media.downlink import Downlink
from services.media.dtls import MAX_SRTP_PACKET
from services.media.encoding import NO_NUMBERS, Encoding, Kept
from services.media.fanout import Fanout
from services.media.sdp import AUDIO_LEVEL, FORWARDED_EXTENSIONS, Codec

RTX_OVERHEAD = 2
SILENCE = 127
"""The audio level of silence, in -dBov (RFC 6464 §3)."""
LEVEL_SECONDS = 0.3
"""How long a level holds when nothing follows it."""
_LEVEL_ID = FORWARDED_EXTENSIONS[AUDIO_LEVEL]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a publisher writes: its payload types and header extensions' ids, each with what we make of it.

    `transport_extension` is its id for the transport-wide sequence number, or 0.
    """

    payload_types: Mapping[int, int]
    extensions: Mapping[int, int]
    transport_extension: int = 0


class Forwarder:
    """A published track.

    `request` sends RTCP to the publisher. `on_audio` gets each Opus packet. `level` is that of the last sound, in -dBov.
    """

    def __init__(
        self, codec: Codec, terms: Terms, fanout: Fanout, request: Callable[[bytes], None]
    ) -> None:
        self.codec = codec
        self.encodings: list[Encoding] = []
        self.downlinks: list[Downlink] = []
        self.on_audio: Callable[[bytes], None] | None = None
        self.level = SILENCE
        self._muted = False
        self._terms = terms
        self._fanout = fanout
        self._request = request

    @property
    def muted(self) -> bool:
        """Tell whether nothing of it is forwarded."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        self.level = SILENCE
        for downlink in self.downlinks:
            self.choose(downlink, downlink.rank)

    def source_level(self, now: float) -> int:
        """Tell how loud it is now, in -dBov: a source that sends nothing (muted, DTX) is silent."""
        is_heard = any(now - each.last_at < LEVEL_SECONDS for each in self.encodings)
        return self.level if is_heard else SILENCE

    def renegotiate(self, terms: Terms) -> None:
        """Read what comes by other terms from now on."""
        self._terms = terms

    def encode(self, ssrc: int, rid: str, rank: int) -> Encoding:
        """Note a source (SSRC) of the track; it takes the place of an older one of the same rank."""
        encoding = Encoding(self.codec, ssrc, rid, rank, self._request)
        others = [each for each in self.encodings if each.rank != rank]
        self.encodings = sorted([*others, encoding], key=lambda each: each.rank)
        for downlink in self.downlinks:
            self.choose(downlink, downlink.rank)
        return encoding

    def receive(self, datagram: bytes, encoding: Encoding, now: float) -> int:
        """Forward a packet of an encoding; returns its transport-wide sequence number, or -1. Raises PacketInvalid."""
        codec = self.codec
        terms = self._terms
        if (payload_type := terms.payload_types.get(datagram[1] & 0x7F)) is None:
            raise rtp.PacketInvalid
        packet, transport, at = rtp.rebuild(
            datagram, terms.extensions, terms.transport_extension, payload_type
        )
        if len(packet) + RTX_OVERHEAD > MAX_SRTP_PACKET:
            raise rtp.PacketInvalid
        before, timestamp = encoding.reception.highest, rtp.timestamp(packet)
        extended = encoding.reception.receive(rtp.sequence_number(packet), timestamp, now)
        numbers = payload.vp8_numbers(packet, at) if codec.name == "VP8" else NO_NUMBERS
        kept = Kept(extended, packet, at, timestamp, numbers)
        encoding.keep(kept, now)
        if codec.kind == "audio":
            self._hear(encoding, kept, now)
        else:
            encoding.note_gap(extended, before, now)
            if encoding.waiting or not encoding.height:
                self._look_for_keyframe(encoding, kept, now)
        if encoding.lanes:
            self._fanout.forward(packet, extended, timestamp, numbers, encoding.lanes, now)
        return transport

    def add(self, downlink: Downlink) -> None:
        """Take a subscriber on. What feeds it, `choose` says."""
        self.downlinks.append(downlink)

    def remove(self, downlink: Downlink) -> None:
        """Let a subscriber go."""
        downlink.close()
        if downlink in self.downlinks:
            self.downlinks.remove(downlink)

    def choose(self, downlink: Downlink, rank: int) -> None:
        """Feed a downlink from the encoding of a rank, or the next smaller one that there is; -1: from none."""
        downlink.rank = rank
        smaller = [each for each in self.encodings if each.rank <= rank]
        downlink.aim(smaller[-1] if smaller and not self._muted else None)

    def report(self, report: rtcp.SenderReport, now: float) -> None:
        """Pass a sender report on, each subscriber's under its own SSRC and with its own counts."""
        encoding = next((each for each in self.encodings if each.ssrc == report.ssrc), None)
        if encoding is None:
            return
        encoding.report = report
        encoding.reception.reported(report)
        for downlink in self.downlinks:
            downlink.send_report(now)

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe of whatever anybody watches or waits for."""
        for encoding in self.encodings:
            if encoding.lanes or encoding.waiting:
                encoding.request_keyframe()

    def tick(self, now: float) -> None:
        """Do what is due. Call some twenty times a second."""
        for downlink in self.downlinks:
            downlink.tick()
        for encoding in self.encodings:
            encoding.tick(now)

    def _look_for_keyframe(self, encoding: Encoding, kept: Kept, now: float) -> None:
        begun = bytes(kept.packet[kept.payload_at : kept.payload_at + 64])
        if not payload.begins_keyframe(self.codec.name, begun):
            return
        encoding.height = payload.height(self.codec.name, begun) or encoding.height
        self._take_waiting(encoding, kept, now)

    def _hear(self, encoding: Encoding, kept: Kept, now: float) -> None:
        self._take_waiting(encoding, kept, now)
        if found := rtp.find_extension(kept.packet, _LEVEL_ID):
            self.level = SILENCE if self._muted else found[0] & 0x7F
        if encoding.plain_lanes or self.on_audio is not None:
            plain = kept.plain()
            if encoding.plain_lanes:
                self._fanout.forward(
                    plain, kept.extended, kept.timestamp, NO_NUMBERS, encoding.plain_lanes, now
                )
            if self.on_audio is not None and not self._muted:
                self.on_audio(bytes(plain))

    def _take_waiting(self, encoding: Encoding, kept: Kept, now: float) -> None:
        waiting, encoding.waiting = encoding.waiting, []
        for downlink in waiting:
            downlink.begin(encoding, kept, now)


__all__ = ["SILENCE", "Forwarder", "Terms"]
