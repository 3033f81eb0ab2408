"""The streams that a light client sends: frames of marked packets, kept for a while in case they are asked for again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtest.media import payload, rtp
from loadtest.media.codecs import VP8, Codec, Place
from loadtest.media.payload import LARGEST_VIDEO, SMALLEST_VIDEO, TEMPORAL_LAYERS, Mark

HISTORY = 1_024
"""Packets kept, a power of two."""
FRAMES_PER_SECOND = 30
AUDIO_FRAMES_PER_SECOND = 50
KEYFRAME_SECONDS = 10.0
KEYFRAME_SIZE = 4
"""A keyframe is as large as so many other frames."""
KEYFRAME_PAUSE_SECONDS = 0.3
"""Between two keyframes that are asked for, as libwebrtc has it."""

Emit = Callable[[int, int, int, int, bytes, bytes, bool], None]
"""Sends a packet: payload type, sequence number, timestamp, SSRC, header extensions, payload, marker."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a stream is sent. `repair` is the payload type and SSRC of retransmissions, (0, 0) when there are none."""

    payload_type: int
    ssrc: int
    repair: tuple[int, int]
    elements: bytes
    repair_elements: bytes


class Stream:
    """What all streams have; `number` is told in every packet's mark."""

    def __init__(self, number: int, ssrc: int, clock_rate: int, frame_seconds: float) -> None:
        self.number = number
        self.ssrc = ssrc
        self.packets = self.octets = self.resent = 0
        self.timestamp = secrets.randbits(32)
        self._step = int(clock_rate * frame_seconds)
        self._sequence = secrets.randbits(15)
        self._repair_sequence = secrets.randbits(15)
        self._counter = 0
        self._history: list[tuple[int, int, bytes, bool] | None] = [None] * HISTORY

    def resend(self, lost: Sequence[int], form: Format, emit: Emit) -> None:
        """Send packets again by their 16-bit numbers, as far as the history goes."""
        for number in lost:
            kept = self._history[number % HISTORY]
            if kept is None or kept[0] != number:
                continue
            self.resent += 1
            _, timestamp, body, marker = kept
            payload_type, ssrc = form.repair
            if not ssrc:
                elements = form.elements
                emit(form.payload_type, number, timestamp, form.ssrc, elements, body, marker)
                continue
            self._repair_sequence = (self._repair_sequence + 1) & 0xFFFF
            wrapped = rtp.wrapped(body, number)
            sequence, elements = self._repair_sequence, form.repair_elements
            emit(payload_type, sequence, timestamp, ssrc, elements, wrapped, marker)

    @property
    def kept(self) -> list[bytes]:
        """List the payloads that could still be sent again, in no order."""
        return [each[2] for each in self._history if each is not None]

    def _mark(self, now_ns: int) -> Mark:
        self._counter += 1
        return Mark(self.number, self._counter, now_ns)

    def _send(self, body: bytes, form: Format, emit: Emit, *, marker: bool) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._history[self._sequence % HISTORY] = (self._sequence, self.timestamp, body, marker)
        self.packets += 1
        self.octets += len(body)
        sequence, elements = self._sequence, form.elements
        emit(form.payload_type, sequence, self.timestamp, form.ssrc, elements, body, marker)


class AudioStream(Stream):
    """A silent microphone: 50 packets a second of `size` bytes, each with the one before it if `is_redundant`."""

    def __init__(self, number: int, ssrc: int, size: int) -> None:
        super().__init__(number, ssrc, 48_000, 1 / AUDIO_FRAMES_PER_SECOND)
        self.is_redundant = False
        self._size = size
        self._before = b""

    def frame(self, clock_ns: Callable[[], int], form: Format, emit: Emit) -> None:
        """Send the next 20 ms."""
        self.timestamp = (self.timestamp + self._step) & 0xFFFFFFFF
        body = payload.audio(self._mark(clock_ns()), self._size)
        before, self._before = self._before, body
        if self.is_redundant:
            body = payload.redundant(before, body)
        self._send(body, form, emit, marker=self.packets == 0)


class VideoStream(Stream):
    """A camera's layer: frames of several packets, in three temporal layers."""

    def __init__(
        self,
        number: int,
        ssrc: int,
        bitrate_bps: int,
        frames_per_second: int,
        codec: Codec = VP8,
    ) -> None:
        super().__init__(number, ssrc, 90_000, 1 / frames_per_second)
        self.codec = codec
        self.is_wanted = True
        self.keyframes = 0
        self._frame_bytes = bitrate_bps // 8 // frames_per_second
        self._picture = secrets.randbits(15)
        self._base = secrets.randbits(8)
        self._frames = 0
        self._keyframe_at = 0.0
        self._is_keyframe_due = True

    def request_keyframe(self) -> None:
        """Make the next frame that may be one a keyframe."""
        self._is_keyframe_due = True

    def frame(self, now: float, clock_ns: Callable[[], int], form: Format, emit: Emit) -> None:
        """Send the next frame; `now` in seconds, `clock_ns` is read for each packet."""
        self.timestamp = (self.timestamp + self._step) & 0xFFFFFFFF
        if not self.is_wanted:
            self._is_keyframe_due = True  # whoever wants it again needs one
            return
        is_keyframe = self._decide(now)
        layer = 0 if is_keyframe else TEMPORAL_LAYERS[self._frames % len(TEMPORAL_LAYERS)]
        self._frames += 1
        self._picture = (self._picture + 1) & 0x7FFF
        self._base = (self._base + (layer == 0)) & 0xFF
        sizes = split(self._frame_bytes * (KEYFRAME_SIZE if is_keyframe else 1))
        for index, size in enumerate(sizes):
            place = Place(self._picture, layer, self._base, index == 0, is_keyframe)
            body = payload.video(self.codec, self._mark(clock_ns()), place, size)
            self._send(body, form, emit, marker=index == len(sizes) - 1)

    def _decide(self, now: float) -> bool:
        since = now - self._keyframe_at
        is_asked = self._is_keyframe_due and since >= KEYFRAME_PAUSE_SECONDS
        if not is_asked and since < KEYFRAME_SECONDS:
            return False
        self._is_keyframe_due = False
        self._keyframe_at = now
        self._frames = 0
        self.keyframes += 1
        return True


def split(size: int) -> list[int]:
    """Cut a frame into packets' payloads of about the same size."""
    count = max(1, -(-size // LARGEST_VIDEO))
    return [max(SMALLEST_VIDEO, size // count)] * count


__all__ = [
    "AUDIO_FRAMES_PER_SECOND",
    "FRAMES_PER_SECOND",
    "AudioStream",
    "Emit",
    "Format",
    "VideoStream",
    "split",
]
