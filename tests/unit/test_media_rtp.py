"""RTP packets: read, laid out for subscribers, wrapped for those who lost them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtp
from services.media.reception import Reception
from tests.srtp_sink import fanout_to

# Version 2, extension, payload type 111, sequence 7, timestamp 960, SSRC 0xABCD; one-byte extensions 1 (one byte), 3
# (two bytes, transport-wide sequence number 0x1234), padding, 5 (three bytes); payload "opus".
PACKET = bytes.fromhex(
    "90 6f 0007 000003c0 0000abcd bede 0003 10 55 31 1234 00 00 52 aabbcc 00"
) + (b"opus")


def test_a_header_is_read() -> None:
    assert rtp.sequence_number(PACKET) == 7
    assert rtp.timestamp(PACKET) == 960
    assert rtp.ssrc(PACKET) == 0xABCD
    assert rtp.payload_type(PACKET) == 111
    assert rtp.header_length(PACKET) == 28
    assert rtp.payload(PACKET) == b"opus"


def test_padding_is_no_payload() -> None:
    assert rtp.payload(bytes([PACKET[0] | 0x20]) + PACKET[1:] + b"\x00\x00\x03") == b"opus"


HEAD = bytes.fromhex("90 60 0007 000003c0 0000abcd bede")


def test_a_packet_is_laid_out_as_subscribers_get_it() -> None:
    packet, number, at = rtp.rebuild(PACKET, {1: 9}, 3, 96)
    assert number == 0x1234
    assert packet == HEAD + bytes.fromhex("0002 31 0000 90 55 000000") + b"opus"
    assert packet[at:] == b"opus"
    assert rtp.TRANSPORT_SEQUENCE_AT == 17, (
        "after the fixed header, the extension's and the element's own"
    )


def test_contributing_sources_and_other_extensions_do_not_travel() -> None:
    mixed = bytes([0x92, *PACKET[1:12], *bytes(8)]) + PACKET[12:]
    assert rtp.rebuild(mixed, {}, 0, 96)[0] == HEAD + bytes.fromhex("0001 31 0000 00") + b"opus"


def test_two_byte_extensions_do_not_travel() -> None:
    packet = bytearray(PACKET)
    packet[12:14] = b"\x10\x00"
    laid_out, number, _ = rtp.rebuild(bytes(packet), {1: 1}, 3, 96)
    assert (number, rtp.find_extension(laid_out, 1)) == (-1, b"")


def test_what_follows_the_id_15_does_not_travel() -> None:
    packet = bytearray(PACKET)
    packet[18] = 0xF0
    laid_out, number, _ = rtp.rebuild(bytes(packet), {1: 1, 15: 2}, 3, 96)
    assert (number, rtp.find_extension(laid_out, 1)) == (-1, b"\x55")


def test_an_extension_is_found_by_its_id() -> None:
    assert rtp.find_extension(PACKET, 5) == bytes.fromhex("aabbcc")
    assert rtp.find_extension(PACKET, 2) == b""


def test_an_element_that_runs_over_the_end_is_refused() -> None:
    packet = bytearray(PACKET)
    packet[23] = 0x5F
    with pytest.raises(rtp.PacketInvalid):
        rtp.rebuild(bytes(packet), {}, 3, 96)
    with pytest.raises(rtp.PacketInvalid):
        rtp.find_extension(packet, 9)


def test_a_retransmission_carries_the_packet_and_its_number() -> None:
    packet, _, at = rtp.rebuild(PACKET, {1: 9}, 3, 96)
    wrapped = rtp.under(rtp.wrap_retransmission(bytes(packet), at, 97, 500), 77)
    assert (rtp.payload_type(wrapped), rtp.sequence_number(wrapped), rtp.ssrc(wrapped)) == (
        97,
        500,
        77,
    )
    assert rtp.payload(wrapped) == b"\x00\x07opus"
    assert rtp.unwrap_retransmission(wrapped, 96, 0xABCD) == bytes(packet)


def test_a_retransmission_that_only_pads_carries_nothing() -> None:
    padding = rtp.padding(97, 5, 960, 255)
    assert rtp.payload(padding) == b""
    assert len(padding) == 20 + 255
    assert rtp.unwrap_retransmission(padding, 96, 1) is None


@settings(max_examples=300, database=None, deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_whatever_comes_is_read_or_refused(data: bytes, like_rtp: bool) -> None:
    packet = PACKET[:13] + data if like_rtp else data
    try:
        length = rtp.header_length(packet)
        laid_out, _, at = rtp.rebuild(packet, {1: 1, 2: 4}, 3, 96)
        rtp.find_extension(packet, 1)
        rtp.payload(packet)
        rtp.unwrap_retransmission(packet, 96, 1)
    except rtp.PacketInvalid:
        return
    assert laid_out[at:] == packet[length:]


def test_loss_is_counted_and_late_packets_are_not_lost() -> None:
    fanout = fanout_to(lambda _datagram, _address: None)
    stream = fanout.stream(48_000, False, lambda *_packet: None, 0.0)
    stream.read_by({96: 96}, {}, 0)
    reception = Reception(stream, 48_000)
    for number in (65_534, 65_535, 2, 1):
        stream.receive(struct.pack("!BBHLL", 0x80, 96, number, 0, 1), 0.0)
    assert reception.lost == 1
    block = reception.block(1, 1.0)
    assert block.highest_sequence == 65_538
    assert block.fraction_lost == 256 // 5
