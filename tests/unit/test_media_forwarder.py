"""A published track's way to its subscribers: laid out, retransmitted, asked for again, reported, muted, switched."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtcp, rtp, sdp
from services.media.downlink import Accepted, Downlink, Way
from services.media.dtls import MAX_SRTP_PACKET, Certificate
from services.media.encoding import (
    KEYFRAME_INTERVAL_SECONDS,
    NACK_RETRY_SECONDS,
    NACK_TRIES,
)
from services.media.forwarder import Forwarder, Terms
from services.media.outlet import WIRE_BYTES
from services.media.payload import vp8_numbers
from services.media.publisher import FEEDBACK_SECONDS, Publisher
from services.media.resends import Resends
from services.media.stream import HISTORY
from services.media.transport import Transport
from tests.srtp_sink import Network, Sink, fanout_to

SOURCE = 0xABCD
KEYFRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x80\x02\x68\x01"
"""A VP8 descriptor without numbers, then a keyframe's head: 640x360."""
DELTA = b"\x10\x01\x00\x00"
RTX = Accepted(rtx_payload_type=97, rtx_ssrc=99)


def packet(
    sequence: int, timestamp: int = 0, source: int = SOURCE, payload: bytes = DELTA
) -> bytes:
    head = struct.pack(
        "!BBHLL", 0x80, 0x80 | 101, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, source
    )
    return head + payload


def numbered(picture: int, tl0: int, *, key: bool) -> bytes:
    """A VP8 payload with running numbers, and a keyframe or not."""
    descriptor = (
        bytes([0x90, 0xC0]) + (0x8000 | picture & 0x7FFF).to_bytes(2, "big") + bytes([tl0 & 0xFF])
    )
    return descriptor + (KEYFRAME if key else DELTA)[1:]


class Track:
    """A track with two subscribers, under the SSRCs 7 and 8; `layers` encodings under SOURCE and the next numbers."""

    def __init__(
        self, codec: sdp.Codec = sdp.VP8, accepted: Accepted = RTX, layers: int = 1
    ) -> None:
        self.asked: list[bytes] = []
        self.network = Network()
        terms = Terms({101: codec.payload_type, 63: sdp.RED_PAYLOAD_TYPE}, {1: 1})
        self.forwarder = Forwarder(codec, terms, self.network.fanout, self.asked.append)
        self.layers = [
            self.forwarder.encode(SOURCE + rank, "qhf"[rank] if layers > 1 else "", rank)
            for rank in range(layers)
        ]
        self.sinks = [self.network.sink(), self.network.sink()]
        self.ways: list[Way] = []
        self.links = [self.subscribe(sink, 7 + i, accepted) for i, sink in enumerate(self.sinks)]

    def subscribe(self, sink: Sink, ssrc: int, accepted: Accepted) -> Downlink:
        way = Way(self.network.fanout, sink.outlet, Resends(), sink.send_rtcp)
        self.ways.append(way)
        link = Downlink(way, ssrc, accepted)
        self.forwarder.add(link)
        self.forwarder.choose(link, 0)
        return link

    def receive(self, data: bytes, now: float = 1.0, layer: int = 0) -> None:
        self.forwarder.receive(data, self.layers[layer], now)

    def publish(self, sequences: Sequence[int], now: float = 1.0, layer: int = 0) -> None:
        """The first of all packets begins a keyframe."""
        encoding = self.layers[layer]
        for sequence in sequences:
            payload = DELTA if encoding.stream.packets else KEYFRAME
            self.receive(packet(sequence, sequence * 10, encoding.ssrc, payload), now, layer)

    def lose_every_other(self, seconds: float) -> None:
        """From 1 to 39: each comes by retransmission, so much later."""
        for sequence in range(1, 40, 2):
            now = 0.5 + sequence / 2
            self.publish([sequence, sequence + 2], now)
            self.publish([sequence + 1], now + seconds)

    def again(self, sink: int) -> list[int]:
        """The numbers of what came by RTX."""
        packets = [each for each in self.sinks[sink].rtp if rtp.ssrc(each) == RTX.rtx_ssrc]
        return [int.from_bytes(rtp.payload(each)[:2], "big") for each in packets]

    def nacked(self) -> list[Sequence[int]]:
        found = [item for each in self.asked for item in rtcp.parse(each)]
        return [item.lost for item in found if isinstance(item, rtcp.Nack)]

    def keyframes_asked(self, ssrc: int = SOURCE) -> int:
        found = [item for each in self.asked for item in rtcp.parse(each)]
        return sum(isinstance(item, rtcp.KeyframeRequest) and item.ssrc == ssrc for item in found)


