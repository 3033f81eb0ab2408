"""The media load generator's pure parts: what it sends is what others take it for, and what it counts is right."""

from __future__ import annotations

import struct

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.rtp import RtcpPacket, RtcpPsfbPacket, RtcpRrPacket, RtcpRtpfbPacket, RtcpSrPacket
from aiortc.rtp import RtpPacket as AiortcPacket
from aiortc.sdp import SessionDescription

from loadtest.media import payload, rtcp, rtp, sdp
from loadtest.media.arguments import parse
from loadtest.media.capacity import most
from loadtest.media.codecs import H264, OPUS, RED, VIDEO, VP8, Codec, Place
from loadtest.media.continuity import Arrival, Continuity
from loadtest.media.figures import Figures, Histogram
from loadtest.media.health import reasons_void
from loadtest.media.payload import Mark, PayloadCorrupt
from loadtest.media.program import plans
from loadtest.media.source import AudioStream, Format, VideoStream
from services.media.opus import OpusDecoder
from services.media.payload import begins_keyframe, red_primary
from services.media.sdp import parse as parse_offer

MARK = Mark(source=7, counter=123_456, sent_ns=1_790_000_000_123_456_789)
LOCAL = sdp.Local("AB:CD", ("127.0.0.1", 5000))


class Sent:
    """Keeps what a stream emits."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, int, int, bytes, bool]] = []

    def __call__(
        self,
        payload_type: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        elements: bytes,
        body: bytes,
        marker: bool,
    ) -> None:
        self.packets.append((payload_type, sequence, ssrc, body, marker))


PLAIN = Format(96, 1000, (0, 0), b"", b"")


def test_a_video_payload_says_who_sent_it_and_bears_another_picture_id() -> None:
    place = Place(0x7ABC, 2, 9, starts_frame=True, is_keyframe=False)
    made = payload.video(VP8, MARK, place, 1_000)
    assert len(made) == 1_000
    renumbered = made[:2] + b"\x81\x02" + made[4:]
    assert payload.read_video(VP8, renumbered) == MARK
    with pytest.raises(PayloadCorrupt):
        payload.read_video(VP8, made[:500] + bytes((made[500] ^ 1,)) + made[501:])
    with pytest.raises(PayloadCorrupt):
        payload.read_video(VP8, made[:-1])


def test_a_video_payload_is_vp8_to_others() -> None:
    place = Place(0x1234, 2, 9, starts_frame=True, is_keyframe=True)
    made = payload.video(VP8, MARK, place, 1_000)
    descriptor, rest = VpxPayloadDescriptor.parse(made)
    assert (descriptor.partition_start, descriptor.partition_id) == (1, 0)
    assert (descriptor.picture_id, descriptor.tl0picidx, descriptor.tid) == (0x1234, 9, (2, 1))
    assert rest[0] & 1 == 0  # a keyframe
    assert rest[3:6] == b"\x9d\x01\x2a"


def test_an_audio_payload_is_silence_to_a_decoder() -> None:
    made = payload.audio(MARK, 80)
    assert len(made) == 80
    assert payload.read_audio(made) == MARK
    assert OpusDecoder().decode(made) == bytes(2 * 320)  # 20 ms at 16 kHz


@pytest.mark.parametrize("codec", VIDEO.values(), ids=VIDEO)
@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("key", [True, False])
def test_where_a_keyframe_begins_an_sfu_sees_it(codec: Codec, starts: bool, key: bool) -> None:
    name = "VP8" if codec is VP8 else codec.name.upper()
    place = Place(0x1234, 0, 9, starts_frame=starts, is_keyframe=key)
    made = payload.video(codec, MARK, place, 500)
    assert begins_keyframe(name, made) == (starts and key)
    assert len(made) == 500
    assert payload.read_video(codec, made) == MARK
    with pytest.raises(PayloadCorrupt):
        payload.read_video(codec, made[:-9] + bytes((made[-9] ^ 1,)) + made[-8:])


def test_of_the_others_nothing_at_all_may_be_changed() -> None:
    made = payload.video(H264, MARK, Place(1, 0, 1, starts_frame=True, is_keyframe=True), 500)
    with pytest.raises(PayloadCorrupt):
        payload.read_video(H264, bytes((made[0] ^ 1,)) + made[1:])


def test_redundant_sound_is_taken_apart_by_others_and_by_ourselves() -> None:
    older, newest = payload.audio(MARK, 80), payload.audio(MARK, 90)
    both = payload.redundant(older, newest)
    assert payload.blocks(both) == [older, newest]
    assert red_primary(both) == newest
    assert int.from_bytes(both[1:3], "big") >> 2 == 960, "so many samples before"
    alone = payload.redundant(b"", newest)
    assert payload.blocks(alone) == [newest]
    assert red_primary(alone) == newest
    for bad in (b"", bytes((0x80 | OPUS,)), bytes((RED,)) + newest):
        with pytest.raises(PayloadCorrupt):
            payload.blocks(bad)


def test_packets_and_their_extensions_are_read_by_others() -> None:
    elements = rtp.element(3, b"\x12\x34") + rtp.element(4, b"0")
    packet = rtp.packet(96, 65_535, 1, 2, elements, b"body", marker=True)
    other = AiortcPacket.parse(packet)
    assert (other.payload_type, other.sequence_number, other.marker) == (96, 65_535, 1)
    assert other.payload == b"body" == rtp.payload(packet)
    assert rtp.extension_word(packet, 3) == 0x1234
    assert rtp.extension_word(packet, 5) == -1


def test_reports_and_requests_are_read_by_others() -> None:
    block = rtcp.Block(9, 3, 4, 70_000, 0, 5, 6)
    (report,) = RtcpPacket.parse(rtcp.receiver_report(1, [block]))
    assert isinstance(report, RtcpRrPacket)
    assert (report.reports[0].ssrc, report.reports[0].highest_sequence) == (9, 70_000)
    sent, _ = RtcpPacket.parse(rtcp.sender_report(9, 10**18, 77, 5, 6, "load1"))
    assert isinstance(sent, RtcpSrPacket)
    assert sent.sender_info.rtp_timestamp == 77
    (request,) = RtcpPacket.parse(rtcp.picture_loss(1, 9))
    assert isinstance(request, RtcpPsfbPacket)
    lost = [65_534, 65_535, 0, 14, 40]
    (again,) = RtcpPacket.parse(rtcp.nack(1, 9, lost))
    assert isinstance(again, RtcpRtpfbPacket)
    (heard,) = rtcp.parse(rtcp.nack(1, 9, lost))
    assert heard == rtcp.Nack(9, lost)


def test_transport_feedback_tells_what_came_and_when() -> None:
    arrivals = {70_000: 100.0, 70_001: 100.010, 70_003: 100.2, 70_004: 100.199}
    packet = rtcp.transport_feedback(1, 9, 5, arrivals)
    base, count = struct.unpack_from("!HH", packet, 12)
    reference, number = int.from_bytes(packet[16:19], "big"), packet[19]
    assert (base, count, number) == (70_000 & 0xFFFF, 5, 5)
    (chunk,) = struct.unpack_from("!H", packet, 20)
    symbols = [chunk >> (12 - 2 * place) & 3 for place in range(5)]
    assert symbols[2] == 0
    at, now, told = 22, reference * 0.064, {}
    for place, symbol in enumerate(symbols):
        if symbol:
            delta = packet[at : at + symbol]
            now += int.from_bytes(delta, "big", signed=symbol == 2) * 0.00025
            at += symbol
            told[70_000 + place] = now
    assert told == pytest.approx(arrivals, abs=0.0003)
    assert len(packet) % 4 == 0


def test_what_is_malformed_says_nothing() -> None:
    assert list(rtcp.parse(b"\x81\xcd\xff\xff1234")) == []
    assert list(rtcp.parse(b"\x81\xc8\x00\x00")) == []


def arrive(continuity: Continuity, numbers: list[int], now: float = 0.0) -> list[Arrival]:
    return [continuity.receive(number & 0xFFFF, now) for number in numbers]


def test_what_is_asked_for_and_comes_is_recovered_the_rest_is_lost_after_a_second() -> None:
    continuity = Continuity()
    arrive(continuity, [65_533, 65_534, 2], now=10.0)  # 65,535, 0 and 1 are missing
    assert continuity.wanted(10.0) == [65_535, 0, 1]
    assert continuity.wanted(10.01) == []
    assert continuity.receive(65_535, 10.05) is Arrival.RECOVERED
    assert continuity.repaired(0)
    assert not continuity.repaired(0)
    assert continuity.wanted(10.9) == [1]
    assert continuity.wanted(11.0) == []
    assert (continuity.received, continuity.lost) == (5, 1)


def test_order_and_duplicates_are_told_apart() -> None:
    continuity = Continuity()
    arrivals = arrive(continuity, [5, 7, 6, 7, 8])
    late, twice = Arrival.LATE, Arrival.DUPLICATE
    assert arrivals == [Arrival.NEXT, Arrival.NEXT, late, twice, Arrival.NEXT]
    assert continuity.lost == 0


def test_a_jump_is_a_new_beginning_not_loss() -> None:
    continuity = Continuity()
    arrive(continuity, [5, 6, 6 + 5_000, 6 + 5_001])
    continuity.settle()
    assert (continuity.lost, continuity.restarts) == (0, 1)


def test_a_keyframe_comes_when_it_is_asked_for() -> None:
    stream, sent = VideoStream(4, 1000, 1_200_000, 30), Sent()
    stream.frame(100.0, lambda: 1, PLAIN, sent)
    first = len(sent.packets)
    stream.frame(100.1, lambda: 1, PLAIN, sent)
    ordinary = len(sent.packets) - first
    assert (first, ordinary) == (19, 5)
    stream.request_keyframe()
    stream.frame(100.2, lambda: 1, PLAIN, sent)  # too soon after the last
    stream.frame(100.5, lambda: 1, PLAIN, sent)
    assert stream.keyframes == 2
    assert [marker for *_, marker in sent.packets].count(True) == 4


def test_a_layer_that_nobody_wants_is_not_sent_and_comes_back_with_a_keyframe() -> None:
    stream, sent = VideoStream(4, 1000, 1_200_000, 30), Sent()
    stream.frame(100.0, lambda: 1, PLAIN, sent)
    count, stream.is_wanted = len(sent.packets), False
    stream.frame(101.0, lambda: 1, PLAIN, sent)
    assert len(sent.packets) == count
    stream.is_wanted = True
    stream.frame(102.0, lambda: 1, PLAIN, sent)
    assert stream.keyframes == 2


def test_what_is_asked_for_again_comes_as_it_was_negotiated() -> None:
    stream, sent = AudioStream(3, 1000, 80), Sent()
    stream.frame(lambda: 1, PLAIN, sent)
    _, sequence, _, body, _ = sent.packets[0]
    stream.resend([sequence, (sequence + 9) & 0xFFFF], PLAIN, sent)
    assert sent.packets[1][:4] == (96, sequence, 1000, body)
    stream.resend([sequence], Format(96, 1000, (97, 2000), b"", b""), sent)
    payload_type, _, ssrc, wrapped, _ = sent.packets[2]
    assert (payload_type, ssrc) == (97, 2000)
    assert rtp.unwrapped(wrapped) == (sequence, body)
    assert len(sent.packets) == 3


OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=ice-lite
m=audio 9000 UDP/TLS/RTP/SAVPF 111 63
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:secretsecretsecretsecret
a=fingerprint:sha-256 aa:bb
a=setup:actpass
a=candidate:1 1 udp 2130706431 192.0.2.1 9000 typ host
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:9 urn:unheard-of
a=sendonly
a=ssrc:11 cname:ann
m=video 9000 UDP/TLS/RTP/SAVPF 96 97 102
a=mid:1
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:102 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=sendonly
a=ssrc-group:FID 21 22
a=ssrc:21 cname:ann
a=ssrc:22 cname:ann
m=application 9000 UDP/DTLS/SCTP webrtc-datachannel
a=mid:2
"""


