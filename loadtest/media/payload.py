"""What synthetic packets carry: payloads that forwarders and decoders take for VP8 and Opus, with a mark in them.

The mark says whose the packet is, which of theirs, and when it was sent; a CRC-32 over all that an SFU has no business
to change comes last. VP8 descriptors (RFC 7741 §4.2) are outside of it: picture ids may be renumbered.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

_MARK = Struct("!IIQ")
_CRC = Struct("!I")
MARK_BYTES = _MARK.size + _CRC.size
_FILLER = os.urandom(2048)

VP8_HEADER_BYTES = 10
"""The frame tag, start code and size that a keyframe begins with (RFC 6386 §9.1); every packet has as many bytes."""
VP8_DESCRIPTOR_BYTES = 6
_KEYFRAME = bytes((0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01))  # 640 x 360
_DELTA = bytes((0x11, 0x02, 0x00)) + bytes(7)
TEMPORAL_LAYERS = (0, 2, 1, 2)
"""What libvpx makes of four frames in a row, in three temporal layers."""

OPUS_FRAME = b"\xff\xfe"
"""20 ms of silence."""
OPUS_HEADER_BYTES = 3 + len(OPUS_FRAME)
MAX_OPUS_PADDING = 254

SMALLEST_VIDEO = VP8_DESCRIPTOR_BYTES + VP8_HEADER_BYTES + MARK_BYTES
LARGEST_VIDEO = 1_100
LARGEST_AUDIO = OPUS_HEADER_BYTES + MAX_OPUS_PADDING
SMALLEST_AUDIO = OPUS_HEADER_BYTES + MARK_BYTES


class PayloadCorrupt(ValueError):
    """The payload is not as it was sent."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Who sent a packet (`source`: a stream's number), which of theirs it is, and when (ns, the machine's clock)."""

    source: int
    counter: int
    sent_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a VP8 stream a packet is."""

    picture_id: int
    temporal_layer: int
    base_picture: int
    starts_frame: bool
    is_keyframe: bool


def video(mark: Mark, place: Place, size: int) -> bytes:
    """Make a VP8 payload of `size` bytes, SMALLEST_VIDEO to LARGEST_VIDEO."""
    descriptor = bytes(
        (
            0x90 if place.starts_frame else 0x80,  # X, S
            0xE0,  # I, L, T
            0x80 | (place.picture_id >> 8 & 0x7F),  # M: 15 bits
            place.picture_id & 0xFF,
            place.base_picture & 0xFF,
            place.temporal_layer << 6 | (0x20 if place.temporal_layer else 0),  # TID, Y
        )
    )
    header = _KEYFRAME if place.is_keyframe else _DELTA
    return descriptor + _sealed(header, mark, size - len(descriptor))


def audio(mark: Mark, size: int) -> bytes:
    """Make an Opus packet of `size` bytes: one silent frame, and the mark in its padding (RFC 6716 §3.2.5)."""
    padding = size - OPUS_HEADER_BYTES
    return _sealed(bytes((0xFB, 0x41, padding)) + OPUS_FRAME, mark, size)


def read(kind: str, payload: bytes) -> Mark:
    """Check a payload of kind `audio` or `video`. Raises PayloadCorrupt."""
    start = descriptor_length(payload) if kind == "video" else 0
    header = VP8_HEADER_BYTES if kind == "video" else OPUS_HEADER_BYTES
    end = len(payload) - _CRC.size
    if end < start + header + _MARK.size:
        raise PayloadCorrupt
    if crc32(memoryview(payload)[start:end]) != _CRC.unpack_from(payload, end)[0]:
        raise PayloadCorrupt
    return Mark(*_MARK.unpack_from(payload, start + header))


def descriptor_length(payload: bytes) -> int:
    """Measure a VP8 payload descriptor. Raises PayloadCorrupt."""
    try:
        if not payload[0] & 0x80:
            return 1
        present, length = payload[1], 2
        if present & 0x80:
            length += 2 if payload[2] & 0x80 else 1
        return length + (present >> 6 & 1) + (1 if present & 0x30 else 0)
    except IndexError:
        raise PayloadCorrupt from None


def _sealed(header: bytes, mark: Mark, size: int) -> bytes:
    body = header + _MARK.pack(mark.source, mark.counter & 0xFFFFFFFF, mark.sent_ns)
    body += _FILLER[: size - len(body) - _CRC.size]
    return body + _CRC.pack(crc32(body))


__all__ = [
    "LARGEST_AUDIO",
    "LARGEST_VIDEO",
    "SMALLEST_AUDIO",
    "SMALLEST_VIDEO",
    "TEMPORAL_LAYERS",
    "Mark",
    "PayloadCorrupt",
    "Place",
    "audio",
    "descriptor_length",
    "read",
    "video",
]