def test_each_subscriber_gets_the_packet_under_an_ssrc_of_its_own() -> None:
    track = Track()
    track.receive(packet(9, 90, payload=KEYFRAME))
    for sink, ssrc in zip(track.sinks, (7, 8), strict=True):
        (got,) = sink.rtp
        assert (rtp.ssrc(got), rtp.sequence_number(got), rtp.timestamp(got)) == (ssrc, 9, 90)
        assert got[1] == 0x80 | sdp.VP8.payload_type, "the marker stays, the payload type is ours"
        assert rtp.payload(got) == KEYFRAME


def test_each_way_has_its_own_transport_wide_numbers_and_knows_when_they_left() -> None:
    track = Track()
    track.publish([1, 2], now=3.5)
    track.forwarder.remove(track.links[1])
    track.publish([3], now=4.5)
    numbers = [[rtp.find_extension(each, 3) for each in sink.rtp] for sink in track.sinks]
    assert numbers == [[b"\x00\x00", b"\x00\x01", b"\x00\x02"], [b"\x00\x00", b"\x00\x01"]]
    outlet = track.sinks[0].outlet
    times, sizes = outlet.sent(1, 3)
    assert (list(times), list(sizes)[1:]) == (
        [3.5, 4.5, 0.0],
        [len(track.sinks[0].rtp[2]) + WIRE_BYTES, 0],
    )


def test_a_picture_begins_with_a_keyframe_and_not_before() -> None:
    track = Track()
    for sequence in range(5):
        track.receive(packet(sequence))
    assert track.sinks[0].rtp == []
    track.forwarder.tick(1.0)
    assert track.keyframes_asked() == 1
    track.receive(packet(5, payload=KEYFRAME))
    track.receive(packet(6))
    assert track.sinks[0].sequence == [5, 6]


def test_a_packet_that_srtp_could_not_carry_is_refused() -> None:
    track = Track()
    with pytest.raises(rtp.PacketInvalid):
        track.receive(packet(1, payload=bytes(MAX_SRTP_PACKET)))


def test_a_payload_type_that_was_not_negotiated_is_refused() -> None:
    track = Track()
    with pytest.raises(rtp.PacketInvalid):
        track.receive(b"\x80\x0d" + packet(1)[2:])


def test_what_one_subscriber_lost_it_alone_gets_again() -> None:
    track = Track()
    track.publish([1, 2, 3])
    track.links[0].resend([2, 9], 1.0)
    assert track.again(0) == [2]
    assert track.again(1) == []
    assert (track.links[0].lane.packets, track.links[0].retransmitted) == (3, 1)


def test_by_rtx_what_was_lost_comes_under_an_ssrc_of_its_own() -> None:
    track = Track()
    track.publish([1, 2, 3])
    track.links[0].resend([2], 1.0)
    again = track.sinks[0].rtp[3]
    assert (rtp.ssrc(again), rtp.payload_type(again)) == (99, 97)
    assert rtp.timestamp(again) == 20
    original = rtp.unwrap_retransmission(again, 96, 7)
    assert original is not None
    assert original[:16] == track.sinks[0].rtp[1][:16]
    assert rtp.payload(original) == DELTA


def test_without_rtx_nothing_goes_twice_under_one_number() -> None:
    track = Track(accepted=Accepted())
    track.publish([1, 2, 3])
    track.links[0].resend([2], 1.0)
    assert track.sinks[0].sequence == [1, 2, 3]


def test_who_asks_again_and_again_gets_only_so_much_at_a_time() -> None:
    track = Track()
    link, resends = track.links[0], track.ways[0].resends
    resends.carried(200_000, is_congested=False)
    track.publish(range(500))
    for _ in range(10):
        link.resend(range(500), 1.0)
    first = link.retransmitted
    assert 0 < first < 500
    link.resend(range(500), 2.0)
    assert link.retransmitted - first == pytest.approx(first, abs=1), "the bucket is full again"
    resends.carried(200_000, is_congested=True)
    link.resend(range(500), 2.1)
    assert link.retransmitted - 2 * first < first / 4, "where it is full, less"


