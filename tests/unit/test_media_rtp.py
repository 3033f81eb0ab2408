"""RTP headers: read, renumbered, and what may not travel on is blanked."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtp
from services.media.numbering import Numbering
from services.media.reception import Reception

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


def test_a_wanted_extension_is_renumbered_and_all_others_are_blank() -> None:
    packet = bytearray(PACKET)
    assert rtp.remap_extensions(packet, {1: 9}, 3) == 0x1234
    assert packet[12:28] == bytes.fromhex("bede 0003 90 55") + bytes(10)
    assert rtp.payload(packet) == b"opus"


def test_two_byte_extensions_do_not_travel() -> None:
    packet = bytearray(PACKET)
    packet[12:14] = b"\x10\x00"
    assert rtp.remap_extensions(packet, {1: 1}, 3) == -1
    assert packet[16:28] == bytes(12)


def test_what_follows_the_id_15_does_not_travel() -> None:
    packet = bytearray(PACKET)
    packet[18] = 0xF0
    assert rtp.remap_extensions(packet, {1: 1, 15: 2}, 3) == -1
    assert packet[16:28] == b"\x10\x55" + bytes(10)


def test_an_element_that_runs_over_the_end_is_refused() -> None:
    packet = bytearray(PACKET)
    packet[23] = 0x5F
    with pytest.raises(rtp.PacketInvalid):
        rtp.remap_extensions(packet, {}, 3)


@settings(max_examples=300, database=None, deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_whatever_comes_is_read_or_refused(data: bytes, like_rtp: bool) -> None:
    packet = bytearray(PACKET[:13] + data if like_rtp else data)
    before = bytes(packet)
    try:
        length = rtp.header_length(packet)
        rtp.remap_extensions(packet, {1: 1, 2: 4}, 3)
        rtp.payload(packet)
    except rtp.PacketInvalid:
        return
    assert len(packet) == len(before)
    assert packet[length:] == before[length:]


def make(sequence: int, timestamp: int) -> bytearray:
    return bytearray(struct.pack("!BBHLL", 0x80, 96, sequence & 0xFFFF, timestamp, 1))


def through(numbering: Numbering, reception: Reception, sequence: int, at: int) -> int | None:
    packet = make(sequence, at & 0xFFFFFFFF)
    extended = reception.receive(sequence & 0xFFFF, at & 0xFFFFFFFF, at / 90_000)
    return numbering.renumber(packet, extended, at / 90_000)


def test_the_publishers_numbers_are_kept() -> None:
    numbering, reception = Numbering(90_000), Reception(90_000)
    numbers = [65_533, 65_534, 0, 65_535, 1]
    assert [through(numbering, reception, n, n) for n in numbers] == numbers


@pytest.mark.parametrize("withheld", [1, 100, 32_767, 32_768, 40_000, 65_536, 200_000])
def test_after_a_mute_of_any_length_the_line_goes_on_without_a_gap(withheld: int) -> None:
    numbering, reception = Numbering(90_000), Reception(90_000)
    assert through(numbering, reception, 500, 500) == 500
    for number in range(501, 501 + withheld):
        reception.receive(number & 0xFFFF, number, number / 90_000)
        numbering.interrupt()
    assert through(numbering, reception, 501 + withheld, 501 + withheld) == 501
    assert through(numbering, reception, 502 + withheld, 502 + withheld) == 502


def test_what_comes_late_from_before_a_mute_is_dropped() -> None:
    numbering, reception = Numbering(90_000), Reception(90_000)
    through(numbering, reception, 500, 500)
    numbering.interrupt()
    assert through(numbering, reception, 600, 600) == 501
    assert through(numbering, reception, 599, 599) is None


def test_another_source_continues_the_line_and_the_clock() -> None:
    numbering = Numbering(90_000)
    first, second = Reception(90_000), Reception(90_000)
    numbering.renumber(make(500, 9_000), first.receive(500, 9_000, 1.0), 1.0)
    numbering.interrupt(new_source=True)
    packet = make(40_000, 77)
    assert numbering.renumber(packet, second.receive(40_000, 77, 1.5), 1.5) == 501
    assert rtp.timestamp(packet) == 9_000 + 45_000
    assert numbering.timestamp_offset == 9_000 + 45_000 - 77


def test_loss_is_counted_and_late_packets_are_not_lost() -> None:
    reception = Reception(48_000)
    for number in (65_534, 65_535, 2, 1):
        reception.receive(number, 0, 0.0)
    assert reception.lost == 1
    block = reception.block(1, 1.0)
    assert block.highest_sequence == 65_538
    assert block.fraction_lost == 256 // 5
