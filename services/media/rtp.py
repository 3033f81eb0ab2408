"""RTP packets (RFC 3550 §5.1, RFC 8285, RFC 4588) as bytes: the hot path makes no packet objects."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

MIN_HEADER = 12
ONE_BYTE_PROFILE = 0xBEDE
TRANSPORT_SEQUENCE_ID = 3
"""Our id of the transport-wide sequence number towards subscribers."""
TRANSPORT_SEQUENCE_AT = 17
"""Where its value lies in a packet that `rebuild` has laid out."""
_WORD = Struct("!H")
_LONG = Struct("!L")
_NUMBERS = Struct("!HL")
_NUMBERS_SSRC = Struct("!HLL")
_HEAD = Struct("!BB10sHH")
_TRANSPORT_ELEMENT = bytes([TRANSPORT_SEQUENCE_ID << 4 | 1, 0, 0])


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


def renumber(packet: bytearray, sequence: int, timestamp: int, ssrc: int) -> None:
    """Write sequence number, timestamp and SSRC; the first two are cut to their width."""
    _NUMBERS_SSRC.pack_into(packet, 2, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)


def under(packet: bytes, ssrc: int) -> bytes:
    """Give a packet another SSRC."""
    return packet[:8] + _LONG.pack(ssrc) + packet[MIN_HEADER:]


def payload_type(packet: bytes | bytearray) -> int:
    """Read the payload type."""
    return packet[1] & 0x7F


def rebuild(
    packet: bytes, wanted: Mapping[int, int], watched: int, payload_type: int
) -> tuple[bytearray, int, int]:
    """Lay a publisher's packet out as all subscribers get it, but for what differs from one to the next.

    That is: the fixed header under our payload type, without CSRCs; one-byte header extensions, the first of which is
    the transport-wide sequence number at TRANSPORT_SEQUENCE_AT, then those in `wanted` (id → id); the payload.
    `watched` is the publisher's id for its own transport-wide sequence number, or 0. Returns the packet, that number
    (-1 if there is none) and where the payload begins. Raises PacketInvalid.
    """
    length = header_length(packet)
    elements, number = bytearray(_TRANSPORT_ELEMENT), -1
    if packet[0] & 0x10:
        at = MIN_HEADER + 4 * (packet[0] & 0x0F)
        if (
            _WORD.unpack_from(packet, at)[0] == ONE_BYTE_PROFILE
        ):  # two-byte ones were not negotiated
            number = _copy_elements(packet, at + 4, length, wanted, watched, elements)
    elements += bytes(-len(elements) % 4)
    head = _HEAD.pack(
        0x90 | packet[0] & 0x20,
        packet[1] & 0x80 | payload_type,
        packet[2:MIN_HEADER],
        ONE_BYTE_PROFILE,
        len(elements) // 4,
    )
    at = len(head) + len(elements)
    return bytearray(head + elements + packet[length:]), number, at


def _copy_elements(
    packet: bytes, at: int, end: int, wanted: Mapping[int, int], watched: int, into: bytearray
) -> int:
    seen = -1
    while at < end:
        head = packet[at]
        if head == 0:
            at += 1
            continue
        if head >> 4 == 15:  # the end (RFC 8285 §4.2)
            break
        identifier, after = head >> 4, at + (head & 0x0F) + 2
        if after > end:
            raise PacketInvalid
        if identifier == watched and after - at == 3:
            seen = int(_WORD.unpack_from(packet, at + 1)[0])
        elif (renumbered := wanted.get(identifier)) is not None:
            into.append(renumbered << 4 | head & 0x0F)
            into += packet[at + 1 : after]
        at = after
    return seen


def find_extension(packet: bytes | bytearray, identifier: int) -> bytes:
    """Cut out a one-byte header extension; empty when it is not there. Raises PacketInvalid."""
    end = header_length(packet)
    if not packet[0] & 0x10:
        return b""
    at = MIN_HEADER + 4 * (packet[0] & 0x0F)
    if _WORD.unpack_from(packet, at)[0] != ONE_BYTE_PROFILE:
        return b""
    at += 4
    while at < end and packet[at] >> 4 != 15:
        head = packet[at]
        after = at + (head & 0x0F) + 2 if head else at + 1
        if after > end:
            raise PacketInvalid
        if head and head >> 4 == identifier:
            return bytes(packet[at + 1 : after])
        at = after
    return b""


def wrap_retransmission(packet: bytes, payload_at: int, payload_type: int, sequence: int) -> bytes:
    """Make the RTX packet of a packet (RFC 4588 §4): its payload behind its own sequence number. The SSRC stays."""
    return (
        bytes([packet[0], packet[1] & 0x80 | payload_type])
        + _WORD.pack(sequence & 0xFFFF)
        + packet[4:payload_at]
        + packet[2:4]
        + packet[payload_at:]
    )


def unwrap_retransmission(packet: bytes, payload_type: int, ssrc: int) -> bytes | None:
    """Make the packet that an RTX packet carries (RFC 4588 §4); None for one that only pads. Raises PacketInvalid."""
    length = header_length(packet)
    if len(payload(packet)) < 2:
        return None
    return (
        bytes([packet[0], packet[1] & 0x80 | payload_type])
        + packet[length : length + 2]
        + packet[4:8]
        + _LONG.pack(ssrc)
        + packet[MIN_HEADER:length]
        + packet[length + 2 :]
    )


def padding(payload_type: int, sequence: int, timestamp: int, size: int) -> bytes:
    """Make a packet of padding alone (RFC 3550 §5.1), to fill `size` bytes, of which 255 at most are padding."""
    count = max(1, min(255, size))
    head = _HEAD.pack(
        0xB0,
        payload_type,
        _NUMBERS.pack(sequence & 0xFFFF, timestamp & 0xFFFFFFFF) + bytes(4),
        ONE_BYTE_PROFILE,
        1,
    )
    return head + _TRANSPORT_ELEMENT + b"\x00" + bytes(count - 1) + bytes([count])


def payload(packet: bytes | bytearray) -> bytes:
    """Cut out the payload, padding removed. Raises PacketInvalid."""
    start, end = header_length(packet), len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    if end < start:
        raise PacketInvalid
    return bytes(packet[start:end])


__all__ = [
    "TRANSPORT_SEQUENCE_AT",
    "TRANSPORT_SEQUENCE_ID",
    "PacketInvalid",
    "find_extension",
    "header_length",
    "is_rtcp",
    "padding",
    "payload",
    "payload_type",
    "rebuild",
    "renumber",
    "sequence_number",
    "ssrc",
    "timestamp",
    "under",
    "unwrap_retransmission",
    "wrap_retransmission",
]