def test_an_answer_takes_what_is_understood_and_rejects_the_rest() -> None:
    offered = sdp.parse(OFFER)
    assert offered.remote.address == ("192.0.2.1", 9000)
    assert offered.remote.is_lite
    assert offered.sections[1].sources == {21: 22}
    answer = sdp.answer(offered, LOCAL)
    other = SessionDescription.parse(answer)
    audio, video, data = other.media
    assert [codec.payloadType for codec in audio.rtp.codecs] == [111]
    assert [codec.payloadType for codec in video.rtp.codecs] == [96, 97]
    assert [each.id for each in audio.rtp.headerExtensions] == [1]
    assert [each.id for each in video.rtp.headerExtensions] == [5]
    assert (video.direction, data.port) == ("recvonly", 0)
    assert "rtcp-fb:102" not in answer
    audio, *_ = SessionDescription.parse(sdp.answer(offered, LOCAL, red=True)).media
    assert [codec.payloadType for codec in audio.rtp.codecs] == [111, 63]


def test_an_offer_is_read_by_others() -> None:
    sections = [sdp.Outgoing("0", "audio", 11), sdp.Outgoing("1", "video", 21, 22)]
    other = SessionDescription.parse(sdp.offer(sections, LOCAL, "ann"))
    assert [each.kind for each in other.media] == ["audio", "video"]
    assert [each.ssrc for each in other.media[1].ssrc] == [21, 22]
    layered = sdp.offer([sdp.Outgoing("0", "video", 0, rids=("q", "h", "f"))], LOCAL, "ann")
    assert "a=simulcast:send q;h;f" in layered


