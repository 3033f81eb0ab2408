"""The fan-out's contract: pure Python and compiled do the same, byte for byte, over real sockets."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from pylibsrtp import Policy

from services.media import rtp
from services.media.dtls import MAX_SRTP_PACKET, OutboundSrtp
from services.media.fanout import Fanout, choose
from services.media.ice import Address
from services.media.outbox import Outbox
from services.media.outlet import SENT, WIRE_BYTES, Lane, Outlet
from services.media.payload import NO_NUMBERS, Vp8Numbers
from stack import native
from tests.srtp_sink import session

KINDS = ["python"]
if importlib.util.find_spec("services.media._native") is not None:
    KINDS.append("compiled")  # where the machine has a C compiler: ./parley builds it

# Skipped: the compiled body is optional (ADR 15). That it is there where it can be is tested below.
both_bodies = pytest.mark.skipif(
    len(KINDS) == 1,
    reason="there is no C compiler: there is one body, and nothing to compare it with",
)

PICTURE = bytes.fromhex("90c08123 45 00")
"""A VP8 descriptor with the picture id 0x123 of 15 bits and the TL0PICIDX 0x45, then the frame's first byte."""
PICTURE_AT = Vp8Numbers(22, True, 24)


def packet(payload: bytes = PICTURE, sequence: int = 7) -> bytearray:
    source = bytes([0x80, 96]) + sequence.to_bytes(2, "big") + (960).to_bytes(4, "big") + bytes(4)
    return rtp.rebuild(source + payload, {}, 0, 96)[0]


@dataclass
class Peer:
    """Somebody at the other end of an outlet."""

    outlet: Outlet
    socket: socket.socket
    _inbound: object = field(default_factory=lambda: session(Policy.SSRC_ANY_INBOUND))

    def received(self) -> list[bytes]:
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(2048))
            except BlockingIOError:
                return [self._inbound.unprotect(each) for each in datagrams]  # type: ignore[attr-defined]


class Elsewhere(tuple[str, int]):
    """An address as a TCP connection has it: no datagram gets there."""

    __slots__ = ()


class Diverting(Outbox):
    """Sends datagrams, and keeps what is for elsewhere."""

    def __init__(self, udp: socket.socket) -> None:
        super().__init__(udp)
        self.diverted: list[tuple[bytes, Address]] = []

    def add(self, datagram: bytes, address: Address) -> None:
        if isinstance(address, Elsewhere):
            self.diverted.append((datagram, address))
        else:
            super().add(datagram, address)


