"""Parsers of hostile bytes: whatever comes is read or refused as documented, and what browsers send is read."""

from __future__ import annotations

import contextlib
import re
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import payload, rtcp, rtp, sdp
from services.media.domain import SdpInvalid
from services.media.dtls import Certificate, Dtls
from services.media.ice import CheckInvalid, IceLite, read_check
from tests.hostile import MAX_DATAGRAM, datagrams, descriptions, mutated, mutated_text

SOMEWHERE = ("192.0.2.1", 5000)
CERTIFICATE = Certificate()
FUZZ = settings(max_examples=400, database=None, deadline=None)


def read_rtp(packet: bytes) -> None:
    """Do with a packet all that is done with it between its arrival and its leaving."""
    rtp.is_rtcp(packet)
    length = rtp.header_length(packet)
    rebuilt, number, at = rtp.rebuild(packet, {1: 1, 4: 4}, 3, 96)
    assert -1 <= number <= 0xFFFF
    assert rebuilt[at:] == packet[length:]
    assert rtp.header_length(rebuilt) == at
    rtp.find_extension(packet, 1)
    body = rtp.payload(packet)
    for codec in ("VP8", "VP9", "H264", "AV1"):
        payload.begins_keyframe(codec, body)
        payload.height(codec, body)
    assert len(payload.red_primary(body)) <= len(body)
    numbers = payload.vp8_numbers(rebuilt, at)
    assert max(numbers.picture_at + numbers.is_wide, numbers.tl0_at) < len(rebuilt)
    sent_again = rtp.wrap_retransmission(bytes(rebuilt), at, 97, 7)
    assert rtp.unwrap_retransmission(sent_again, 96, rtp.ssrc(rebuilt)) == bytes(rebuilt)
    rtp.unwrap_retransmission(packet, 96, 1)


def shaken(*datagrams: bytes) -> Dtls:
    """Make a handshake that has taken datagrams."""
    dtls = Dtls(CERTIFICATE, ("sha-256", "AA"))
    for datagram in datagrams:
        dtls.receive(datagram)
        dtls.timeout()
    return dtls


# What browsers and aiortc sent to a server of ours is read, all of it.


@pytest.mark.parametrize("kind", ["stun", "dtls", "rtp", "rtcp"])
def test_there_is_a_corpus(kind: str) -> None:
    assert len(datagrams(kind)) >= 4
    assert len(descriptions()) >= 4


@pytest.mark.parametrize("number", range(len(descriptions())))
def test_a_description_of_a_browsers_is_read(number: int) -> None:
    text = descriptions()[number]
    description = sdp.parse(text)
    ufrag, password, (algorithm, value) = description.remote
    assert f"a=ice-ufrag:{ufrag}\r\n" in text
    assert f"a=ice-pwd:{password}\r\n" in text
    assert f"a=fingerprint:{algorithm} {value}\r\n" in text
    assert [section.mid for section in description.sections] == re.findall(r"a=mid:(\S+)", text)


def test_a_check_of_a_browsers_is_read() -> None:
    for datagram in datagrams("stun"):
        assert len(read_check(datagram).ufrag) == 12


def test_the_media_of_a_browser_is_read() -> None:
    for packet in datagrams("rtp"):
        read_rtp(packet)


def test_the_reports_and_requests_of_a_browser_are_read() -> None:
    read = [item for packet in datagrams("rtcp") for item in rtcp.parse(packet)]
    kinds = {type(item) for item in read}
    assert {rtcp.SenderReport, rtcp.ReceptionReport, rtcp.KeyframeRequest} <= kinds
    assert all(
        0 <= item.fraction_lost < 1 for item in read if isinstance(item, rtcp.ReceptionReport)
    )


# Whatever comes is read, or refused with the one exception that is documented.


@FUZZ
@given(mutated(datagrams("stun")) | st.binary(max_size=64))
def test_no_check_surprises(datagram: bytes) -> None:
    ice = IceLite()
    with contextlib.suppress(CheckInvalid):
        ice.answer(read_check(datagram), SOMEWHERE, 1.0)
    assert ice.address is None


