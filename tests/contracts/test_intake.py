"""The way in, from socket to stream, is of one contract: pure Python and compiled do the same, packet by packet."""

from __future__ import annotations

import math
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from services.media import acknowledged, arrivals, delay, outlet, rtcp, rtp, sdp, stream
from services.media import inlet as inlets
from services.media.arrivals import MAX_ARRIVALS
from services.media.dtls import MAX_SRTP_PACKET, InboundSrtp
from services.media.fanout import BURST
from services.media.stream import HISTORY, SILENCE, Kept
from tests.contracts.test_fanout import KINDS, Stand, both_bodies, standing, turn
from tests.hostile import datagrams, mutated
from tests.srtp_sink import session

TERMS = ({101: 96, 63: 63}, {1: 1, 5: 4}, 2)
"""What the publisher writes here: payload types, header extensions, and its transport-wide number's id."""
NATIVE = Path(__file__).parents[2] / "services" / "media" / "native"
FEW = settings(max_examples=300, deadline=None)


def packet(
    sequence: int = 7,
    timestamp: int = 960,
    ssrc: int = 9,
    payload: bytes = bytes.fromhex("90c08123450102"),
    elements: bytes = b"",
    payload_type: int = 101,
) -> bytes:
    head = struct.pack(
        "!BBHLL", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    )
    if elements:
        elements += bytes(-len(elements) % 4)
        head = bytes([head[0] | 0x10]) + head[1:]
        head += struct.pack("!HH", 0xBEDE, len(elements) // 4) + elements
    return head + payload


def level_and_number(level: int, number: int) -> bytes:
    return bytes([0x10, level, 0x21]) + number.to_bytes(2, "big")


class Way(Stand):
    """A fan-out of one kind with a stream, and all that it was told."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.told: list[tuple[Kept, int, float]] = []
        self.stream = self.fanout.stream(90_000, True, self.tell, -1.0)
        self.stream.read_by(*TERMS)

    def tell(self, kept: Kept, before: int, now: float) -> None:
        self.told.append((kept, before, now))

    def state(self) -> tuple[object, ...]:
        """All that a stream tells of itself."""
        it = self.stream
        return (
            *(it.highest, it.first, it.packets, it.octets, it.frames, it.timestamp),
            *(it.picture, it.tl0, it.jitter, it.level, it.last_at),
        )


@pytest.fixture(params=KINDS)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    it = Way(request.param)
    yield it
    it.close()


def test_a_packet_is_laid_out_counted_and_kept(way: Way) -> None:
    number = way.stream.receive(packet(elements=level_and_number(0x85, 0x1234)), 2.5)
    assert number == 0x1234
    assert (way.stream.packets, way.stream.highest, way.stream.first) == (1, 65_543, 65_543)
    assert (way.stream.timestamp, way.stream.picture, way.stream.tl0) == (960, 0x123, 0x45)
    assert (way.stream.level, way.stream.last_at, way.stream.frames) == (5, 2.5, 1)
    kept = way.stream.kept(65_543)
    assert kept is not None
    expected, _, at = rtp.rebuild(packet(elements=level_and_number(0x85, 0)), TERMS[1], 2, 96)
    assert (kept.packet, kept.payload_at, kept.timestamp) == (expected, at, 960)
    assert kept.numbers == (at + 2, True, at + 4)
    assert way.stream.octets == 7
    assert way.stream.kept(65_542) is None
    assert way.stream.kept(-1) is None


def test_what_does_not_follow_is_handed_over_and_all_when_it_is_watched(way: Way) -> None:
    for sequence in (10, 11, 13, 12, 14):
        way.stream.receive(packet(sequence), 1.0)
    base = 65_536
    assert [(kept.extended - base, before) for kept, before, _ in way.told] == [
        (10, -1),
        (13, base + 11),
        (12, base + 13),
    ]
    way.told.clear()
    way.stream.is_watched = True
    way.stream.receive(packet(15), 3.0)
    ((kept, before, now),) = way.told
    assert (kept.extended, before, now) == (base + 15, base + 14, 3.0)
    assert isinstance(kept, Kept)


async def test_it_goes_along_the_lanes_that_there_are_after_it_was_handed_over(way: Way) -> None:
    peer = way.peer()

    def tell(_kept: Kept, _before: int, _now: float) -> None:
        it.lanes.append(way.lane(peer, 77))

    it = way.fanout.stream(90_000, True, tell, 0.0)
    it.read_by(*TERMS)
    it.receive(packet(5), 1.0)
    it.receive(packet(6), 1.0)
    await turn()
    got = peer.received()
    assert [(rtp.ssrc(each), rtp.sequence_number(each)) for each in got] == [(77, 5), (77, 6)]


def test_numbers_wrap_and_late_ones_count_back(way: Way) -> None:
    for sequence in (65_534, 65_535, 1, 0):
        way.stream.receive(packet(sequence, sequence * 3000), 1.0)
    assert way.stream.highest == 2 * 65_536 + 1
    assert way.told[-1][0].extended == 2 * 65_536
    assert way.stream.timestamp == 3000


def test_the_history_is_bounded(way: Way) -> None:
    for sequence in range(HISTORY + 1):
        way.stream.receive(packet(sequence, payload=bytes(sequence)), 1.0)
    assert way.stream.kept(65_536) is None
    second = way.stream.kept(65_537)
    assert second is not None
    assert len(second.packet) - second.payload_at == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\x80",
        packet()[:11],
        bytes([0x40]) + packet()[1:],
        packet(payload_type=102),
        packet(payload=bytes(MAX_SRTP_PACKET)),
        packet(elements=b"\x1f\x00\x00\x00"),
    ],
)
def test_what_is_no_packet_of_the_terms_is_invalid_and_changes_nothing(
    way: Way, bad: bytes
) -> None:
    before = way.state()
    with pytest.raises(rtp.PacketInvalid):
        way.stream.receive(bad, 1.0)
    assert way.state() == before
    assert way.told == []


def test_before_it_knows_how_the_publisher_writes_all_is_invalid(way: Way) -> None:
    it = way.fanout.stream(48_000, False, way.tell, 0.0)
    with pytest.raises(rtp.PacketInvalid):
        it.receive(packet(), 1.0)


@both_bodies
def test_both_bodies_take_whatever_comes_alike() -> None:
    corpus = [each for each in datagrams("rtp") if len(each) >= 12]
    types = {each[1] & 0x7F: 96 for each in corpus}
    ways = [Way(kind) for kind in KINDS]
    clock = iter(range(1 << 30))

    @FEW
    @given(
        st.one_of(
            mutated(corpus),
            st.binary(max_size=80).map(lambda tail: packet(elements=tail[:40], payload=tail)),
        ),
        st.integers(0, 0xFFFF),
        st.booleans(),
    )
    def take(data: bytes, sequence: int, is_watched: bool) -> None:
        if len(data) >= 4:
            data = data[:2] + sequence.to_bytes(2, "big") + data[4:]
        now = next(clock) / 50
        answers = []
        for it in ways:
            it.stream.read_by({**types, 101: 96}, *TERMS[1:])
            it.stream.is_watched = is_watched
            try:
                answers.append(it.stream.receive(data, now))
            except rtp.PacketInvalid:
                answers.append(-2)
        one, other = ways
        assert answers[0] == answers[1]
        assert one.state() == other.state()
        assert one.told == other.told
        assert one.stream.kept(one.stream.highest) == other.stream.kept(one.stream.highest)
        one.told.clear()
        other.told.clear()

    try:
        take()
    finally:
        for it in ways:
            it.close()


class Arriving(Way):
    """A way in for one peer."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.remote = self._socket()
        self.outbound = session(Policy.SSRC_ANY_OUTBOUND)
        self.inlet = self.fanout.inlet()
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.inlet.on_rtp, self.inlet.on_rtcp = self.rtp.append, self.rtcp.append
        self.inlet.srtp = InboundSrtp(session(Policy.SSRC_ANY_INBOUND))
        self.fanout.know(self.remote.getsockname()[:2], self.inlet)

    def send(self, datagram: bytes) -> None:
        self.remote.sendto(datagram, self.udp.getsockname())

    def send_rtp(self, plain: bytes) -> None:
        self.send(self.outbound.protect(plain))

    def close(self) -> None:
        super().close()
        self.remote.close()

    def counts(self) -> tuple[int, ...]:
        it = self.inlet
        return (it.packets, it.early, it.unprotected, it.unprotected_rtcp, it.invalid)


@pytest.fixture(params=KINDS)
def arriving(request: pytest.FixtureRequest) -> Iterator[Arriving]:
    it = Arriving(request.param)
    yield it
    it.close()


RECEIVER_REPORT = bytes.fromhex("80c9000100000009")


async def test_media_goes_to_its_stream_reports_and_strangers_to_who_hears_of_them(
    arriving: Arriving,
) -> None:
    stun, dtls = bytes.fromhex("00010000"), b"\x16\xfe\xfd" + bytes(20)
    arriving.inlet.connect(9, arriving.stream)
    arriving.send_rtp(packet(elements=level_and_number(3, 500)))
    arriving.send_rtp(packet(ssrc=10))
    arriving.send(arriving.outbound.protect_rtcp(RECEIVER_REPORT))
    arriving.send(stun)
    arriving.send(dtls)
    with arriving._socket() as stranger:
        stranger.sendto(bytes([0x80]) + bytes(30), arriving.udp.getsockname())
        strange = stranger.getsockname()[:2]
    arriving.fanout.read()
    assert arriving.stream.packets == 1
    assert arriving.rtp == [packet(ssrc=10)]
    assert arriving.rtcp == [RECEIVER_REPORT]
    known = arriving.remote.getsockname()[:2]
    assert arriving.routed == [(stun, known), (dtls, known), (bytes([0x80]) + bytes(30), strange)]
    assert arriving.inlet.octets == len(packet()) + len(packet(elements=level_and_number(3, 500)))
    assert arriving.counts() == (2, 0, 0, 0, 0)
    (feedback,) = arriving.inlet.take_feedback(9)
    first, (came,) = rtcp.read_transport_feedback(feedback[4:])
    assert first == 500
    assert came == pytest.approx(1e6 * arriving.stream.last_at % (64e3 * 2**24), abs=250)
    assert arriving.inlet.take_feedback(9) == []


async def test_feedback_that_comes_alone_is_added_up_and_the_rest_is_told(
    arriving: Arriving,
) -> None:
    def send(compound: bytes) -> None:
        arriving.send(arriving.outbound.protect_rtcp(compound))
        arriving.fanout.read()

    peer = arriving.peer()
    account = arriving.fanout.acknowledged(peer.outlet)
    feedback = rtcp.transport_feedback(1, 9, 0, [(0, 5.0), (2, 5.1)])
    send(feedback)
    assert arriving.rtcp == [feedback], "nobody adds it up"
    arriving.inlet.acknowledged = account
    for sequence in range(3):
        arriving.fanout.send(peer.outlet, bytes(rtp.rebuild(packet(sequence), {}, 0, 96)[0]), 1.0)
    send(feedback)
    assert (account.received, account.lost) == (2, 1)
    for compound in (RECEIVER_REPORT, RECEIVER_REPORT + feedback, feedback + feedback):
        send(compound)
        assert arriving.rtcp.pop() == compound
    send(feedback[:14] + b"\xff\xff" + feedback[16:])
    assert (account.received, arriving.inlet.invalid_rtcp, len(arriving.rtcp)) == (2, 1, 1)
    arriving.inlet.acknowledged = None
    send(feedback)
    assert len(arriving.rtcp) == 2


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_account_of_another_fan_out_is_refused(kind: str) -> None:
    with standing(kind) as stand, standing("python") as other:
        with pytest.raises(TypeError):
            stand.fanout.inlet().acknowledged = other.fanout.acknowledged(other.peer().outlet)
        with pytest.raises(TypeError):
            stand.fanout.acknowledged(other.peer().outlet)


async def test_what_is_forwarded_while_it_is_read_leaves_by_the_turn_s_end(
    arriving: Arriving,
) -> None:
    peer = arriving.peer()
    arriving.inlet.connect(9, arriving.stream)
    arriving.stream.lanes.append(arriving.lane(peer, 5))
    for sequence in range(BURST + 3):
        arriving.send_rtp(packet(sequence))
    arriving.fanout.read()
    await turn()
    assert len(peer.received()) == BURST, "the others wait for the next reading"
    arriving.fanout.read()
    await turn()
    assert [rtp.sequence_number(each) for each in peer.received()] == [BURST, BURST + 1, BURST + 2]


async def test_what_is_not_authentic_is_counted_and_goes_nowhere(arriving: Arriving) -> None:
    arriving.inlet.connect(9, arriving.stream)
    good = arriving.outbound.protect(packet())
    arriving.send(good[:-1] + bytes([good[-1] ^ 1]))
    arriving.send(good[:13])
    report = arriving.outbound.protect_rtcp(RECEIVER_REPORT)
    arriving.send(report[:-1] + bytes([report[-1] ^ 1]))
    arriving.send_rtp(packet(1, payload_type=5))
    arriving.fanout.read()
    assert arriving.counts() == (1, 0, 2, 1, 1)
    arriving.send(good)
    arriving.send(good)  # a replay
    arriving.fanout.read()
    assert arriving.counts() == (2, 0, 3, 1, 1)
    assert (arriving.stream.packets, arriving.rtp, arriving.rtcp) == (1, [], [])


async def test_who_has_slept_knows_nobody(arriving: Arriving) -> None:
    arriving.inlet.connect(9, arriving.stream)
    arriving.fanout.asleep_after = 0.0
    arriving.send_rtp(packet())
    arriving.fanout.read()
    assert (len(arriving.routed), arriving.inlet.packets) == (1, 0)
    arriving.fanout.asleep_after = math.inf
    arriving.send_rtp(packet(8))
    arriving.fanout.read()
    assert (len(arriving.routed), arriving.inlet.packets) == (1, 1)


async def test_before_there_are_keys_and_after_it_is_forgotten_nothing_comes_in(
    arriving: Arriving,
) -> None:
    arriving.inlet.srtp = None
    arriving.send_rtp(packet())
    arriving.fanout.read()
    assert arriving.counts() == (0, 1, 0, 0, 0)
    arriving.fanout.forget(arriving.remote.getsockname()[:2])
    arriving.fanout.forget(("127.0.0.1", 1))
    arriving.send_rtp(packet(8))
    arriving.fanout.read()
    assert len(arriving.routed) == 1


async def test_a_source_may_be_disconnected_and_sources_are_bounded(arriving: Arriving) -> None:
    arriving.inlet.connect(9, arriving.stream)
    arriving.inlet.connect(9, None)
    arriving.send_rtp(packet())
    arriving.fanout.read()
    assert arriving.rtp == [packet()]
    for ssrc in range(1000, 1000 + inlets.MAX_SOURCES - 1):
        arriving.inlet.connect(ssrc, arriving.stream)
    with pytest.raises(ValueError, match="too many sources"):
        arriving.inlet.connect(1, arriving.stream)
    arriving.send_rtp(packet(ssrc=1))
    arriving.fanout.read()
    assert arriving.counts() == (1, 0, 0, 0, 1)


async def test_announced_sources_are_taken_however_many_and_no_others_if_that_is_said(
    arriving: Arriving,
) -> None:
    inlet = arriving.inlet
    inlet.max_sources = 0
    announced = [(7 * number + 3) % 1009 + 1 for number in range(1000)]  # in no order
    for ssrc in announced:
        inlet.expect(ssrc)
        inlet.expect(ssrc)
    for ssrc in (announced[0], announced[-1], 5000):
        arriving.send_rtp(packet(ssrc=ssrc))
    arriving.fanout.read()
    assert arriving.rtp == [packet(ssrc=announced[0]), packet(ssrc=announced[-1])]
    assert arriving.counts() == (2, 0, 0, 0, 1)
    inlet.connect(announced[3], arriving.stream)
    with pytest.raises(ValueError, match="too many sources"):
        inlet.connect(5000, arriving.stream)
    for ssrc in announced[:3]:
        inlet.forget(ssrc)
        inlet.forget(ssrc)
    for ssrc in announced[:5]:
        arriving.send_rtp(packet(2, ssrc=ssrc))
    arriving.fanout.read()
    assert arriving.stream.packets == 1
    assert arriving.rtp[2:] == [packet(2, ssrc=announced[4])]
    assert arriving.counts() == (4, 0, 0, 0, 4)
    for ssrc in announced:
        inlet.forget(ssrc)
    arriving.send_rtp(packet(3, ssrc=announced[3]))
    arriving.fanout.read()
    assert arriving.stream.packets == 1


def told(packets: list[bytes]) -> dict[int, int]:
    """What feedback packets tell: when each number (16 bits) came."""
    found: dict[int, int] = {}
    for each in packets:
        first, came = rtcp.read_transport_feedback(each[4:])
        found |= {first + n & 0xFFFF: at for n, at in enumerate(came) if at is not None}
    return found


def test_arrivals_that_nobody_takes_are_bounded(arriving: Arriving) -> None:
    for number in range(MAX_ARRIVALS + 5):
        arriving.inlet.note_arrival(number & 0xFFFF, 1.0)
    assert sorted(told(arriving.inlet.take_feedback(9))) == list(range(MAX_ARRIVALS))


def test_feedback_is_in_order_tells_the_first_time_and_counts_on(arriving: Arriving) -> None:
    note = arriving.inlet.note_arrival
    for number, at in ((65_535, 10.0), (1, 10.25), (0, 10.5), (1, 10.75)):
        note(number, at)
    (packet,) = arriving.inlet.take_feedback(9)
    assert told([packet]) == {65_535: 10_000_000, 0: 10_500_000, 1: 10_250_000}
    note(2, 11.0)
    (other,) = arriving.inlet.take_feedback(9)
    assert (packet[19], other[19]) == (0, 1)
    assert packet[8:12] == (9).to_bytes(4, "big")


@both_bodies
def test_both_bodies_tell_of_whatever_comes_alike() -> None:
    ways = [Arriving(kind) for kind in KINDS]

    @FEW
    @given(
        st.integers(0, 0xFFFF),
        st.lists(
            st.tuples(
                st.integers(-5, 30) | st.integers(-3_000, 3_000) | st.integers(0, 0xFFFF),
                st.floats(-1, 9, allow_nan=False),
            ),
            max_size=40,
        ),
        st.integers(0, 2**32 - 1),
    )
    def tell(number: int, steps: list[tuple[int, float]], ssrc: int) -> None:
        now = 100.0
        for step, later in steps:
            number, now = number + step & 0xFFFF, abs(now + later)
            for it in ways:
                it.inlet.note_arrival(number, now)
        one, other = (it.inlet.take_feedback(ssrc) for it in ways)
        assert one == other
        assert all(len(each) <= 1_200 for each in one)

    try:
        tell()
    finally:
        for it in ways:
            it.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_reads_ipv6_and_ipv4_in_its_form(kind: str) -> None:
    with standing(kind, "::1") as stand:
        inbound: Session = session(Policy.SSRC_ANY_OUTBOUND)
        it = stand.fanout.inlet()
        it.srtp = InboundSrtp(session(Policy.SSRC_ANY_INBOUND))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as remote:
            remote.bind(("::1", 0))
            stand.fanout.know(remote.getsockname()[:2], it)
            remote.sendto(inbound.protect(packet()), stand.udp.getsockname())
            remote.sendto(b"\x00\x01", stand.udp.getsockname())
            stand.fanout.read()
            assert it.packets == 1
            assert stand.routed == [(b"\x00\x01", remote.getsockname()[:2])]


def test_what_both_bodies_must_agree_on_is_the_same_number() -> None:
    constants = {
        name: value
        for source in NATIVE.iterdir()
        for name, value in re.findall(r"\b([A-Z_]+) = (\d+)\b", source.read_text(), re.MULTILINE)
    }
    expected = {
        "HISTORY": HISTORY,
        "LEVEL_ID": stream.LEVEL_ID,
        "SILENCE": SILENCE,
        "RTX_OVERHEAD": stream.RTX_OVERHEAD,
        "MAX_SRTP_PACKET": MAX_SRTP_PACKET,
        "TRANSPORT_SEQUENCE_ID": rtp.TRANSPORT_SEQUENCE_ID,
        "TRANSPORT_SEQUENCE_AT": rtp.TRANSPORT_SEQUENCE_AT,
        "MAX_SOURCES": inlets.MAX_SOURCES,
        "MAX_ARRIVALS": MAX_ARRIVALS,
        "FEEDBACK_LIMIT": arrivals.FEEDBACK_LIMIT,
        "FEEDBACK_SPAN": arrivals.FEEDBACK_SPAN,
        "MAX_JUMP": arrivals.MAX_JUMP,
        "MAX_FEEDBACK": rtcp.MAX_FEEDBACK,
        "WIRE_BYTES": outlet.WIRE_BYTES,
        "RTPFB": rtcp.RTPFB,
        "TRANSPORT_CC": rtcp.TRANSPORT_CC,
        "MAX_RECENT": acknowledged.MAX_RECENT,
        "MAX_LISTED": acknowledged.MAX_LISTED,
        "MAX_LISTED_PACKETS": acknowledged.MAX_LISTED_PACKETS,
        "MAX_PACKET": acknowledged.MAX_BODY,
        "WINDOW": delay.WINDOW,
        "MAX_DELTAS": delay.MAX_DELTAS,
        "BURST": BURST,
    }
    assert {name: int(constants[name]) for name in expected} == expected
    assert sdp.FORWARDED_EXTENSIONS[sdp.AUDIO_LEVEL] == stream.LEVEL_ID
