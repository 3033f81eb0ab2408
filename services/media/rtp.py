"""RTP headers (RFC 3550 §5.1, RFC 8285), read and rewritten in place: the hot path makes no packet objects."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

MIN_HEADER = 12
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
_WORD = Struct("!H")
_LONG = Struct("!L")
_NUMBERS = Struct("!HL")


class PacketInvalid(ValueError):
    """The bytes are no RTP packet."""


def is_rtcp(datagram: bytes) -> bool:
    """Tell RTCP from RTP on one port (RFC 5761 §4)."""
    return 192 <= datagram[1] <= 223


def header_length(packet: bytes | bytearray) -> int:
    """Measure the header: fixed part, CSRCs and extension. Raises PacketInvalid."""
    size = len(packet)
    if size < MIN_HEADER or packet[0] >> 6 != 2:
        raise PacketInvalid
    length = MIN_HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if size < length + 4:
            raise PacketInvalid
        length += 4 + 4 * int(_WORD.unpack_from(packet, length + 2)[0])
    if size < length:
        raise PacketInvalid
    return length


def sequence_number(packet: bytes | bytearray) -> int:
    """Read the sequence number."""
    return int(_WORD.unpack_from(packet, 2)[0])


def timestamp(packet: bytes | bytearray) -> int:
    """Read the timestamp, in units of the clock rate."""
    return int(_LONG.unpack_from(packet, 4)[0])


def ssrc(packet: bytes | bytearray) -> int:
    """Read the synchronization source."""
    return int(_LONG.unpack_from(packet, 8)[0])


def set_numbers(packet: bytearray, sequence: int, timestamp: int) -> None:
    """Write sequence number and timestamp."""
    _NUMBERS.pack_into(packet, 2, sequence, timestamp)


def payload_type(packet: bytes | bytearray) -> int:
    """Read the payload type."""
    return packet[1] & 0x7F


def set_payload_type(packet: bytearray, value: int) -> None:
    """Write the payload type; the marker bit stays."""
    packet[1] = (packet[1] & 0x80) | value


def remap_extensions(packet: bytearray, wanted: Mapping[int, int], watched: int) -> int:
    """Renumber the extensions in `wanted` (id → id) and blank all others, in place.

    Returns the 16-bit value of the extension with id `watched` (the transport-wide sequence number), or -1.
    Raises PacketInvalid when the elements run over the extension's end.
    """
    if not packet[0] & 0x10:
        return -1
    at = MIN_HEADER + 4 * (packet[0] & 0x0F)
    profile, words = _WORD.unpack_from(packet, at)[0], _WORD.unpack_from(packet, at + 2)[0]
    at += 4
    end = at + 4 * words
    if profile == ONE_BYTE_PROFILE:
        return _remap_one_byte(packet, at, end, wanted, watched)
    packet[at:end] = bytes(end - at)  # two-byte headers were not negotiated
    return -1


def _remap_one_byte(
    packet: bytearray, at: int, end: int, wanted: Mapping[int, int], watched: int
) -> int:
    seen = -1
    while at < end:
        head = packet[at]
        if head == 0:
            at += 1
            continue
        if head >> 4 == 15:  # the end (RFC 8285 §4.2)
            packet[at:end] = bytes(end - at)
            break
        identifier, length = head >> 4, (head & 0x0F) + 1
        if at + 1 + length > end:
            raise PacketInvalid
        if identifier == watched and length == 2:
            seen = int(_WORD.unpack_from(packet, at + 1)[0])
        if (renumbered := wanted.get(identifier)) is not None:
            packet[at] = (renumbered << 4) | (head & 0x0F)
        else:
            packet[at : at + 1 + length] = bytes(1 + length)
        at += 1 + length
    return seen


def payload(packet: bytes | bytearray) -> bytes:
    """Cut out the payload, padding removed. Raises PacketInvalid."""
    start, end = header_length(packet), len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    if end < start:
        raise PacketInvalid
    return bytes(packet[start:end])


__all__ = [
    "PacketInvalid",
    "header_length",
    "is_rtcp",
    "payload",
    "payload_type",
    "remap_extensions",
    "sequence_number",
    "set_numbers",
    "set_payload_type",
    "ssrc",
    "timestamp",
]