def test_of_a_picture_that_has_stopped_nothing_comes_again() -> None:
    track = Track()
    track.publish([1, 2, 3])
    track.forwarder.choose(track.links[0], -1)
    track.links[0].resend([2], 1.0)
    assert track.again(0) == []


def test_what_is_older_than_the_history_is_not_sent_again() -> None:
    track = Track()
    track.publish(range(HISTORY + 2))
    track.links[0].resend([0, 1, 2], 1.0)
    assert track.again(0) == [2]


def test_the_publisher_is_asked_for_what_is_missing_a_few_times() -> None:
    track = Track()
    track.publish([65_534, 1])
    assert track.nacked() == [[65_535, 0]]
    for step in range(1, 3 * NACK_TRIES):
        track.forwarder.tick(1.0 + step * NACK_RETRY_SECONDS[0] * 1.01)
    assert track.nacked() == [[65_535, 0]] * NACK_TRIES
    assert track.keyframes_asked() == 1, "who watches waits for it in vain"


def test_a_publisher_that_is_far_away_is_given_the_time_to_answer() -> None:
    track, now = Track(), 21.0
    track.lose_every_other(0.3)
    track.asked.clear()
    track.publish([45], now)
    for step in range(1, 80):
        track.forwarder.tick(now + step * 0.05)
    asked = track.nacked()
    assert len(asked) == NACK_TRIES
    track.asked.clear()
    track.publish([47], now := now + 10)
    for step in range(1, 7):  # for as long as an answer takes
        track.forwarder.tick(now + step * 0.05)
    assert len(track.nacked()) == 1


def test_a_keyframe_is_not_asked_for_again_before_it_can_have_come() -> None:
    track = Track()
    track.lose_every_other(0.4)
    track.asked.clear()
    for step in range(10):  # somebody asks all the time
        track.forwarder.request_keyframe()
        track.forwarder.tick(30.0 + step * 0.05)
    assert track.keyframes_asked() == 1
    track.forwarder.tick(30.5)
    assert track.keyframes_asked() == 2


def test_what_has_come_late_is_not_asked_for_again() -> None:
    track = Track()
    track.publish([1, 4, 2, 3])
    track.forwarder.tick(2.0)
    assert track.nacked() == [[2, 3]]
    assert track.sinks[0].sequence == [1, 4, 2, 3]
    assert track.layers[0].recovered == 2


def test_a_leap_is_no_loss() -> None:
    track = Track()
    track.publish([1, 20_000])
    track.forwarder.tick(2.0)
    assert track.nacked() == []


def test_sound_has_no_keyframes() -> None:
    track = Track(sdp.OPUS)
    track.publish([1, 2])
    track.forwarder.request_keyframe()
    track.forwarder.tick(2.0)
    assert track.asked == []
    assert track.sinks[0].sequence == [1, 2]


def test_a_keyframe_request_that_comes_too_soon_is_deferred_not_dropped() -> None:
    track = Track()
    track.publish([1])
    track.forwarder.tick(9.0)
    asked = track.keyframes_asked()
    track.forwarder.request_keyframe()
    track.forwarder.tick(10.0)
    track.forwarder.request_keyframe()
    track.forwarder.request_keyframe()
    track.forwarder.tick(10.0 + KEYFRAME_INTERVAL_SECONDS / 2)
    assert track.keyframes_asked() == asked + 1
    track.forwarder.tick(10.01 + KEYFRAME_INTERVAL_SECONDS)
    assert track.keyframes_asked() == asked + 2
    track.forwarder.tick(20.0)
    assert track.keyframes_asked() == asked + 2


def test_who_waits_for_a_keyframe_is_asked_for_until_it_comes() -> None:
    track = Track()
    track.receive(packet(1))
    for step in range(4):
        track.forwarder.tick(10.0 + step)
    assert track.keyframes_asked() == 4
    track.receive(packet(2, payload=KEYFRAME))
    track.forwarder.tick(20.0)
    assert track.keyframes_asked() == 4, "a second one would fill a narrow way once more"