class Stand:
    """A fan-out of one kind, and peers."""

    def __init__(self, kind: str, host: str = "127.0.0.1") -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._host = host
        self.udp = self._socket()
        self.outbox = Diverting(self.udp)
        self.routed: list[tuple[bytes, Address]] = []
        self.fanout: Fanout = choose(kind, self.udp, self.outbox, self.route)
        self.peers: list[Peer] = []

    def _socket(self) -> socket.socket:
        udp = socket.socket(self._family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.bind((self._host, 0))
        return udp

    def route(self, datagram: bytes, source: Address, _now: float) -> None:
        self.routed.append((datagram, source))

    def peer(self) -> Peer:
        peer = Peer(self.fanout.outlet(), self._socket())
        peer.outlet.srtp = OutboundSrtp(partial(session, Policy.SSRC_ANY_OUTBOUND))
        peer.outlet.address = peer.socket.getsockname()[:2]
        peer.socket.connect(
            self.udp.getsockname()
        )  # who had the port before may still get something
        self.peers.append(peer)
        return peer

    def lane(self, peer: Peer, ssrc: int = 9) -> Lane:
        return self.fanout.lane(peer.outlet, ssrc)

    def close(self) -> None:
        for each in (self.udp, *(peer.socket for peer in self.peers)):
            each.close()


@contextmanager
def standing(kind: str, host: str = "127.0.0.1") -> Iterator[Stand]:
    stand = Stand(kind, host)
    try:
        yield stand
    finally:
        stand.close()


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    with standing(request.param) as it:
        yield it


async def turn() -> None:
    """Let the event loop's turn end."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_where_it_can_be_compiled_it_is(tmp_path: Path) -> None:
    """A build that fails must not pass for a machine without a compiler."""
    empty = tmp_path / "empty.c"
    empty.write_text("#include <Python.h>\n")
    why_not = native.compile_to(tmp_path / "empty.so", sources=[empty])
    assert "compiled" in KINDS or why_not


async def test_each_lane_gets_its_own_numbers(stand: Stand) -> None:
    peers = [stand.peer() for _ in range(3)]
    lanes = [stand.lane(peer, 100 + index) for index, peer in enumerate(peers)]
    lanes[1].offset, lanes[1].timestamp_offset = -3, 0xFFFFFFFF
    lanes[1].picture_offset, lanes[1].tl0_offset = 0x7FFF, -0x46
    lanes[2].offset, lanes[2].timestamp_offset = 70_000, -961
    lanes[2].picture_offset, lanes[2].tl0_offset = -0x124, 0xBB
    stand.fanout.forward(packet(), 65_536 + 7, 960, PICTURE_AT, lanes, 1.5)
    await turn()
    got = [peer.received() for peer in peers]
    assert [len(each) for each in got] == [1, 1, 1]
    flat = [each[0] for each in got]
    assert [rtp.sequence_number(each) for each in flat] == [7, 4, (7 + 70_000) & 0xFFFF]
    assert [rtp.timestamp(each) for each in flat] == [960, 959, 0xFFFFFFFF]
    assert [rtp.ssrc(each) for each in flat] == [100, 101, 102]
    assert [each[22:24].hex() for each in flat] == ["8123", "8122", "ffff"]
    assert [each[24] for each in flat] == [0x45, 0xFF, 0x00]
    assert {each[25:] for each in flat} == {b"\x00"}
    assert [(lane.packets, lane.octets) for lane in lanes] == [(1, len(packet()) - 12)] * 3


async def test_a_narrow_picture_id_stays_narrow(stand: Stand) -> None:
    peer = stand.peer()
    lane = stand.lane(peer)
    lane.picture_offset = 2
    narrow = packet(bytes.fromhex("90807f00"))
    stand.fanout.forward(narrow, 1, 0, Vp8Numbers(22, False, 0), [lane], 1.0)
    await turn()
    assert rtp.payload(peer.received()[0]).hex() == "90800100"


async def test_the_packet_itself_is_not_changed(stand: Stand) -> None:
    data = packet()
    before = bytes(data)
    lanes = [stand.lane(stand.peer(), n) for n in range(2)]
    lanes[0].picture_offset = lanes[0].tl0_offset = 5
    stand.fanout.forward(data, 7, 960, PICTURE_AT, lanes, 1.0)
    assert data == before


async def test_transport_wide_numbers_count_per_peer_and_are_remembered(stand: Stand) -> None:
    one, other = stand.peer(), stand.peer()
    both = [stand.lane(one, 1), stand.lane(other, 2)]
    for sequence in range(3):
        stand.fanout.forward(
            packet(), sequence, 0, NO_NUMBERS, both[: 2 - sequence % 2], 1.0 + sequence
        )
    again = rtp.under(bytes(packet(b"again")), 3)
    stand.fanout.send(one.outlet, again, 9.0)
    await turn()
    numbers = [
        [rtp.find_extension(each, 3)[1] for each in peer.received()] for peer in (one, other)
    ]
    assert numbers == [[0, 1, 2, 3], [0, 1]]
    times, sizes = one.outlet.sent(-1, 6)
    size = len(packet()) + WIRE_BYTES
    assert list(times) == [0.0, 1.0, 2.0, 3.0, 9.0, 0.0]
    assert list(sizes) == [0, *[size] * 3, len(again) + WIRE_BYTES, 0]
    assert [list(each) for each in one.outlet.sent(1, 2)] == [[2.0, 3.0], [size] * 2]
    assert [list(each) for each in one.outlet.sent(70_000, 1)] == [[0.0], [0]]
    assert (one.outlet.number, one.outlet.failed) == (4, 0)


async def test_what_was_sent_long_ago_is_forgotten(stand: Stand) -> None:
    peer = stand.peer()
    lane = stand.lane(peer)
    for sequence in range(SENT + 2):
        stand.fanout.forward(packet(b"x"), sequence, 0, NO_NUMBERS, [lane], float(sequence))
        if sequence % 50 == 0:
            await turn()
            peer.received()
    size = len(packet(b"x")) + WIRE_BYTES
    assert [list(each) for each in peer.outlet.sent(1, 3)] == [[0.0, 2.0, 3.0], [0, size, size]]
    times, sizes = peer.outlet.sent(SENT - 1, 3)
    assert (list(times), list(sizes)) == ([SENT - 1.0, SENT, SENT + 1.0], [size] * 3)


async def test_nothing_goes_to_who_is_not_there_or_to_before_the_beginning(stand: Stand) -> None:
    away, early, keyless = stand.peer(), stand.peer(), stand.peer()
    away.outlet.address = None
    keyless.outlet.srtp = None
    lanes = [stand.lane(peer) for peer in (away, early, keyless)]
    lanes[1].begin = 8
    stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, lanes, 1.0)
    await turn()
    assert [peer.received() for peer in stand.peers] == [[], [], []]
    assert [peer.outlet.number for peer in stand.peers] == [0, 0, 0]
    assert [lane.packets for lane in lanes] == [0, 0, 0]


async def test_the_same_number_never_goes_twice(stand: Stand) -> None:
    peer = stand.peer()
    lane = stand.lane(peer)
    for _ in range(2):
        stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, [lane], 1.0)
    await turn()
    assert len(peer.received()) == 1, "SRTP refuses: a nonce would be used twice"
    assert peer.outlet.failed == 1


async def test_packets_of_many_sizes_come_whole_and_in_order(stand: Stand) -> None:
    peer = stand.peer()
    lane = stand.lane(peer)
    sizes = [1100] * 50 + [300] + [1100, 1100, 40, 40, 1200]
    for sequence, size in enumerate(sizes):
        stand.fanout.forward(packet(bytes(size)), sequence, 0, NO_NUMBERS, [lane], 1.0)
    await turn()
    got = peer.received()
    assert [len(rtp.payload(each)) for each in got] == sizes
    assert [rtp.sequence_number(each) for each in got] == list(range(len(sizes)))


async def test_more_than_waits_for_a_turn_comes_all_the_same(stand: Stand) -> None:
    peers = [stand.peer() for _ in range(300)]
    lanes = [stand.lane(peer, 1 + index) for index, peer in enumerate(peers)]
    for sequence in range(12):
        stand.fanout.forward(packet(bytes(800)), sequence, 0, NO_NUMBERS, lanes, 1.0)
    await turn()
    assert {len(peer.received()) for peer in peers} == {12}


async def test_who_has_no_datagram_address_gets_it_by_what_stands_for_one(stand: Stand) -> None:
    peer = stand.peer()
    stream = Elsewhere(("127.0.0.1", 9))
    peer.outlet.address = stream
    stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, [stand.lane(peer)], 1.0)
    stand.fanout.send(peer.outlet, bytes(packet(b"more", 8)), 1.0)
    await turn()
    diverted = stand.outbox.diverted
    assert [address for _, address in diverted] == [stream, stream]
    assert len(diverted[0][0]) == len(packet()) + 16


async def test_reports_go_by_the_same_way_and_nowhere_while_there_is_none(stand: Stand) -> None:
    report = bytes.fromhex("80c9000100000009")
    peer, away = stand.peer(), stand.peer()
    away.outlet.address = None
    for outlet in (peer.outlet, away.outlet):
        stand.fanout.send_rtcp(outlet, report)
    stand.fanout.send_rtcp(peer.outlet, bytes(MAX_SRTP_PACKET + 1))
    peer.outlet.address = Elsewhere(("127.0.0.1", 9))
    stand.fanout.send_rtcp(peer.outlet, report)
    peer.outlet.address = peer.socket.getsockname()[:2]
    await turn()
    inbound = session(Policy.SSRC_ANY_INBOUND)
    ((diverted, _),) = stand.outbox.diverted
    assert [inbound.unprotect_rtcp(each) for each in (peer.socket.recv(2048), diverted)] == [
        report,
        report,
    ]
    assert (peer.received(), away.received()) == ([], [])
    assert peer.outlet.number == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_it_goes_by_ipv6_too(kind: str) -> None:
    with standing(kind, "::1") as stand:
        peer = stand.peer()
        stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, [stand.lane(peer)], 1.0)
        await turn()
        assert len(peer.received()) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_address_of_one_link_is_an_address(kind: str) -> None:
    with standing(kind, "::1") as stand:
        peer = stand.peer()
        home = peer.outlet.address
        peer.outlet.address = ("fe80::1%lo", 9)
        stand.fanout.know(("fe80::1%lo", 9), stand.fanout.inlet())
        stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, [stand.lane(peer)], 1.0)
        await turn()
        peer.outlet.address = home
        stand.fanout.forward(packet(), 8, 0, NO_NUMBERS, [stand.lane(peer)], 1.0)
        await turn()
        assert len(peer.received()) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_goes_while_its_packets_wait_harms_nobody(kind: str) -> None:
    with standing(kind) as stand:
        gone, stays = stand.peer(), stand.peer()
        lanes = [stand.lane(gone), stand.lane(stays)]
        stand.fanout.forward(packet(), 7, 0, NO_NUMBERS, lanes, 1.0)
        gone.outlet.address = None
        gone.outlet.srtp = None
        lanes.clear()
        await turn()
        assert len(stays.received()) == 1
