"""RTCP: what we read of it, and that others can read what we write (aiortc's parsers are the judge)."""

from __future__ import annotations

import contextlib
import struct

import pytest
from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.media import rtcp


def test_a_sender_report_is_written_and_read() -> None:
    written = rtcp.sender_report(5, 1 << 40, 960, 10, 2**32 + 1)
    (read,) = RtcpPacket.parse(written)
    assert isinstance(read, RtcpSrPacket)
    assert (read.ssrc, read.sender_info.ntp_timestamp) == (5, 1 << 40)
    assert (read.sender_info.packet_count, read.sender_info.octet_count) == (10, 1)
    assert rtcp.parse(written) == [rtcp.SenderReport(5, 1 << 40, 960)]


@given(st.lists(st.sampled_from((0, 28, 400)), max_size=12))
def test_packets_are_put_together_as_far_as_they_fit(sizes: list[int]) -> None:
    packets = [bytes(size) for size in sizes]
    compounds = list(rtcp.joined(packets))
    assert b"".join(compounds) == b"".join(packets)
    assert all(0 < len(compound) <= rtcp.MAX_COMPOUND for compound in compounds)
    assert len(compounds) <= 1 + sum(sizes) // (rtcp.MAX_COMPOUND - max(sizes, default=0))


def test_a_receiver_report_is_written() -> None:
    block = rtcp.Reception(9, 64, 3, 70_000, 12, 34, 56)
    (read,) = RtcpPacket.parse(rtcp.receiver_report(1, [block]))
    assert isinstance(read, RtcpRrPacket)
    (report,) = read.reports
    assert (report.ssrc, report.fraction_lost, report.packets_lost) == (9, 64, 3)
    assert (report.highest_sequence, report.jitter, report.lsr, report.dlsr) == (70_000, 12, 34, 56)


def test_a_picture_loss_indication_is_written_and_read() -> None:
    written = rtcp.picture_loss_indication(1, 9)
    (read,) = RtcpPacket.parse(written)
    assert isinstance(read, RtcpPsfbPacket)
    assert (read.fmt, read.media_ssrc) == (rtcp.PLI, 9)
    assert rtcp.parse(written) == [rtcp.KeyframeRequest(9)]


def test_a_full_intra_request_is_read() -> None:
    packet = struct.pack("!BBHLLLBxxx", 0x80 | rtcp.FIR, rtcp.PSFB, 4, 1, 0, 9, 1)
    assert rtcp.parse(packet) == [rtcp.KeyframeRequest(9)]


@settings(max_examples=100, database=None, deadline=None)
@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 400), min_size=1, max_size=100))
@example(0xFFF0, {0, 16})
def test_a_nack_asks_for_what_it_was_given(start: int, distances: set[int]) -> None:
    lost = [(start + distance) & 0xFFFF for distance in sorted(distances)]
    written = rtcp.nack(1, 9, lost)
    assert rtcp.parse(written) == [rtcp.Nack(9, lost)]
    (read,) = RtcpPacket.parse(written)
    assert isinstance(read, RtcpRtpfbPacket)
    # aiortc adds the bitmask to the first number without wrapping at 2^16 (RFC 4585 §6.2.1 counts modulo)
    assert sorted(number & 0xFFFF for number in read.lost) == sorted(lost)


