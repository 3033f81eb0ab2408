"""What synthetic packets carry: payloads that forwarders take for pictures and Opus, with a mark in them.

The mark says whose the packet is, which of theirs, and when it was sent; a CRC-32 over all that an SFU has no business
to change comes last. VP8 descriptors (RFC 7741 §4.2) are outside of it: picture ids may be renumbered.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from loadtest.media.codecs import OPUS, VIDEO, Codec, Place

_MARK = Struct("!IIQ")
_CRC = Struct("!I")
_RED = Struct("!I")
SAMPLES = 960
"""Of a packet of sound, at 48 kHz."""
MARK_BYTES = _MARK.size + _CRC.size
_FILLER = os.urandom(2048)

TEMPORAL_LAYERS = (0, 2, 1, 2)
"""What libvpx makes of four frames in a row, in three temporal layers."""

OPUS_FRAME = b"\xff\xfe"
"""20 ms of silence."""
OPUS_HEADER_BYTES = 3 + len(OPUS_FRAME)
MAX_OPUS_PADDING = 254

SMALLEST_VIDEO = max(codec.head_bytes for codec in VIDEO.values()) + MARK_BYTES
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


def video(codec: Codec, mark: Mark, place: Place, size: int) -> bytes:
    """Make a picture's payload of `size` bytes, SMALLEST_VIDEO to LARGEST_VIDEO."""
    head = codec.head(place)
    descriptor, header = head[: codec.descriptor_bytes], head[codec.descriptor_bytes :]
    return descriptor + _sealed(header, mark, size - len(descriptor))


def audio(mark: Mark, size: int) -> bytes:
    """Make an Opus packet of `size` bytes: one silent frame, and the mark in its padding (RFC 6716 §3.2.5)."""
    padding = size - OPUS_HEADER_BYTES
    return _sealed(bytes((0xFB, 0x41, padding)) + OPUS_FRAME, mark, size)


def redundant(older: bytes, newest: bytes) -> bytes:
    """Make a payload that has the one before it in it once more (RFC 2198 §3); `older` may be empty."""
    if not older:
        return bytes((OPUS,)) + newest
    head = _RED.pack((0x80 | OPUS) << 24 | SAMPLES << 10 | len(older))
    return head + bytes((OPUS,)) + older + newest


def blocks(payload: bytes) -> list[bytes]:
    """Take redundant audio apart, the newest block last. Raises PayloadCorrupt."""
    at, lengths = 0, []
    while at + _RED.size <= len(payload) and payload[at] & 0x80:
        lengths.append(_RED.unpack_from(payload, at)[0] & 0x3FF)
        at += _RED.size
    if payload[at : at + 1] != bytes((OPUS,)):
        raise PayloadCorrupt
    found, at = [], at + 1
    for length in lengths:
        found.append(payload[at : at + length])
        at += length
    return [*found, payload[at:]]


def read_audio(payload: bytes) -> Mark:
    """Check an Opus packet. Raises PayloadCorrupt."""
    return _opened(payload, 0, OPUS_HEADER_BYTES)


def read_video(codec: Codec, payload: bytes) -> Mark:
    """Check a picture's payload. Raises PayloadCorrupt."""
    start = descriptor_length(payload) if codec.descriptor_bytes else 0
    return _opened(payload, start, codec.head_bytes - codec.descriptor_bytes)


def _opened(payload: bytes, start: int, header: int) -> Mark:
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
    "audio",
    "blocks",
    "descriptor_length",
    "read_audio",
    "read_video",
    "redundant",
    "video",
]
