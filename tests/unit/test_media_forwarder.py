"""A published track's way to its subscribers: rewritten, retransmitted, asked for again, reported, muted."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from services.media import rtcp, rtp, sdp
from services.media.dtls import MAX_SRTP_PACKET, Certificate
from services.media.forwarder import (
    HISTORY,
    KEYFRAME_INTERVAL_SECONDS,
    NACK_RETRY_SECONDS,
    NACK_TRIES,
    RESENDS_PER_TICK,
    Downlink,
    Forwarder,
)
from services.media.publisher import FEEDBACK_SECONDS, Publisher
from services.media.transport import Transport

SOURCE = 0xABCD


def packet(sequence: int, timestamp: int = 0, source: int = SOURCE, payload: bytes = b"x") -> bytes:
    return struct.pack("!BBHLL", 0x80, 0x80 | 101, sequence & 0xFFFF, timestamp, source) + payload


class Sink:
    """A subscriber's end."""

    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []

    def send_rtp(self, packet: bytes, ssrc: bytes) -> None:
        self.rtp.append(packet[:8] + ssrc + packet[12:])

    def send_rtcp(self, packet: bytes) -> None:
        self.rtcp.append(packet)

    @property
    def sequence(self) -> list[int]:
        return [rtp.sequence_number(each) for each in self.rtp]


class Track:
    """A video track with two subscribers, 7 and 8."""

    def __init__(self, codec: sdp.Codec = sdp.VP8) -> None:
        self.asked: list[bytes] = []
        self.forwarder = Forwarder(codec, {}, 0, self.asked.append)
        self.sinks = [Sink(), Sink()]
        self.links = [Downlink(sink, 7 + i) for i, sink in enumerate(self.sinks)]
        self.forwarder.downlinks += self.links

    def publish(self, sequences: Sequence[int], now: float = 1.0) -> None:
        for sequence in sequences:
            self.forwarder.receive(packet(sequence), now)

    def nacked(self) -> list[Sequence[int]]:
        found = [item for each in self.asked for item in rtcp.parse(each)]
        return [item.lost for item in found if isinstance(item, rtcp.Nack)]

    def keyframes_asked(self) -> int:
        found = [item for each in self.asked for item in rtcp.parse(each)]
        return sum(isinstance(item, rtcp.KeyframeRequest) for item in found)


def test_each_subscriber_gets_the_packet_under_an_ssrc_of_its_own() -> None:
    track = Track()
    track.forwarder.receive(packet(9, 90, payload=b"frame"), 1.0)
    for sink, ssrc in zip(track.sinks, (7, 8), strict=True):
        (got,) = sink.rtp
        assert (rtp.ssrc(got), rtp.sequence_number(got), rtp.timestamp(got)) == (ssrc, 9, 90)
        assert got[1] == 0x80 | sdp.VP8.payload_type, "the marker stays, the payload type is ours"
        assert rtp.payload(got) == b"frame"


def test_a_packet_that_srtp_could_not_carry_is_refused() -> None:
    track = Track()
    with pytest.raises(rtp.PacketInvalid):
        track.forwarder.receive(packet(1, payload=bytes(MAX_SRTP_PACKET)), 1.0)


def test_what_one_subscriber_lost_it_alone_gets_again() -> None:
    track = Track()
    track.publish([1, 2, 3])
    track.forwarder.resend(track.links[0], rtcp.Nack(7, [2, 9]))
    assert track.sinks[0].sequence == [1, 2, 3, 2]
    assert track.sinks[1].sequence == [1, 2, 3]
    assert (track.links[0].packets, track.links[0].retransmitted) == (3, 1)


def test_who_asks_again_and_again_gets_only_so_much_at_a_time() -> None:
    track = Track()
    track.publish(range(200))
    lost = rtcp.Nack(7, list(range(200)))
    for _ in range(10):
        track.forwarder.resend(track.links[0], lost)
    assert track.links[0].retransmitted == RESENDS_PER_TICK
    track.forwarder.tick(2.0)
    track.forwarder.resend(track.links[0], lost)
    assert track.links[0].retransmitted == 2 * RESENDS_PER_TICK


def test_what_is_older_than_the_history_is_not_sent_again() -> None:
    track = Track()
    track.publish(range(HISTORY + 2))
    track.forwarder.resend(track.links[0], rtcp.Nack(7, [0, 1, 2]))
    assert track.sinks[0].sequence[HISTORY + 2 :] == [2]


def test_the_publisher_is_asked_for_what_is_missing_a_few_times() -> None:
    track = Track()
    track.publish([65_534, 1])
    assert track.nacked() == [[65_535, 0]]
    for step in range(1, 10):
        track.forwarder.tick(1.0 + step * NACK_RETRY_SECONDS * 1.01)
    assert track.nacked() == [[65_535, 0]] * NACK_TRIES