def test_a_nack_for_half_the_internet_is_refused() -> None:
    body = struct.pack("!LL", 1, 9) + struct.pack("!HH", 0, 0xFFFF) * 40
    packet = struct.pack("!BBH", 0x80 | rtcp.NACK, rtcp.RTPFB, len(body) // 4) + body
    with pytest.raises(rtcp.RtcpInvalid):
        rtcp.parse(packet)


@settings(max_examples=80, database=None, deadline=None)
@given(
    st.integers(0, 65_535),
    st.lists(st.tuples(st.integers(1, 40), st.integers(-20_000, 90_000)), min_size=1, max_size=60),
)
def test_transport_feedback_is_read_as_it_was_written(
    base: int, steps: list[tuple[int, int]]
) -> None:
    number, micros = base, 500_000_000
    arrivals = [(number, micros / 1e6)]
    for step, later in steps:
        number, micros = number + step, micros + later
        arrivals.append((number, micros / 1e6))
    (read,) = rtcp.parse(rtcp.transport_feedback(1, 9, 3, arrivals))
    assert isinstance(read, rtcp.TransportFeedback)
    first, told = rtcp.read_transport_feedback(read.body)
    assert first == base & 0xFFFF
    came = {base + i: at for i, at in enumerate(told) if at is not None}
    assert list(came) == [number for number, _ in arrivals]
    for number, at in arrivals:
        assert abs(came[number] - at * 1e6) <= 250


RUN_LENGTHS = bytes.fromhex("8fcd0006 00000001 00000009 0005 0006 000001 07 2004 0002 04080c10")
"""Four packets at small deltas of 1, 2, 3 and 4 ms after 64 ms, then two that were lost."""


def test_run_length_chunks_are_read() -> None:
    (read,) = rtcp.parse(RUN_LENGTHS)
    assert isinstance(read, rtcp.TransportFeedback)
    assert rtcp.read_transport_feedback(read.body)[1] == [
        65_000,
        67_000,
        70_000,
        74_000,
        None,
        None,
    ]


@pytest.mark.parametrize("size", [12, 16, 20, 24])
def test_feedback_that_ends_too_soon_is_refused(size: int) -> None:
    body = RUN_LENGTHS[:size]
    broken = body[:2] + (size // 4 - 1).to_bytes(2, "big") + body[4:]
    (read,) = rtcp.parse(broken)
    assert isinstance(read, rtcp.TransportFeedback)
    with pytest.raises(rtcp.RtcpInvalid):
        rtcp.read_transport_feedback(read.body)


def read_feedback(packet: bytes) -> dict[int, float]:
    """Read arrival times by sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1)."""
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    base, count = struct.unpack_from("!HH", packet, 12)
    clock = int.from_bytes(packet[16:19], "big") * 64_000
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        chunk = int.from_bytes(packet[at : at + 2], "big")
        assert chunk >> 14 == 3
        symbols += [chunk >> (12 - 2 * position) & 3 for position in range(7)]
        at += 2
    arrivals = {}
    for index, symbol in enumerate(symbols[:count]):
        if symbol:
            clock += int.from_bytes(packet[at : at + symbol], "big", signed=symbol == 2) * 250
            arrivals[(base + index) & 0xFFFF] = clock / 1e6
            at += symbol
    assert at == end
    assert len(packet) == 4 + 4 * struct.unpack_from("!H", packet, 2)[0]
    return arrivals


@settings(max_examples=100, database=None, deadline=None)
@given(
    st.integers(0, 100_000),
    st.dictionaries(st.integers(0, 500), st.floats(100.0, 101.0), min_size=1, max_size=200),
)
def test_transport_feedback_tells_what_came_and_when(base: int, came: dict[int, float]) -> None:
    arrivals = sorted((base + number, at) for number, at in came.items())
    written = rtcp.transport_feedback(1, 9, 3, arrivals)
    assert len(written) <= 1_200
    read = read_feedback(written)
    assert list(read) == [number & 0xFFFF for number, _ in arrivals]
    assert list(read.values()) == pytest.approx([at for _, at in arrivals], abs=0.000_2)


@settings(max_examples=300, database=None, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([None, 200, 201, 205, 206]), st.integers(0, 31))
def test_whatever_comes_is_read_or_refused(data: bytes, kind: int | None, count: int) -> None:
    if kind is not None:
        data = struct.pack("!BBH", 0x80 | count, kind, len(data) // 4) + data[: len(data) // 4 * 4]
    with contextlib.suppress(rtcp.RtcpInvalid):
        rtcp.parse(data)


def test_a_feedback_alone_is_known_at_once_and_nothing_else_for_one() -> None:
    alone = rtcp.transport_feedback(1, 9, 0, [(1, 2.0), (2, 2.25)])
    (read,) = rtcp.parse(alone)
    assert isinstance(read, rtcp.TransportFeedback)
    assert rtcp.lone_feedback(alone) == read.body
    report = rtcp.sender_report(1, 2, 3, 4, 5)
    for other in (b"", alone[:-4], alone + report, report, rtcp.nack(1, 9, [3])):
        assert rtcp.lone_feedback(other) is None
