"""What an RTP payload tells about its picture, by codec: where a keyframe begins, and VP8's running numbers.

Only the payload's first bytes are read, those that end-to-end encryption leaves in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

_NAL_TYPE = 0x1F
_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28


class Vp8Numbers(NamedTuple):
    """Where a VP8 descriptor (RFC 7741 §4.2) has its picture id and its TL0PICIDX in a packet; 0: it has none.

    `is_wide` tells a picture id of 15 bits from one of 7.
    """

    picture_at: int
    is_wide: bool
    tl0_at: int


NO_NUMBERS = Vp8Numbers(0, False, 0)


def vp8_numbers(packet: bytes | bytearray, at: int) -> Vp8Numbers:
    """Find the running numbers of a VP8 packet whose payload begins at `at`."""
    end = len(packet)
    if at + 3 > end or not packet[at] & 0x80:
        return NO_NUMBERS
    flags, at = packet[at + 1], at + 2
    picture_at, is_wide = 0, False
    if flags & 0x80:
        picture_at, is_wide = at, bool(packet[at] & 0x80)
        at += 2 if is_wide else 1
    tl0_at = at if flags & 0x40 else 0
    if at + bool(tl0_at) > end:
        return NO_NUMBERS
    return Vp8Numbers(picture_at, is_wide, tl0_at)


def vp8_payload(payload: bytes) -> bytes:
    """Cut the descriptor off (RFC 7741 §4.2); empty where nothing follows it."""
    if not payload[:1] or not payload[0] & 0x80:
        return payload[1:]
    if len(payload) < 3:
        return b""
    flags, at = payload[1], 2
    if flags & 0x80:
        at += 2 if payload[at] & 0x80 else 1
    at += bool(flags & 0x40) + bool(flags & 0x30)
    return payload[at:]


def height(codec: str, payload: bytes) -> int:
    """Read the height in pixels of a keyframe that begins here; 0 where it is not known. VP8 alone (RFC 6386 §9.1)."""
    if codec != "VP8":
        return 0
    frame = vp8_payload(payload)
    return int.from_bytes(frame[8:10], "little") & 0x3FFF if len(frame) >= 10 else 0


def begins_keyframe(codec: str, payload: bytes) -> bool:
    """Tell whether a keyframe begins with this packet, for a decoder that has seen nothing before."""
    return bool(payload) and _BEGINS[codec](payload)


def _vp8(payload: bytes) -> bool:
    if payload[0] & 0x17 != 0x10:  # the start of partition 0
        return False
    frame = vp8_payload(payload)
    return bool(frame) and not frame[0] & 1


def _vp9(payload: bytes) -> bool:
    """Tell by the descriptor of draft-ietf-payload-vp9 §4.2: not inter-predicted, a frame's begin, lowest layer."""
    flags = payload[0]
    if flags & 0x40 or not flags & 0x08:
        return False
    at = 1
    if flags & 0x80:
        at += 2 if payload[at : at + 1] and payload[at] & 0x80 else 1
    has_layers = flags & 0x20 and at < len(payload)
    return not has_layers or not payload[at] & 0x0E


def _h264(payload: bytes) -> bool:
    """Tell by the NAL unit (RFC 6184 §5.2): parameter sets or an IDR picture's beginning."""
    kind = payload[0] & _NAL_TYPE
    if kind == _STAP_A:
        return any(unit in (_SPS, _IDR) for unit in _aggregated(payload))
    if kind == _FU_A:
        return len(payload) > 1 and payload[1] & 0x80 != 0 and payload[1] & _NAL_TYPE == _IDR
    return kind in (_SPS, _IDR)


def _aggregated(payload: bytes) -> list[int]:
    kinds, at = [], 1
    while at + 2 < len(payload):
        kinds.append(payload[at + 2] & _NAL_TYPE)
        at += 2 + int.from_bytes(payload[at : at + 2], "big")
    return kinds


def _av1(payload: bytes) -> bool:
    """Tell by the aggregation header of the AV1 RTP specification §4.4: a new coded video sequence."""
    return payload[0] & 0x88 == 0x08


_BEGINS: Mapping[str, Callable[[bytes], bool]] = {
    "VP8": _vp8,
    "VP9": _vp9,
    "H264": _h264,
    "AV1": _av1,
    "opus": lambda _payload: True,
}


def red_primary(payload: bytes) -> bytes:
    """Take the newest block out of redundant audio (RFC 2198 §3); empty when the bytes are not that."""
    at, skipped = 0, 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload):
            return b""
        skipped += int.from_bytes(payload[at + 2 : at + 4], "big") & 0x3FF
        at += 4
    return payload[at + 1 + skipped :]


__all__ = [
    "NO_NUMBERS",
    "Vp8Numbers",
    "begins_keyframe",
    "height",
    "red_primary",
    "vp8_numbers",
    "vp8_payload",
]
