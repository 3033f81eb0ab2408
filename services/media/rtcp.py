"""RTCP (RFC 3550 §6, RFC 4585): what we read of it, and what we write.

A compound packet is walked by hand, since all that comes is hostile until read; only the kinds that matter here are
taken out. Unknown kinds are passed over; a packet whose lengths do not add up is refused whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import Struct
from typing import NamedTuple

SENDER_REPORT, RECEIVER_REPORT, RTPFB, PSFB = 200, 201, 205, 206
REPORT_SECONDS = 1.0
"""So often senders and receivers are told how it goes."""
MAX_COMPOUND = 1_100
NACK, TRANSPORT_CC = 1, 15
PLI, FIR = 1, 4
MAX_NACKS = 512
MAX_FEEDBACK = 8_192
"""Packets of which one transport-wide feedback may tell."""
_DELTA_BYTES = (0, 1, 2, 0)
"""Of each packet status symbol: not received, small delta, large delta, reserved."""

_LONE = (bytes((0x80 | TRANSPORT_CC, RTPFB)), bytes((0xA0 | TRANSPORT_CC, RTPFB)))
"""How a transport-wide feedback begins, without and with padding."""
_HEAD = Struct("!BBH")
_SENDER = Struct("!LQLLL")
_TWO_LONGS = Struct("!LL")
_PAIR = Struct("!HH")
_REPORT = Struct("!LLLLLL")


class RtcpInvalid(ValueError):
    """The bytes are no RTCP packet."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """When a source said which RTP timestamp it was (RFC 3550 §6.4.1)."""

    ssrc: int
    ntp: int
    rtp_timestamp: int


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A PLI or FIR for a source."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Sequence numbers of a source that did not arrive (RFC 4585 §6.2.1)."""

    ssrc: int
    lost: Sequence[int]


class ReceptionReport(NamedTuple):
    """How a source of ours was received (RFC 3550 §6.4.2).

    `fraction_lost` is 0 to 1, `lost` counts packets, `jitter` is in units of the clock rate; `last_sender_report` is
    the middle of that report's NTP time and `delay_since` the time since, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: float
    lost: int = 0
    jitter: int = 0
    last_sender_report: int = 0
    delay_since: int = 0


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """What has come of all that was sent, by transport-wide sequence number: the body, for `Acknowledged.receive`."""

    body: bytes


Feedback = SenderReport | KeyframeRequest | Nack | ReceptionReport | TransportFeedback


def parse(compound: bytes) -> list[Feedback]:
    """Read a compound packet. Raises RtcpInvalid."""
    found: list[Feedback] = []
    at = 0
    while at < len(compound):
        if len(compound) - at < 4:
            raise RtcpInvalid
        first, kind, words = _HEAD.unpack_from(compound, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            raise RtcpInvalid
        body = compound[at + 4 : end]
        if (read := _READERS.get(kind)) is not None:
            found += read(first & 0x1F, body)
        at = end
    return found


def lone_feedback(compound: bytes) -> bytes | None:
    """Cut out the body of a packet that is one transport-wide feedback and nothing else, as most are; else None."""
    is_one = compound[:2] in _LONE and 4 * int.from_bytes(compound[2:4], "big") == len(compound) - 4
    return compound[4:] if is_one else None


def _read_sender_report(count: int, body: bytes) -> Iterable[Feedback]:
    if len(body) < 24:
        raise RtcpInvalid
    ssrc, ntp, rtp_timestamp, _, _ = _SENDER.unpack_from(body)
    return [SenderReport(ssrc, ntp, rtp_timestamp), *_reports(count, body[24:])]


def _read_receiver_report(count: int, body: bytes) -> Iterable[Feedback]:
    return _reports(count, body[4:])


def _reports(count: int, blocks: bytes) -> list[Feedback]:
    if len(blocks) < _REPORT.size * count:
        raise RtcpInvalid
    return [
        ReceptionReport(ssrc, (losses >> 24) / 256, losses & 0x7FFFFF, jitter, last, since)
        for ssrc, losses, _, jitter, last, since in _REPORT.iter_unpack(
            blocks[: _REPORT.size * count]
        )
    ]


def _read_rtpfb(fmt: int, body: bytes) -> Iterable[Feedback]:
    if fmt == TRANSPORT_CC:
        return [TransportFeedback(body)]
    if fmt != NACK:
        return []
    if len(body) < 8:
        raise RtcpInvalid
    lost: list[int] = []
    for at in range(8, len(body) - 3, 4):
        packet_id, mask = _PAIR.unpack_from(body, at)
        lost.append(packet_id)
        lost += [(packet_id + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1]
        if len(lost) > MAX_NACKS:
            raise RtcpInvalid
    return [Nack(int.from_bytes(body[4:8], "big"), lost)]


def read_transport_feedback(body: bytes) -> tuple[int, Sequence[int | None]]:
    """Read draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1; the body begins with the sender's SSRC.

    Returns the first packet's number (16 bits), and, from that on, arrivals in microseconds by the receiver's clock;
    None: it has not come. Raises RtcpInvalid.
    """
    if len(body) < 18:
        raise RtcpInvalid
    base, count = _PAIR.unpack_from(body, 8)
    if count > MAX_FEEDBACK:
        raise RtcpInvalid
    clock = 64_000 * int.from_bytes(body[12:15], "big")
    symbols, at = _read_symbols(body, count)
    if max(symbols, default=0) <= 1:  # almost always: the loop below in one step
        deltas = body[at : at + sum(symbols)]
        if len(deltas) < sum(symbols):
            raise RtcpInvalid
        times = [clock + 250 * each for each in accumulate(deltas)]
        if len(times) == count:
            return base, times
        came = iter(times)
        return base, [next(came) if symbol else None for symbol in symbols]
    arrivals: list[int | None] = []
    for symbol in symbols:
        size = _DELTA_BYTES[symbol]
        if at + size > len(body):
            raise RtcpInvalid
        if size:
            clock += 250 * int.from_bytes(body[at : at + size], "big", signed=size == 2)
            at += size
        arrivals.append(clock if size else None)
    return base, arrivals


def _read_symbols(body: bytes, count: int) -> tuple[list[int], int]:
    """Read packet status chunks (§3.1.3, §3.1.4); returns `count` symbols and where they end."""
    symbols: list[int] = []
    at = 16
    while len(symbols) < count:
        if at + 2 > len(body):
            raise RtcpInvalid
        chunk = int.from_bytes(body[at : at + 2], "big")
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13 & 3] * min(chunk & 0x1FFF, count)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:count], at


def _read_psfb(fmt: int, body: bytes) -> Iterable[Feedback]:
    if len(body) < 8:
        raise RtcpInvalid
    if fmt == PLI:
        return [KeyframeRequest(int.from_bytes(body[4:8], "big"))]
    if fmt == FIR:
        return [
            KeyframeRequest(int.from_bytes(body[at : at + 4], "big"))
            for at in range(8, len(body) - 7, 8)
        ]
    return []


_READERS = {
    SENDER_REPORT: _read_sender_report,
    RECEIVER_REPORT: _read_receiver_report,
    RTPFB: _read_rtpfb,
    PSFB: _read_psfb,
}


def sender_report(ssrc: int, ntp: int, rtp_timestamp: int, packets: int, octets: int) -> bytes:
    """Write a sender report without report blocks."""
    body = _SENDER.pack(ssrc, ntp, rtp_timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(0, SENDER_REPORT, body)


def joined(packets: Iterable[bytes]) -> Iterator[bytes]:
    """Put packets together to compound ones of at most MAX_COMPOUND bytes."""
    compound = b""
    for packet in packets:
        if len(compound) + len(packet) > MAX_COMPOUND:
            yield compound
            compound = b""
        compound += packet
    if compound:
        yield compound


@dataclass(frozen=True, slots=True)
class Reception:
    """What a receiver report says of one source; times in units of 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sender_report: int
    delay_since: int


