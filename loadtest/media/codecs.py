"""The codecs that light clients speak: by which payload types, and what a payload begins with, so that an SFU knows it.

Nothing is encoded: after what an SFU may look at comes filler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a stream of pictures a packet is."""

    picture_id: int
    temporal_layer: int
    base_picture: int
    starts_frame: bool
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of pictures. `head` makes what a packet's payload begins with, always `head_bytes` long.

    Of that an SFU may change the first `descriptor_bytes`. `repair` is the payload type of retransmissions.
    """

    name: str
    payload_type: int
    repair: int
    parameters: str
    head: Callable[[Place], bytes]
    head_bytes: int
    descriptor_bytes: int = 0


_VP8_KEYFRAME = bytes((0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01))  # 640 x 360
_VP8_DELTA = bytes((0x11, 0x02, 0x00)) + bytes(7)


def _vp8(place: Place) -> bytes:
    """A descriptor (RFC 7741 §4.2), then the frame tag, start code and size of a keyframe (RFC 6386 §9.1), or as much else."""
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
    return descriptor + (_VP8_KEYFRAME if place.is_keyframe else _VP8_DELTA)


def _vp9(place: Place) -> bytes:
    """A descriptor in flexible mode's absence (RFC 9628 §4.2): I; P unless it is a keyframe's; B where a frame begins."""
    flags = 0x80 | (0 if place.is_keyframe else 0x40) | (0x08 if place.starts_frame else 0)
    return bytes((flags, 0x80 | (place.picture_id >> 8 & 0x7F), place.picture_id & 0xFF))


def _h264(place: Place) -> bytes:
    """A NAL unit's beginning (RFC 6184 §5.3, §5.8): parameter sets before a keyframe; what follows is fragments."""
    if place.starts_frame:
        return b"\x67\x42" if place.is_keyframe else b"\x41\x9a"
    return b"\x7c\x05" if place.is_keyframe else b"\x5c\x01"


def _av1(place: Place) -> bytes:
    """An aggregation header (AV1 RTP specification §4.4): Z, W, N; then a sequence header's or a frame's OBU header."""
    if not place.starts_frame:
        return b"\x90\x32"
    return b"\x18\x0a" if place.is_keyframe else b"\x10\x32"


VP8 = Codec("vp8", 96, 97, "", _vp8, 16, descriptor_bytes=6)
VP9 = Codec("vp9", 98, 99, "profile-id=0", _vp9, 3)
H264 = Codec(
    "h264",
    102,
    103,
    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    _h264,
    2,
)
AV1 = Codec("av1", 45, 46, "", _av1, 2)
VIDEO: Mapping[str, Codec] = {codec.name: codec for codec in (VP8, VP9, H264, AV1)}

OPUS, RED = 111, 63
"""Sound, and sound with redundancy (RFC 2198)."""

__all__ = ["AV1", "H264", "OPUS", "RED", "VIDEO", "VP8", "VP9", "Codec", "Place"]