@pytest.mark.parametrize("codec", VIDEO.values(), ids=VIDEO)
def test_an_offer_of_each_codec_is_one_that_the_server_takes(codec: Codec) -> None:
    sections = [
        sdp.Outgoing("0", "audio", 11, is_redundant=True),
        sdp.Outgoing("1", "video", 21, 22, codec=codec),
    ]
    offer = parse_offer(sdp.offer(sections, LOCAL, "ann"))
    audio, video = offer.sections
    chosen = video.chosen()
    assert chosen is not None
    payload_type, taken = chosen
    assert (payload_type, taken.name.lower()) == (codec.payload_type, codec.name)
    assert video.retransmission(payload_type) == codec.repair
    assert audio.redundancy() == RED


def test_figures_of_processes_add_up() -> None:
    parts = [Figures(received=98, recovered=1, lost=2), Figures(received=100)]
    for part, value in zip(parts, (1_000, 3_000), strict=True):
        part.latency.add(value)
    total = Figures.total(parts)
    assert total.loss_after == pytest.approx(2 / 200)
    assert total.loss_before == pytest.approx(3 / 200)
    assert total.latency.quantile(0.5) == pytest.approx(1_000, rel=0.04)
    assert total.latency.quantile(1.0) == pytest.approx(3_000, rel=0.04)