@FUZZ
@given(mutated(datagrams("rtcp") + datagrams("rtp")) | st.binary(max_size=64))
def test_no_rtcp_surprises(packet: bytes) -> None:
    with contextlib.suppress(rtcp.RtcpInvalid):
        for item in rtcp.parse(packet):
            assert not isinstance(item, rtcp.Nack) or len(item.lost) <= rtcp.MAX_NACKS
            if isinstance(item, rtcp.TransportFeedback):
                assert len(rtcp.read_transport_feedback(item.body)[1]) <= rtcp.MAX_FEEDBACK


@FUZZ
@given(mutated(datagrams("rtp") + datagrams("rtcp")) | st.binary(min_size=2, max_size=64))
def test_no_rtp_surprises(packet: bytes) -> None:
    with contextlib.suppress(rtp.PacketInvalid):
        if len(packet) >= rtp.MIN_HEADER:  # no transport hands on a shorter one
            read_rtp(packet)


@FUZZ
@given(mutated_text(descriptions()) | st.text(max_size=200))
def test_no_description_surprises(text: str) -> None:
    with contextlib.suppress(SdpInvalid):
        description = sdp.parse(text)
        for section in description.sections:
            section.chosen()
        assert description.remote[0]


@settings(FUZZ, max_examples=100)
@given(st.lists(mutated(datagrams("dtls")) | st.binary(min_size=1, max_size=64), max_size=4))
def test_no_dtls_record_surprises_and_none_makes_a_connection(records: list[bytes]) -> None:
    assert not shaken(*records).is_connected


def test_after_bad_records_a_good_one_is_answered() -> None:
    hello = next(record for record in datagrams("dtls") if record[0] == 22 and record[13] == 1)
    dtls = shaken(b"\x16\xfe\xfd" + bytes(10) + b"\xff\xff", hello[:20], hello[:40])
    assert dtls.receive(hello)


# What one message may cost.


WORST: list[tuple[str, Callable[[int], object]]] = [
    ("ssrc lines", lambda n: text_of("a=ssrc:{} cname:x", n)),
    ("rtpmap lines", lambda n: text_of("a=rtpmap:{} VP8/90000", n)),
    ("extmap lines", lambda n: text_of("a=extmap:1 urn:{}", n)),
    ("sections", lambda n: "v=0\r\n" + "m=video 9 x 96\r\n" * n),
    ("formats", lambda n: "v=0\r\nm=video 9 x" + " 96" * n + "\r\n"),
]


def text_of(line: str, count: int) -> str:
    return "v=0\r\nm=video 9 x 96\r\n" + "".join(line.format(i + 1) + "\r\n" for i in range(count))


@pytest.mark.parametrize(("what", "text"), WORST, ids=[what for what, _ in WORST])
def test_a_description_costs_no_more_than_its_length(what: str, text: Callable[[int], str]) -> None:
    few, many = (calls(sdp.parse, text(count)) for count in (400, 800))
    assert many < 2.5 * few


@pytest.mark.parametrize("word", [0xFFFF, 0x0000])
def test_no_rtcp_packet_makes_us_hold_much(word: int) -> None:
    for kind in (rtcp.SENDER_REPORT, rtcp.RECEIVER_REPORT, rtcp.RTPFB, rtcp.PSFB, 202, 204, 207):
        for count in range(32):
            head = bytes([0x80 | count, kind])
            body = word.to_bytes(2, "big") * 1_020
            one = head + (len(body) // 4).to_bytes(2, "big") + body
            many = (head + b"\x00\x05" + body[:20]) * 80
            for packet in (one, many[:MAX_DATAGRAM]):
                assert peak_bytes(rtcp.parse, packet) < 512 * 1024


def calls(function: Callable[[Any], object], argument: object) -> int:
    """Count the Python calls that a call makes."""
    made = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with contextlib.suppress(SdpInvalid):
            function(argument)
    finally:
        sys.setprofile(None)
    return made


def peak_bytes(function: Callable[[Any], object], argument: object) -> int:
    """Measure the most that a call holds at once."""
    tracemalloc.start()
    try:
        with contextlib.suppress(rtcp.RtcpInvalid):
            function(argument)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
