"""A light client's publisher connection: a microphone and a camera, as the server takes them."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.media import rtcp, rtp, sdp
from loadtest.media.codecs import OPUS, RED, VP8, Codec
from loadtest.media.connection import Certificate, Connection
from loadtest.media.figures import Figures
from loadtest.media.health import Metronome
from loadtest.media.source import (
    AUDIO_FRAMES_PER_SECOND,
    AudioStream,
    Format,
    Stream,
    VideoStream,
    split,
)

LAYERS = {"q": 8, "h": 3, "f": 1}
"""Simulcast layers by rid: each has the camera's bitrate divided by this."""
TICK_SECONDS = 0.1
REPORT_SECONDS = 1.0
SPEECH_LEVEL = 0x80 | 40
"""Header extension of the audio level: speech, at -40 dBov (RFC 6464 §3)."""
AUDIO = 3
"""The stream number of a microphone, within its publisher; layers of the camera are 0 to 2."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a publisher sends. Without `bitrate_bps` no video, without `audio_bytes` (a packet's payload) no audio.

    `redundant` sound has each packet twice, where the server takes that.
    """

    bitrate_bps: int = 1_200_000
    frames_per_second: int = 30
    audio_bytes: int = 80
    simulcast: bool = False
    codec: Codec = VP8
    redundant: bool = False

    @property
    def packets_per_second(self) -> float:
        """How many packets a publisher sends, keyframes and retransmissions aside."""
        divisors = LAYERS.values() if self.simulcast else (1,)
        frames = (self.bitrate_bps // each // 8 // self.frames_per_second for each in divisors)
        packets = sum(len(split(size)) for size in frames) if self.bitrate_bps else 0
        return packets * self.frames_per_second + (
            AUDIO_FRAMES_PER_SECOND if self.audio_bytes else 0
        )


class Uplink:
    """Sends from when it is connected until `stop`. `number` tells this publisher from others in the packets' marks."""

    def __init__(
        self, certificate: Certificate, host: str, profile: Profile, number: int, figures: Figures
    ) -> None:
        self.connection = Connection(certificate, host)
        self.connection.on_rtcp = self._receive_rtcp
        self._profile = profile
        self._figures = figures
        self._name = f"load{number}"
        self._video, self._audio = _streams(profile, number)
        self._repair_ssrcs = {layer.ssrc: _new_ssrc() for layer in self._video.values()}
        self._formats: dict[int, Format] = {}
        self._transport_sequence = secrets.randbits(16)
        self._is_heard = False
        self._track_mids = self._mids()
        self._sections: dict[str, sdp.Section] = {}
        self._beats: list[Metronome] = []
        self._reported_at = 0.0

    @property
    def mids(self) -> dict[str, str]:
        """The kinds of what is published, by mid."""
        return self._track_mids

    def offer(self) -> str:
        """Offer what is published."""
        sections = []
        for mid, kind in self._track_mids.items():
            if kind == "audio" and self._audio is not None:
                red = self._profile.redundant
                sections.append(sdp.Outgoing(mid, kind, self._audio.ssrc, is_redundant=red))
            elif self._profile.simulcast:
                rids, codec = tuple(self._video), self._profile.codec
                sections.append(sdp.Outgoing(mid, kind, 0, rids=rids, codec=codec))
            else:
                ssrc, codec = self._video["f"].ssrc, self._profile.codec
                repair_ssrc = self._repair_ssrcs[ssrc]
                sections.append(sdp.Outgoing(mid, kind, ssrc, repair_ssrc, codec=codec))
        return sdp.offer(sections, self.connection.local, self._name)

    def answered(self, text: str) -> None:
        """Take the answer, and begin to connect. Raises SdpInvalid."""
        description = sdp.parse(text)
        self._sections = {s.mid: s for s in description.sections if s.is_active and s.port}
        if not self._sections:
            raise sdp.SdpInvalid("nothing of what was offered is taken")
        self._set_formats()
        self.connection.connect(description.remote, controlling=True)
        self._every(TICK_SECONDS, self._tick)

    async def start(self) -> None:
        """Send, as soon as it is connected. Raises ConnectionFailed."""
        await self.connection.connected
        if self._video:
            self._every(1 / self._profile.frames_per_second, self._send_video)
        if self._audio is not None:
            self._every(1 / AUDIO_FRAMES_PER_SECOND, self._send_audio)

    def want(self, rids: list[str]) -> None:
        """Send only these layers, as the server says what is watched."""
        if self._profile.simulcast:
            for rid, layer in self._video.items():
                layer.is_wanted = rid in rids

    def stop(self) -> None:
        """Send no more media."""
        for beat in self._beats[1:]:
            beat.stop()

    def close(self) -> None:
        """Leave, and add what was sent to the figures."""
        for beat in self._beats:
            beat.stop()
        self.connection.close()
        for stream in self._all():
            self._figures.resent += stream.resent
            self._figures.keyframes += getattr(stream, "keyframes", 0)
        self._figures.unsent += self.connection.unsent

    def kept(self, number: int) -> list[bytes]:
        """List the payloads of the stream of a number that could still be sent again, in no order."""
        return next(stream for stream in self._all() if stream.number == number).kept

    def _every(self, seconds: float, beat: Callable[[], None]) -> None:
        metronome = Metronome(seconds, beat, self._figures.lateness)
        metronome.start(random.random() * seconds)  # noqa: S311  # no two clients in step
        self._beats.append(metronome)

    def _mids(self) -> dict[str, str]:
        kinds = [*(["audio"] if self._audio else []), *(["video"] if self._video else [])]
        return {str(number): kind for number, kind in enumerate(kinds)}

    def _all(self) -> list[Stream]:
        return [*self._video.values(), *([self._audio] if self._audio else [])]

    def _set_formats(self) -> None:
        """Work out how each stream is sent: with its mid and rid until the server is heard (RFC 8852)."""
        for mid, kind in self._track_mids.items():
            if (section := self._sections.get(mid)) is None:
                continue
            streams = {"": self._audio} if kind == "audio" else self._video
            for rid, stream in streams.items():
                if stream is not None:
                    self._formats[stream.number] = self._format(section, stream, rid)

    def _format(self, section: sdp.Section, stream: Stream, rid: str) -> Format:
        ids = section.extensions
        elements = repair = b""
        if (
            identifier := ids.get(sdp.TRANSPORT_SEQUENCE)
        ) is not None:  # `_emit` writes to bytes 1, 2
            elements = repair = rtp.element(identifier, b"\0\0")
        if section.kind == "audio" and sdp.AUDIO_LEVEL in ids:
            elements += rtp.element(ids[sdp.AUDIO_LEVEL], bytes((SPEECH_LEVEL,)))
        if not self._is_heard and sdp.MID in ids:
            named = rtp.element(ids[sdp.MID], section.mid.encode())
            elements, repair = elements + named, repair + named
        if self._profile.simulcast and rid and not self._is_heard and sdp.RID in ids:
            elements += rtp.element(ids[sdp.RID], rid.encode())
            repair += rtp.element(ids.get(sdp.REPAIRED_RID, ids[sdp.RID]), rid.encode())
        codec = self._profile.codec
        payload_type = codec.payload_type
        if isinstance(stream, AudioStream):
            stream.is_redundant = self._profile.redundant and RED in section.formats
            payload_type = RED if stream.is_redundant else OPUS
        repair_ssrc = self._repair_ssrcs.get(stream.ssrc, 0)
        has_repair = repair_ssrc and codec.repair in section.repairs
        return Format(
            payload_type,
            stream.ssrc,
            (codec.repair, repair_ssrc) if has_repair else (0, 0),
            elements,
            repair,
        )

    def _send_video(self) -> None:
        now = time.monotonic()
        for layer in self._video.values():
            if (form := self._formats.get(layer.number)) is not None:
                layer.frame(now, time.time_ns, form, self._emit)

    def _send_audio(self) -> None:
        if self._audio is not None and (form := self._formats.get(self._audio.number)) is not None:
            self._audio.frame(time.time_ns, form, self._emit)

    def _emit(
        self,
        payload_type: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        elements: bytes,
        payload: bytes,
        marker: bool,
    ) -> None:
        if elements:
            self._transport_sequence = number = (self._transport_sequence + 1) & 0xFFFF
            elements = elements[:1] + number.to_bytes(2, "big") + elements[3:]
        packet = rtp.packet(
            payload_type, sequence, timestamp, ssrc, elements, payload, marker=marker
        )
        self.connection.send_rtp(packet)
        self._figures.sent += 1
        self._figures.sent_bytes += len(packet)

    def _receive_rtcp(self, compound: bytes) -> None:
        if not self._is_heard:
            self._is_heard = True
            self._set_formats()
        for item in rtcp.parse(compound):
            if isinstance(item, rtcp.Nack):
                if (stream := self._stream(item.ssrc)) is not None:
                    stream.resend(item.lost, self._formats[stream.number], self._emit)
            elif isinstance(item, rtcp.KeyframeRequest) and isinstance(
                layer := self._stream(item.ssrc), VideoStream
            ):
                layer.request_keyframe()

    def _stream(self, ssrc: int) -> Stream | None:
        found = (s for s in self._all() if s.ssrc == ssrc and s.number in self._formats)
        return next(found, None)

    def _tick(self) -> None:
        self.connection.tick()
        now = time.monotonic()
        if now - self._reported_at < REPORT_SECONDS or not self.connection.is_connected:
            return
        self._reported_at = now
        for stream in self._all():
            if stream.packets:
                report = rtcp.sender_report(
                    stream.ssrc,
                    time.time_ns(),
                    stream.timestamp,
                    stream.packets,
                    stream.octets,
                    self._name,
                )
                self.connection.send_rtcp(report)


def _streams(profile: Profile, number: int) -> tuple[dict[str, VideoStream], AudioStream | None]:
    """Make a publisher's streams: layers by rid (`f` alone without simulcast), and the microphone."""
    rids = LAYERS if profile.simulcast else {"f": 1}
    layers = {
        rid: VideoStream(
            number << 2 | index,
            _new_ssrc(),
            profile.bitrate_bps // divisor,
            profile.frames_per_second,
            profile.codec,
        )
        for index, (rid, divisor) in enumerate(rids.items())
        if profile.bitrate_bps
    }
    audio = AudioStream(number << 2 | AUDIO, _new_ssrc(), profile.audio_bytes)
    return layers, audio if profile.audio_bytes else None


def _new_ssrc() -> int:
    return secrets.randbelow(2**32 - 1) + 1


__all__ = ["Profile", "Uplink"]