def test_a_muted_track_is_silent_and_comes_back_without_a_gap() -> None:
    track = Track(sdp.OPUS)
    track.publish([1, 2])
    track.forwarder.muted = True
    track.publish(range(3, 40_000))
    assert track.sinks[0].sequence == [1, 2]
    track.forwarder.muted = False
    track.publish([40_000, 40_001])
    assert track.sinks[0].sequence == [1, 2, 3, 4]
    assert rtp.timestamp(track.sinks[0].rtp[2]) == 400_000, "time has gone on meanwhile"


def test_what_comes_late_from_before_a_seam_is_dropped() -> None:
    track = Track(sdp.OPUS)
    track.publish([500])
    track.forwarder.muted = True
    track.forwarder.muted = False
    track.publish([600, 599])
    assert track.sinks[0].sequence == [500, 501]


@pytest.mark.parametrize("withheld", [1, 100, 32_767, 32_768, 40_000, 65_536, 200_000])
def test_after_a_mute_of_any_length_the_line_goes_on_without_a_gap(withheld: int) -> None:
    track = Track(sdp.OPUS)
    track.publish([500])
    track.forwarder.muted = True
    encoding = track.layers[0]
    for number in range(501, 501 + withheld):
        encoding.stream._count(number & 0xFFFF, number * 10 & 0xFFFFFFFF, 1.0)
    track.forwarder.muted = False
    track.publish([501 + withheld, 502 + withheld])
    assert track.sinks[0].sequence == [500, 501, 502]


def test_another_source_of_the_same_track_goes_on_where_the_first_ended() -> None:
    track = Track()
    track.receive(packet(500, 9_000, payload=KEYFRAME), now=1.0)
    track.layers = [track.forwarder.encode(SOURCE + 5, "", 0)]
    track.receive(packet(40_000, 77, SOURCE + 5, KEYFRAME), now=1.5)
    last = track.sinks[0].rtp[-1]
    assert (rtp.sequence_number(last), rtp.timestamp(last)) == (501, 9_000 + 45_000)


class Switching(Track):
    """Three layers, each with its own numbers and clock; the second subscriber stays with the smallest."""

    def __init__(self) -> None:
        super().__init__(layers=3)
        self._next = [100, 40_000, 65_530]

    def frame(self, layer: int, at: int, *, key: bool = False, size: int = 2) -> None:
        """A frame of some packets, taken `at` 30ths of a second."""
        ssrc, now = SOURCE + layer, at / 30
        for number in range(size):
            payload = numbered(1_000 * layer + at, 10 * layer + at, key=key and number == 0)
            if number:
                payload = bytes([payload[0] & ~0x10]) + payload[1:]
            sequence = self._next[layer]
            self._next[layer] += 1
            clock = 5_000_000 * layer + at * 3_000
            self.receive(packet(sequence, clock, ssrc, payload), now, layer)

    def lose(self, layer: int) -> None:
        """A packet is lost on its way from the publisher."""
        self._next[layer] += 1

    def report(self, layer: int, at: int) -> None:
        ntp = (7_000 << 32) + (at << 32) // 30
        clock = 5_000_000 * layer + at * 3_000
        self.forwarder.report(rtcp.SenderReport(SOURCE + layer, ntp, clock))


def is_unbroken(sink: Sink) -> bool:
    """Sequence numbers, pictures and TL0PICIDX count up by one, timestamps never go back."""
    media = [each for each in sink.rtp if rtp.payload_type(each) == 96]
    sequences = [rtp.sequence_number(each) for each in media]
    pictures, tl0s, clocks = [], [], []
    for each in media:
        numbers = vp8_numbers(each, rtp.header_length(each))
        pictures.append(
            int.from_bytes(each[numbers.picture_at : numbers.picture_at + 2], "big") & 0x7FFF
        )
        tl0s.append(each[numbers.tl0_at])
        clocks.append(rtp.timestamp(each))
    steps = itertools.pairwise(sequences)
    return (
        all((b - a) & 0xFFFF == 1 for a, b in steps)
        and all((b - a) & 0x7FFF in (0, 1) for a, b in itertools.pairwise(pictures))
        and all((b - a) & 0xFF in (0, 1) for a, b in itertools.pairwise(tl0s))
        and all(0 <= (b - a) & 0xFFFFFFFF < 1 << 31 for a, b in itertools.pairwise(clocks))
    )