def receiver_report(ssrc: int, receptions: Sequence[Reception]) -> bytes:
    """Write a receiver report of at most 31 sources."""
    body = ssrc.to_bytes(4, "big")
    for each in receptions[:31]:
        body += each.ssrc.to_bytes(4, "big")
        body += bytes([each.fraction_lost]) + min(each.lost, 0x7FFFFF).to_bytes(3, "big")
        for value in (
            each.highest_sequence,
            each.jitter,
            each.last_sender_report,
            each.delay_since,
        ):
            body += (value & 0xFFFFFFFF).to_bytes(4, "big")
    return _packet(min(len(receptions), 31), RECEIVER_REPORT, body)


def picture_loss_indication(ssrc: int, media_ssrc: int) -> bytes:
    """Write a request for a keyframe (RFC 4585 §6.3.1)."""
    return _packet(PLI, PSFB, _TWO_LONGS.pack(ssrc, media_ssrc))


def nack(ssrc: int, media_ssrc: int, lost: Sequence[int]) -> bytes:
    """Write a request for retransmission of sequence numbers, in order (RFC 4585 §6.2.1)."""
    body = _TWO_LONGS.pack(ssrc, media_ssrc)
    left = list(lost)
    while left:
        first, mask = left.pop(0), 0
        while left and 0 < ((left[0] - first) & 0xFFFF) <= 16:
            mask |= 1 << (((left.pop(0) - first) & 0xFFFF) - 1)
        body += _PAIR.pack(first, mask)
    return _packet(NACK, RTPFB, body)


def transport_feedback(
    ssrc: int, media_ssrc: int, count: int, arrivals: Sequence[tuple[int, float]]
) -> bytes:
    """Write transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

    `arrivals` are (unwrapped transport-wide sequence number, arrival time in seconds), by number without repetition;
    the numbers between that are missing count as lost. `count` counts the feedback packets.
    """
    base = arrivals[0][0]
    reference = int(arrivals[0][1] * 1000) // 64
    clock = reference * 64_000  # microseconds
    symbols, deltas = [], b""
    expected = base
    for number, arrival in arrivals:
        symbols += [0] * (number - expected)
        expected = number + 1
        ticks = round((arrival * 1_000_000 - clock) / 250)
        ticks = max(-32768, min(32767, ticks))
        clock += ticks * 250
        if 0 <= ticks <= 255:
            symbols.append(1)
            deltas += bytes([ticks])
        else:
            symbols.append(2)
            deltas += ticks.to_bytes(2, "big", signed=True)
    body = _TWO_LONGS.pack(ssrc, media_ssrc) + _PAIR.pack(base & 0xFFFF, len(symbols))
    body += (reference & 0xFFFFFF).to_bytes(3, "big") + bytes([count & 0xFF])
    for at in range(0, len(symbols), 7):  # two-bit status vector chunks, seven symbols each
        chunk = 0xC000
        for position, symbol in enumerate(symbols[at : at + 7]):
            chunk |= symbol << (12 - 2 * position)
        body += chunk.to_bytes(2, "big")
    return _packet(TRANSPORT_CC, RTPFB, body + deltas)


def _packet(count: int, kind: int, body: bytes) -> bytes:
    padding = -len(body) % 4
    first = 0x80 | count
    if padding:
        first |= 0x20
        body += bytes(padding - 1) + bytes([padding])
    return _HEAD.pack(first, kind, len(body) // 4) + body
