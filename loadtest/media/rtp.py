"""RTP packets as light clients make and read them (RFC 3550 §5.1, RFC 8285 §4.2, RFC 4588 §4)."""

from __future__ import annotations

from struct import Struct

HEADER = Struct("!BBHLL")
_EXTENSION = Struct("!HH")
_WORD = Struct("!H")
ONE_BYTE = 0xBEDE


class PacketInvalid(ValueError):
    """The bytes are no RTP packet."""


def packet(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    elements: bytes,
    payload: bytes,
    *,
    marker: bool = False,
) -> bytes:
    """Make a packet; `elements` are one-byte header extensions, as `element` makes them."""
    header = HEADER.pack(
        0x90 if elements else 0x80,
        payload_type | (0x80 if marker else 0),
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    if not elements:
        return header + payload
    words = -(-len(elements) // 4)
    return header + _EXTENSION.pack(ONE_BYTE, words) + elements.ljust(4 * words, b"\0") + payload


def element(identifier: int, value: bytes) -> bytes:
    """Make a header extension of 1 to 16 bytes, with an id from 1 to 14."""
    return bytes(((identifier << 4) | (len(value) - 1),)) + value


def payload_start(packet: bytes) -> int:
    """Find where the payload begins. Raises PacketInvalid."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < start + 4:
            raise PacketInvalid
        start += 4 + 4 * int(_WORD.unpack_from(packet, start + 2)[0])
    if start > len(packet):
        raise PacketInvalid
    return start


def payload(packet: bytes) -> bytes:
    """Cut out the payload, without padding. Raises PacketInvalid."""
    start, end = payload_start(packet), len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    return packet[start : max(start, end)]


def extension_word(packet: bytes, identifier: int) -> int:
    """Read a two-byte header extension as a number; -1 where there is none."""
    if not packet[0] & 0x10:
        return -1
    at = 12 + 4 * (packet[0] & 0x0F)
    if len(packet) < at + 4 or _WORD.unpack_from(packet, at)[0] != ONE_BYTE:
        return -1
    end = min(len(packet), at + 4 + 4 * int(_WORD.unpack_from(packet, at + 2)[0]))
    at += 4
    wanted = (identifier << 4) | 1
    while at + 3 <= end:
        head = packet[at]
        if head == wanted:
            return packet[at + 1] << 8 | packet[at + 2]
        if head >> 4 == 15:
            return -1
        at += (head & 0x0F) + 2 if head else 1
    return -1


def wrapped(payload: bytes, sequence: int) -> bytes:
    """Make the payload of a retransmission: the original's sequence number comes first (RFC 4588 §4)."""
    return _WORD.pack(sequence & 0xFFFF) + payload


def unwrapped(payload: bytes) -> tuple[int, bytes] | None:
    """Take a retransmission's payload apart; None for one that carries nothing, as probes do."""
    if len(payload) <= 2:
        return None
    return int(_WORD.unpack_from(payload)[0]), payload[2:]


def distance(number: int, reference: int) -> int:
    """Measure how far a 16-bit number is ahead of another, -32,768 to 32,767."""
    return ((number - reference + 0x8000) & 0xFFFF) - 0x8000


__all__ = [
    "PacketInvalid",
    "distance",
    "element",
    "extension_word",
    "packet",
    "payload",
    "payload_start",
    "unwrapped",
    "wrapped",
]