def test_a_subscriber_goes_over_to_another_layer_at_its_keyframe_and_sees_no_seam() -> None:
    track = Switching()
    for layer in range(3):
        track.report(layer, 0)
        track.frame(layer, 1, key=True)
    track.frame(0, 2)
    track.forwarder.choose(track.links[0], 2)
    for at in (3, 4):
        for layer in range(3):
            track.frame(layer, at)
    assert track.links[0].current is track.layers[0], "it stays where it is until a keyframe comes"
    track.frame(2, 5, key=True)
    track.frame(0, 5)
    track.frame(2, 6)
    assert track.links[0].current is track.layers[2]
    assert is_unbroken(track.sinks[0])
    assert is_unbroken(track.sinks[1])
    assert rtp.timestamp(track.sinks[0].rtp[-1]) == 6 * 3_000, (
        "by sender reports it is the same moment"
    )
    assert track.links[0].switches == 1


def test_what_was_lost_on_either_side_of_a_switch_can_be_had_again() -> None:
    track = Switching()
    track.frame(0, 1, key=True)
    track.frame(1, 1, key=True)
    track.forwarder.choose(track.links[0], 1)
    track.frame(1, 2, key=True)
    before = track.sinks[0].rtp.copy()
    track.links[0].resend([100, 101, 102, 103], 1.0)
    again = [rtp.unwrap_retransmission(each, 96, 7) for each in track.sinks[0].rtp[len(before) :]]
    assert [each and each[:17] + each[20:] for each in again] == [
        each[:17] + each[20:] for each in before[2:] + before[:2]
    ], "the newer ones first, which the picture can go on from"


def test_of_what_was_lost_before_a_picture_stopped_nothing_comes_again_when_it_goes_on() -> None:
    track = Switching()
    track.frame(0, 1, key=True)
    track.forwarder.choose(track.links[0], -1)
    track.forwarder.choose(track.links[0], 0)
    track.frame(0, 2, key=True)
    track.links[0].resend([100, 101, 102, 103], 1.0)
    assert track.again(0) == [102, 103], "its keyframe has the room"


def test_what_the_publisher_lost_is_not_answered_with_another_packet() -> None:
    track = Switching()
    track.forwarder.choose(track.links[0], 1)
    track.frame(1, 1, key=True)
    track.forwarder.choose(track.links[0], 0)
    track.frame(0, 2, key=True)
    track.frame(1, 2, size=5)
    track.forwarder.choose(track.links[0], 1)
    track.frame(1, 3, key=True)
    lost = rtp.sequence_number(track.sinks[0].rtp[-1]) + 1
    track.lose(1)
    track.frame(1, 4)
    track.links[0].resend([lost], 1.0)
    assert track.again(0) == [], "the right one, when it comes, would be taken for its double"


@settings(max_examples=60, database=None, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 2), st.booleans(), st.integers(1, 3)), max_size=40))
def test_however_layers_change_the_line_is_unbroken(steps: list[tuple[int, bool, int]]) -> None:
    track = Switching()
    for at, (rank, key, size) in enumerate(steps, 1):
        track.forwarder.choose(track.links[0], rank)
        for layer in range(3):
            track.frame(layer, at, key=key, size=size)
    assert is_unbroken(track.sinks[0])


def test_redundant_sound_goes_to_those_who_can_read_it_and_plain_to_the_others() -> None:
    track = Track(sdp.OPUS)
    plain = track.network.sink()
    track.subscribe(plain, 9, Accepted(red=False))
    redundant = bytes([0x80 | 111, 0, 0, 3, 111]) + b"oldnew"
    track.receive(b"\x80\x3f" + packet(1, payload=redundant)[2:])
    assert rtp.payload(track.sinks[0].rtp[0]) == redundant
    assert rtp.payload_type(track.sinks[0].rtp[0]) == 63
    assert (rtp.payload_type(plain.rtp[0]), rtp.payload(plain.rtp[0])) == (111, b"new")


def test_sound_goes_on_without_redundancy_where_that_is_spared() -> None:
    track = Track(sdp.OPUS)
    redundant = bytes([0x80 | 111, 0, 0, 3, 111]) + b"oldnew"
    for sequence, spares in enumerate((False, True, True, False)):
        track.links[0].spare(spares=spares)
        track.receive(b"\x80\x3f" + packet(sequence, payload=redundant)[2:])
    assert track.sinks[0].sequence == [0, 1, 2, 3]
    came = [(rtp.payload_type(each), rtp.payload(each)) for each in track.sinks[0].rtp]
    assert came == [(63, redundant), (111, b"new"), (111, b"new"), (63, redundant)]
    assert {rtp.payload_type(each) for each in track.sinks[1].rtp} == {63}