def test_what_has_come_late_is_not_asked_for_again() -> None:
    track = Track()
    track.publish([1, 4, 2, 3])
    track.forwarder.tick(2.0)
    assert track.nacked() == [[2, 3]]
    assert track.sinks[0].sequence == [1, 4, 2, 3]


def test_a_leap_is_no_loss() -> None:
    track = Track()
    track.publish([1, 20_000])
    track.forwarder.tick(2.0)
    assert track.nacked() == []


def test_sound_is_not_asked_for_again() -> None:
    track = Track(sdp.OPUS)
    track.publish([1, 5])
    track.forwarder.request_keyframe()
    track.forwarder.tick(2.0)
    assert track.asked == []


def test_a_keyframe_request_that_comes_too_soon_is_deferred_not_dropped() -> None:
    track = Track()
    track.publish([1])
    track.forwarder.request_keyframe()
    track.forwarder.tick(10.0)
    track.forwarder.request_keyframe()
    track.forwarder.request_keyframe()
    track.forwarder.tick(10.0 + KEYFRAME_INTERVAL_SECONDS / 2)
    assert track.keyframes_asked() == 1
    track.forwarder.tick(10.01 + KEYFRAME_INTERVAL_SECONDS)
    assert track.keyframes_asked() == 2
    track.forwarder.tick(20.0)
    assert track.keyframes_asked() == 2


def test_a_keyframe_wanted_before_the_first_packet_is_asked_for_after_it() -> None:
    track = Track()
    track.forwarder.request_keyframe()
    track.forwarder.tick(10.0)
    assert track.asked == []
    track.publish([1])
    track.forwarder.tick(10.05)
    assert track.keyframes_asked() == 1


def test_a_muted_track_is_silent_and_comes_back_without_a_gap() -> None:
    track = Track()
    track.publish([1, 2])
    track.forwarder.muted = True
    track.publish(range(3, 40_000))
    assert track.sinks[0].sequence == [1, 2]
    track.forwarder.muted = False
    track.publish([40_000, 40_001])
    assert track.sinks[0].sequence == [1, 2, 3, 4]
    track.forwarder.resend(track.links[0], rtcp.Nack(7, [4]))
    assert track.sinks[0].sequence[-1] == 4


def test_a_sender_report_goes_to_each_under_its_own_name_and_counts() -> None:
    track = Track()
    track.publish([1, 2])
    track.links[1].packets = 1
    track.forwarder.report(rtcp.SenderReport(SOURCE, 1 << 40, 960))
    for sink, link in zip(track.sinks, track.links, strict=True):
        assert sink.rtcp == [rtcp.sender_report(link.ssrc, 1 << 40, 960, link.packets, link.octets)]


def test_a_sender_report_of_another_source_is_not_passed_on() -> None:
    track = Track()
    track.publish([1])
    track.forwarder.report(rtcp.SenderReport(SOURCE + 1, 1 << 40, 960))
    assert track.sinks[0].rtcp == []


def nowhere(_datagram: bytes, _address: tuple[str, int]) -> None:
    """There is no network here."""


OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
m=video 9 UDP/TLS/RTP/SAVPF 101
a=mid:0
a=sendonly
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 AB
a=rtpmap:101 VP8/90000
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
"""


def numbered(sequence: int, transport_sequence: int) -> bytes:
    """A packet with a transport-wide sequence number."""
    plain = packet(sequence)
    extension = struct.pack("!HHBHx", 0xBEDE, 1, 0x31, transport_sequence & 0xFFFF)
    return bytes([plain[0] | 0x10]) + plain[1:12] + extension + plain[12:]


@pytest.mark.parametrize("stride", [1, 3, 499, 501, 1_999, 2_001, 32_767, 32_768, 40_000, 65_535])
def test_whatever_transport_numbers_a_publisher_makes_up_feedback_fits_a_datagram(
    stride: int,
) -> None:
    transport = Transport(Certificate(), nowhere, nowhere)
    sent: list[bytes] = []
    transport.send_rtcp = sent.append  # type: ignore[method-assign,assignment]  # there is no peer
    publisher = Publisher(
        "meetings/a/participants/b",
        frozenset({"camera"}),
        transport,
        lambda: sdp.Local(transport.ice.local, "AB", [("127.0.0.1", 1)]),
    )
    publisher.negotiate(OFFER, {})
    for number in range(700):
        transport.on_rtp(numbered(number, number * stride))
    publisher.tick(FEEDBACK_SECONDS * 1e9)
    assert [each for each in sent if each[1] == rtcp.RTPFB]
    assert max(map(len, sent)) <= 1_200
