"""Forwarding: one published track to its subscribers, undecoded.

A stream (stream.py) lays each packet out once as all subscribers get it, keeps it for those who lose it, and sends it
along the lanes that its encoding feeds. Downlinks that wait for an encoding come over when a keyframe of it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.media import payload, rtcp
from services.media.allocation import Choice, wanted_rank
from services.media.downlink import Downlink
from services.media.encoding import Encoding
from services.media.fanout import Fanout
from services.media.payload import NO_NUMBERS
from services.media.sdp import Codec
from services.media.stream import SILENCE, Kept

LEVEL_SECONDS = 0.3
"""How long a level holds when nothing follows it."""


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

    `request` sends RTCP to the publisher.
    """

    def __init__(
        self, codec: Codec, terms: Terms, fanout: Fanout, request: Callable[[bytes], None]
    ) -> None:
        self.codec = codec
        self.encodings: list[Encoding] = []
        self.downlinks: list[Downlink] = []
        self._on_audio: Callable[[bytes], None] | None = None
        self._muted = False
        self._choices: dict[tuple[int, int], tuple[int, Sequence[Choice]]] = {}
        self._chosen_at = 0.0
        self._sent: list[tuple[int, int]] = []
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
        for encoding in self.encodings:
            encoding.stream.level = SILENCE
        for downlink in self.downlinks:
            self.choose(downlink, downlink.rank)
            downlink.on_choices()

    @property
    def on_audio(self) -> Callable[[bytes], None] | None:
        """Get who hears each Opus packet, without redundancy; None: nobody."""
        return self._on_audio

    @on_audio.setter
    def on_audio(self, heard: Callable[[bytes], None] | None) -> None:
        self._on_audio = heard
        for encoding in self.encodings:
            encoding.is_tapped = heard is not None
            encoding.watch()

    def source_level(self, now: float) -> int:
        """Tell how loud it is now, in -dBov: a source that sends nothing (muted, DTX) is silent."""
        if self._muted:
            return SILENCE
        streams = [each.stream for each in self.encodings]
        return min((s.level for s in streams if now - s.last_at < LEVEL_SECONDS), default=SILENCE)

    def renegotiate(self, terms: Terms) -> None:
        """Read what comes by other terms from now on."""
        self._terms = terms
        for encoding in self.encodings:
            self._instruct(encoding)

    def encode(self, ssrc: int, rid: str, rank: int) -> Encoding:
        """Note a source (SSRC) of the track; it takes the place of an older one of the same rank."""
        encoding = Encoding(self.codec, ssrc, rid, rank, self._fanout, self._request, self._look)
        encoding.is_tapped = self._on_audio is not None
        self._instruct(encoding)
        others = [each for each in self.encodings if each.rank != rank]
        self.encodings = sorted([*others, encoding], key=lambda each: each.rank)
        for downlink in self.downlinks:
            self.choose(downlink, downlink.rank)
        return encoding

    def receive(self, packet: bytes, encoding: Encoding, now: float) -> int:
        """Forward a packet of an encoding; returns its transport-wide sequence number, or -1. Raises PacketInvalid."""
        return encoding.stream.receive(packet, now)

    def _instruct(self, encoding: Encoding) -> None:
        terms = self._terms
        encoding.stream.read_by(terms.payload_types, terms.extensions, terms.transport_extension)
        encoding.watch()

    def add(self, downlink: Downlink) -> None:
        """Take a subscriber on. What feeds it, `choose` says."""
        self.downlinks.append(downlink)

    def remove(self, downlink: Downlink) -> None:
        """Let a subscriber go."""
        downlink.close()
        if downlink in self.downlinks:
            self.downlinks.remove(downlink)

    def choose(self, downlink: Downlink, rank: int) -> None:
        """Feed a downlink from the encoding of a rank, or, unless it is exact, the next smaller one; -1: from none."""
        downlink.rank = rank
        fitting = [
            each
            for each in self.encodings
            if each.rank == rank or (each.rank < rank and not downlink.is_exact)
        ]
        downlink.aim(fitting[-1] if fitting and not self._muted else None)

    def choices(self, height: int, cap: int, now: float) -> tuple[int, Sequence[Choice]]:
        """Tell which rank fills a tile of a height in pixels, at most `cap`, and what may be had up to that.

        There is an encoding. What many subscribers ask for at one moment is found out once.
        """
        if now != self._chosen_at:
            self._chosen_at = now
            self._choices.clear()
        if (known := self._choices.get((height, cap))) is not None:
            return known
        encodings = self.encodings
        heights = {each.rank: each.typical_height for each in encodings}
        rank = min(wanted_rank(heights, height), max(cap, encodings[0].rank))
        suiting = [each for each in encodings if each.rank <= rank]
        active = [each for each in suiting if each.is_active(now)] or suiting
        found = rank, [Choice(each.rank, each.bitrate_bps) for each in active]
        self._choices[height, cap] = found
        return found

    def report(self, report: rtcp.SenderReport) -> None:
        """Take a sender report. Each subscriber gets it under its own SSRC and with its own counts (`Way.report`)."""
        encoding = next((each for each in self.encodings if each.ssrc == report.ssrc), None)
        if encoding is None:
            return
        encoding.report = report
        encoding.reception.reported(report)

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe of whatever anybody watches or waits for."""
        for encoding in self.encodings:
            if encoding.stream.lanes or encoding.waiting:
                encoding.request_keyframe()

    def tick(self, now: float) -> None:
        """Do what is due. Call some twenty times a second."""
        for encoding in self.encodings:
            encoding.tick(now)
        sent = [(each.ssrc, each.height) for each in self.encodings if each.is_active(now)]
        if sent != self._sent:
            self._sent = sent
            for downlink in self.downlinks:
                downlink.on_choices()

    def _look(self, encoding: Encoding, kept: Kept, before: int, now: float) -> None:
        """Look at a packet before it goes on, where `Stream` hands it over."""
        if self.codec.kind == "audio":
            self._take_waiting(encoding, kept, now)
            self._hear(encoding, kept, now)
            return
        encoding.note_gap(kept.extended, before, now)
        if encoding.stream.is_watched:
            self._look_for_keyframe(encoding, kept, now)

    def _look_for_keyframe(self, encoding: Encoding, kept: Kept, now: float) -> None:
        begun = bytes(kept.packet[kept.payload_at : kept.payload_at + 64])
        if not payload.begins_keyframe(self.codec.name, begun):
            return
        encoding.height = payload.height(self.codec.name, begun) or encoding.height
        encoding.keyframe_came()
        self._take_waiting(encoding, kept, now)

    def _hear(self, encoding: Encoding, kept: Kept, now: float) -> None:
        if not encoding.plain_lanes and self.on_audio is None:
            return
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
        encoding.watch()


__all__ = ["Forwarder", "Terms"]
