"""RTCP as light clients say and hear it: reports, NACK, PLI and transport-wide feedback.

RFC 3550 §6.4, RFC 4585 §6, draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct, error, pack, unpack_from

SENDER_REPORT, RECEIVER_REPORT, TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 200, 201, 205, 206
NACK, TRANSPORT_CC = 1, 15
PLI, FIR = 1, 4
MAX_FEEDBACK_NUMBERS = 400
TICKS_PER_SECOND = 4_000  # of receive deltas: 250 µs
TICKS_PER_REFERENCE = 256  # 64 ms
_HEAD = Struct("!BBH")


@dataclass(frozen=True, slots=True)
class Block:
    """What a report says of one source (RFC 3550 §6.4.1); `fraction_lost` in 256ths."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that are wanted again."""

    ssrc: int
    lost: Sequence[int]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A PLI or FIR."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The middle of the NTP time is what receivers send back."""

    ssrc: int
    middle: int


Item = Nack | KeyframeRequest | SenderReport


def sender_report(
    ssrc: int, time_ns: int, timestamp: int, packets: int, octets: int, cname: str
) -> bytes:
    """Make a sender report with its CNAME; `time_ns` since 1970."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    fraction = (rest << 32) // 1_000_000_000
    body = pack(
        "!LLLLLL",
        ssrc,
        (seconds + 2_208_988_800) & 0xFFFFFFFF,
        fraction,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return _packet(0, SENDER_REPORT, body) + _description(ssrc, cname)


def receiver_report(ssrc: int, blocks: Sequence[Block]) -> bytes:
    """Report on at most 31 sources."""
    body = pack("!L", ssrc)
    for block in blocks:
        body += pack("!LB", block.ssrc, block.fraction_lost)
        body += min(block.lost, 0x7FFFFF).to_bytes(3, "big")
        body += pack("!LLLL", block.highest, block.jitter, block.last_report, block.delay)
    return _packet(len(blocks), RECEIVER_REPORT, body)


def picture_loss(ssrc: int, media: int) -> bytes:
    """Ask for a keyframe."""
    return _packet(PLI, PAYLOAD_FEEDBACK, pack("!LL", ssrc, media))


def nack(ssrc: int, media: int, lost: Sequence[int]) -> bytes:
    """Ask for packets again: 16-bit sequence numbers, in order."""
    body = pack("!LL", ssrc, media)
    at = 0
    while at < len(lost):
        first, mask = lost[at], 0
        at += 1
        while at < len(lost) and 0 < (ahead := (lost[at] - first) & 0xFFFF) <= 16:
            mask |= 1 << (ahead - 1)
            at += 1
        body += pack("!HH", first, mask)
    return _packet(NACK, TRANSPORT_FEEDBACK, body)


def transport_feedback(ssrc: int, media: int, count: int, arrivals: Mapping[int, float]) -> bytes:
    """Tell when packets came: seconds by unwrapped transport-wide number, at most MAX_FEEDBACK_NUMBERS in span."""
    first, last = min(arrivals), max(arrivals)
    reference = int(min(arrivals.values()) * TICKS_PER_SECOND) // TICKS_PER_REFERENCE
    before = reference * TICKS_PER_REFERENCE
    symbols, deltas = [], b""
    for number in range(first, last + 1):
        if (came := arrivals.get(number)) is None:
            symbols.append(0)
            continue
        now = int(came * TICKS_PER_SECOND)
        delta = max(-32_768, min(32_767, now - before))
        before += delta
        is_small = 0 <= delta <= 255
        symbols.append(1 if is_small else 2)
        deltas += delta.to_bytes(1, "big") if is_small else delta.to_bytes(2, "big", signed=True)
    body = pack("!LLHH", ssrc, media, first & 0xFFFF, len(symbols))
    body += (reference & 0xFFFFFF).to_bytes(3, "big") + bytes((count & 0xFF,))
    for at in range(0, len(symbols), 7):
        chunk = 0xC000  # seven symbols of two bits
        for place, symbol in enumerate(symbols[at : at + 7]):
            chunk |= symbol << (12 - 2 * place)
        body += pack("!H", chunk)
    body += deltas
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    return _packet(TRANSPORT_CC | (0x20 if padding else 0), TRANSPORT_FEEDBACK, body)


def parse(compound: bytes) -> Iterator[Item]:
    """Read what matters to a client; what is malformed ends the reading."""
    at = 0
    while at + 4 <= len(compound):
        first, kind, words = _HEAD.unpack_from(compound, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            return
        try:
            yield from _items(first & 0x1F, kind, compound[at + 4 : end])
        except error:
            return
        at = end


def _items(count: int, kind: int, body: bytes) -> Iterator[Item]:
    if kind == SENDER_REPORT:
        ssrc, high, low = unpack_from("!LLL", body)
        yield SenderReport(ssrc, (high & 0xFFFF) << 16 | low >> 16)
    elif kind == TRANSPORT_FEEDBACK and count == NACK:
        yield Nack(int(unpack_from("!L", body, 4)[0]), _lost(body[8:]))
    elif kind == PAYLOAD_FEEDBACK and count == PLI:
        yield KeyframeRequest(int(unpack_from("!L", body, 4)[0]))
    elif kind == PAYLOAD_FEEDBACK and count == FIR:
        for at in range(8, len(body) - 7, 8):
            yield KeyframeRequest(int(unpack_from("!L", body, at)[0]))


def _lost(pairs: bytes) -> list[int]:
    lost = []
    for at in range(0, len(pairs) - 3, 4):
        first, mask = unpack_from("!HH", pairs, at)
        lost.append(first)
        lost += [(first + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return lost


def _description(ssrc: int, cname: str) -> bytes:
    item = bytes((1, len(cname))) + cname.encode()
    chunk = pack("!L", ssrc) + item + bytes(4 - len(item) % 4)
    return _packet(1, 202, chunk)


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEAD.pack(0x80 | count, kind, len(body) // 4) + body


__all__ = [
    "MAX_FEEDBACK_NUMBERS",
    "Block",
    "KeyframeRequest",
    "Nack",
    "SenderReport",
    "nack",
    "parse",
    "picture_loss",
    "receiver_report",
    "sender_report",
    "transport_feedback",
]