def test_quantiles_are_right_to_some_percent() -> None:
    histogram = Histogram()
    for value in range(10_000):
        histogram.add(value)
    for share in (0.01, 0.5, 0.99):
        assert histogram.quantile(share) == pytest.approx(10_000 * share, rel=0.04)
    histogram.clear()
    assert histogram.quantile(0.5) == 0


def test_a_generator_that_was_too_slow_voids_its_run() -> None:
    figures = Figures(sent=1_000)
    assert reasons_void(figures) == []
    for _ in range(99):
        figures.lateness.add(500)
    figures.lateness.add(30_000)
    assert reasons_void(figures) == []  # one in a hundred
    figures.lateness.add(30_000)
    assert "senders" in reasons_void(figures)[0]


def test_participants_are_divided_among_processes_and_all_are_there() -> None:
    arguments = [
        "--rooms",
        "2",
        "--publishers",
        "1",
        "--subscribers",
        "3",
        "--processes",
        "2",
        "--audio-bytes",
        "10",
    ]
    shares = plans(parse(arguments), "token", ["meetings/a", "meetings/b"])
    places = [place for share in shares for place in share.places]
    assert sorted(place.number for place in places) == list(range(6))
    assert [len(share.places) for share in shares] == [3, 3]
    assert sum(place.publishes for place in places) == 2
    assert shares[0].profile.audio_bytes == payload.SMALLEST_AUDIO


@pytest.mark.parametrize(
    "arguments",
    [
        "--rooms 0",
        "--duration 601",
        "--bitrate -1",
        "--url ftp://localhost",
        "--url http://localhost:8000/path",
        "--rooms 500 --publishers 100 --subscribers 500",
        "--processes 3",
        "--publishers 0 --subscribers 0",
        "--json /nowhere/at/all.json",
    ],
)
def test_wrong_usage_is_refused(arguments: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments.split())
    assert caught.value.code == 2


@pytest.mark.parametrize(("limit", "most_held"), [(1, 0), (2, 1), (7, 6), (40, 36), (1_000, 64)])
def test_the_search_finds_the_most_that_holds(limit: int, most_held: int) -> None:
    found, reason = most(lambda rooms: "" if rooms < limit else "full", 64, 3)
    assert found == most_held
    assert reason == ("full" if limit <= 64 else "the end of the search")