def test_sender_reports_go_to_each_under_their_own_names_and_counts() -> None:
    track = Track()
    track.publish([1, 2])
    track.links[1].lane.packets = 1
    track.forwarder.report(rtcp.SenderReport(SOURCE, 1 << 40, 960))
    for sink, link, way in zip(track.sinks, track.links, track.ways, strict=True):
        lane = link.lane
        way.report([link], 1.0)
        assert sink.rtcp == [rtcp.sender_report(link.ssrc, 1 << 40, 960, lane.packets, lane.octets)]


def test_a_sender_report_is_passed_on_once() -> None:
    track = Track()
    track.publish([1])
    for ntp in (5 << 32, 5 << 32, 6 << 32):
        track.forwarder.report(rtcp.SenderReport(SOURCE, ntp, 960))
    for now in (1.0, 2.0):
        track.ways[0].report(track.links[:1], now)
    (report,) = track.sinks[0].rtcp
    assert rtcp.parse(report) == [rtcp.SenderReport(7, 6 << 32, 960)]


def test_a_sender_report_of_another_source_is_not_passed_on() -> None:
    track = Track()
    track.publish([1])
    track.forwarder.report(rtcp.SenderReport(SOURCE + 1, 1 << 40, 960))
    track.ways[0].report(track.links[:1], 1.0)
    assert track.sinks[0].rtcp == []


def test_the_round_trip_follows_from_what_the_subscriber_reports() -> None:
    track = Track()
    track.publish([1])
    track.forwarder.report(rtcp.SenderReport(SOURCE, 5 << 32, 960))
    track.ways[0].report(track.links[:1], 10.0)
    report = rtcp.ReceptionReport(7, 0.0, last_sender_report=5 << 16, delay_since=65_536 // 2)
    track.links[0].reported(report, 10.75)
    assert track.links[0].rtt_seconds == pytest.approx(0.25)


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


def with_transport_number(sequence: int, number: int) -> bytes:
    """A packet with a transport-wide sequence number."""
    plain = packet(sequence)
    extension = struct.pack("!HHBHx", 0xBEDE, 1, 0x31, number & 0xFFFF)
    return bytes([plain[0] | 0x10]) + plain[1:12] + extension + plain[12:]


@pytest.mark.parametrize("stride", [1, 3, 499, 501, 1_999, 2_001, 32_767, 32_768, 40_000, 65_535])
def test_whatever_transport_numbers_a_publisher_makes_up_feedback_fits_a_datagram(
    stride: int,
) -> None:
    fanout = fanout_to(nowhere)
    transport = Transport(Certificate(), nowhere, fanout)
    sent: list[bytes] = []
    transport.send_rtcp = sent.append  # type: ignore[method-assign,assignment]  # there is no peer
    publisher = Publisher(
        "meetings/a/participants/b",
        frozenset({"camera"}),
        transport,
        fanout,
        lambda: sdp.Local(transport.ice.local, "AB", [("127.0.0.1", 1)]),
    )
    publisher.negotiate(OFFER, {})
    for number in range(700):
        transport.inlet.on_rtp(with_transport_number(number, number * stride))
    publisher.tick(FEEDBACK_SECONDS * 1e9)
    assert [each for each in sent if each[1] == rtcp.RTPFB]
    assert max(map(len, sent)) <= 1_200


def test_an_encoding_that_is_off_costs_what_it_cost_before() -> None:
    encoding = Track(layers=3).layers[2]
    assert encoding.bitrate_bps == 1_700_000


def test_a_keyframe_is_no_rate() -> None:
    track = Track()
    encoding, rates = track.layers[0], []
    for number in range(1, 200):  # ten a second
        size = 15_000 if number == 150 else 1_000
        for part in range(0, size, 1_000):
            encoding.stream.receive(packet(number * 20 + part // 1_000, payload=bytes(1_000)), 1.0)
        encoding.tick(number / 10)
        rates.append(encoding.bitrate_bps)
    assert max(rates[30:]) < 1.1 * min(rates[30:])
