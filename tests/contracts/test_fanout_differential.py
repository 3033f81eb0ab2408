"""Whatever is asked of them, the pure and the compiled fan-out send the same bytes, and count the same."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtp
from services.media.dtls import srtp_addresses
from services.media.outlet import Lane
from services.media.payload import NO_NUMBERS, Vp8Numbers
from tests import sanitized
from tests.contracts.test_fanout import Elsewhere, Peer, Stand, both_bodies, standing, turn

pytestmark = both_bodies
EXAMPLES = 50 if sanitized.VARIABLE in os.environ else 150
"""Histories; fewer where sanitizers make them slow."""
HEADER = 20
"""Bytes before the payload of a packet that `rtp.rebuild` has laid out, with no extension but its own."""
MAX_PACKET = 1500
WORD, LONG = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
EXTENDED = st.integers(0, 1 << 20)
OFFSETS = st.integers(-(1 << 62), 1 << 62) | st.integers(-70_000, 70_000)
NARROW_OFFSETS = st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-0x8000, 0x8000)
PLACES = ("here", "here", "here", "stream", "away", "keyless")
"""Where a peer is: most have an address, some a stream or nothing, or no keys yet."""


@dataclass(frozen=True)
class LaneMade:
    peer: int
    ssrc: int
    begin: int
    offset: int
    timestamp_offset: int
    picture_offset: int
    tl0_offset: int


@dataclass(frozen=True)
class Forwarded:
    packet: bytes
    extended: int
    timestamp: int
    numbers: Vp8Numbers
    lanes: list[int]


@dataclass(frozen=True)
class Sent:
    packet: bytes
    peer: int


@dataclass(frozen=True)
class Moved:
    """A peer is elsewhere from the next turn on."""

    peer: int
    place: str


Step = Forwarded | Sent | Moved | None
"""None: the turn ends."""


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Make packets as they are laid out, of all sizes, or anything at all."""
    size = draw(st.integers(0, MAX_PACKET - HEADER) | st.sampled_from((900, MAX_PACKET - HEADER)))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(min_size=HEADER, max_size=60))
    head = bytes([0x80, draw(st.integers(0, 255))]) + draw(st.binary(min_size=10, max_size=10))
    some = draw(st.binary(max_size=8))
    return bytes(rtp.rebuild(head + (some + bytes(size))[:size], {}, 0, 96)[0])


@st.composite
def numbers(draw: st.DrawFn, size: int) -> Vp8Numbers:
    """Choose where a packet of a size has running numbers, if anywhere."""
    if size < HEADER + 3 or draw(st.booleans()):
        return NO_NUMBERS
    at, is_wide = draw(st.integers(HEADER, size - 3)), draw(st.booleans())
    picture_at = draw(st.sampled_from((0, at)))
    return Vp8Numbers(picture_at, is_wide, draw(st.sampled_from((0, at + 1 + is_wide))))


@st.composite
def forwarded(draw: st.DrawFn, lanes: int) -> Forwarded:
    packet = draw(packets())
    which = draw(st.lists(st.integers(0, lanes - 1), max_size=6))
    return Forwarded(packet, draw(EXTENDED), draw(LONG), draw(numbers(len(packet))), which)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[LaneMade], list[Step]]:
    """Make peers, lanes to them, and what happens."""
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4))
    peer = st.integers(0, len(places) - 1)
    lane = st.builds(
        LaneMade, peer, LONG, st.just(0) | EXTENDED, OFFSETS, OFFSETS, NARROW_OFFSETS, NARROW_OFFSETS
    )  # fmt: skip
    lanes = draw(st.lists(lane, min_size=1, max_size=6))
    step: st.SearchStrategy[Step] = st.one_of(
        forwarded(len(lanes)),
        forwarded(len(lanes)),
        st.builds(Sent, packets(), peer),
        st.builds(Moved, peer, st.sampled_from(PLACES)),
        st.none(),
    )
    return places, lanes, draw(st.lists(step, max_size=16))


class Story:
    """One fan-out that lives through a history. `told` is all that can be seen of it from outside."""

    def __init__(self, stand: Stand, places: Sequence[str]) -> None:
        self._stand = stand
        self._peers = [stand.peer() for _ in places]
        self._homes = [peer.outlet.address for peer in self._peers]
        self._keys = [peer.outlet.srtp for peer in self._peers]
        self._now = 0.0
        self._lanes: list[Lane] = []
        self.told: list[object] = []
        for index, place in enumerate(places):
            self._move(index, place)

    def _move(self, index: int, place: str) -> None:
        outlet = self._peers[index].outlet
        stream = Elsewhere(("127.0.0.1", index))
        outlet.address = {"stream": stream, "away": None}.get(place, self._homes[index])
        outlet.srtp = None if place == "keyless" else self._keys[index]

    async def live(self, lanes: Sequence[LaneMade], steps: Sequence[Step]) -> None:
        self._lanes = [self._lane(made) for made in lanes]
        for step in steps:
            if step is None or isinstance(step, Moved):
                await self._end_turn()
            self._now += 1.0
            if step is not None:
                self._take(step)
        await self._end_turn()
        self.told += [(lane.packets, lane.octets) for lane in self._lanes]
        self.told += [self._account(peer) for peer in self._peers]

    def _lane(self, made: LaneMade) -> Lane:
        lane = self._stand.lane(self._peers[made.peer], made.ssrc)
        lane.begin, lane.offset = made.begin, made.offset
        lane.timestamp_offset = made.timestamp_offset
        lane.picture_offset, lane.tl0_offset = made.picture_offset, made.tl0_offset
        return lane

    def _take(self, step: Forwarded | Sent | Moved) -> None:
        fanout = self._stand.fanout
        if isinstance(step, Moved):
            self._move(step.peer, step.place)
        elif isinstance(step, Sent):
            fanout.send(self._peers[step.peer].outlet, step.packet, self._now)
        else:
            chosen = [self._lanes[index] for index in step.lanes]
            data, extended, timestamp = bytearray(step.packet), step.extended, step.timestamp
            fanout.forward(data, extended, timestamp, step.numbers, chosen, self._now)
            assert data == step.packet

    async def _end_turn(self) -> None:
        await turn()
        self.told.append([raw(peer) for peer in self._peers])
        diverted = self._stand.outbox.diverted
        self.told.append([[d for d, to in diverted if to[1] == n] for n in range(len(self._peers))])
        diverted.clear()

    @staticmethod
    def _account(peer: Peer) -> object:
        outlet = peer.outlet
        times, sizes = outlet.sent(-2, 120)
        counts = outlet.number, outlet.octets, outlet.failed
        return counts, list(times), list(sizes)


def raw(peer: Peer) -> list[bytes]:
    """Take the datagrams that have come, still protected."""
    datagrams = []
    while True:
        try:
            datagrams.append(peer.socket.recv(4096))
        except BlockingIOError:
            return datagrams


async def outcome(kind: str, history: tuple[list[str], list[LaneMade], list[Step]]) -> list[object]:
    places, lanes, steps = history
    with standing(kind) as stand:
        story = Story(stand, places)
        await story.live(lanes, steps)
        return story.told


@settings(max_examples=EXAMPLES, database=None, deadline=None)
@given(histories())
def test_both_send_the_same_bytes(history: tuple[list[str], list[LaneMade], list[Step]]) -> None:
    async def both() -> list[list[object]]:
        return [await outcome(kind, history) for kind in ("python", "compiled")]

    pure, compiled = asyncio.run(both())
    assert compiled == pure


Call = Callable[[Stand, Peer, Lane], object]
GOOD = bytearray(rtp.rebuild(bytes([0x80, 96]) + bytes(10 + 40), {}, 0, 96)[0])
REFUSED: dict[str, Call] = {
    "too short": lambda s, p, n: s.fanout.forward(GOOD[:18], 1, 1, NO_NUMBERS, [n], 0.0),
    "empty": lambda s, p, n: s.fanout.send(p.outlet, b"", 0.0),
    "too long": lambda s, p, n: s.fanout.send(p.outlet, bytes(MAX_PACKET + 1), 0.0),
    "picture behind the end": lambda s, p, n: s.fanout.forward(
        GOOD, 1, 1, Vp8Numbers(len(GOOD) - 1, True, 0), [n], 0.0
    ),
    "picture before the beginning": lambda s, p, n: s.fanout.forward(
        GOOD, 1, 1, Vp8Numbers(-1, True, 0), [n], 0.0
    ),
    "picture beyond all bounds": lambda s, p, n: s.fanout.forward(
        GOOD, 1, 1, Vp8Numbers((1 << 31) - 1, True, 0), [n], 0.0
    ),
    "layer index behind the end": lambda s, p, n: s.fanout.forward(
        GOOD, 1, 1, Vp8Numbers(0, False, len(GOOD)), [n], 0.0
    ),
    "no lane": lambda s, p, n: s.fanout.forward(GOOD, 1, 1, NO_NUMBERS, [n, "lane"], 0.0),  # type: ignore[list-item]
    "no outlet": lambda s, p, n: s.fanout.lane("outlet", 1),  # type: ignore[arg-type]
    "no address": lambda s, p, n: setattr(p.outlet, "address", ("nowhere", 1)),
    "no keys": lambda s, p, n: setattr(p.outlet, "srtp", 7),
    "an outlet keeps its address": lambda s, p, n: delattr(p.outlet, "address"),
    "an outlet keeps its keys": lambda s, p, n: delattr(p.outlet, "srtp"),
    "numbers that are counted": lambda s, p, n: setattr(p.outlet, "number", -5),
    "more than can be told of": lambda s, p, n: p.outlet.sent(0, 1 << 40),
    "less than nothing": lambda s, p, n: p.outlet.sent(0, -1),
    "not made at all": lambda s, p, n: type(s.fanout).__new__(type(s.fanout)),
}  # fmt: skip


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
async def test_the_compiled_one_refuses_what_can_not_be(call: Call) -> None:
    with standing("compiled") as stand:
        peer = stand.peer()
        lane = stand.lane(peer)
        with pytest.raises((ValueError, TypeError, AttributeError)):
            call(stand, peer, lane)
        stand.fanout.forward(GOOD, 2, 2, NO_NUMBERS, [lane], 0.0)
        await turn()
        assert len(raw(peer)) >= 1


async def test_numbers_at_the_edge_of_what_fits_harm_nothing() -> None:
    with standing("compiled") as stand:
        peer = stand.peer()
        lane = stand.lane(peer)
        lane.offset = lane.timestamp_offset = (1 << 63) - 1
        lane.picture_offset = lane.tl0_offset = (1 << 31) - 1
        numbers = Vp8Numbers(HEADER, True, HEADER + 2)
        stand.fanout.forward(GOOD, (1 << 63) - 1, (1 << 64) - 1, numbers, [lane], 0.0)
        await turn()
        assert len(peer.received()) == 1
        assert [list(each) for each in peer.outlet.sent((1 << 63) - 2, 4)] == [[0.0] * 4, [0] * 4]


async def test_a_fan_out_that_goes_with_packets_waiting_leaves_nothing_behind() -> None:
    with standing("compiled") as stand:
        peer = stand.peer()
        make = type(stand.fanout)
        for _ in range(3):
            told = (print, lambda: None, print, print, print, print, ValueError)
            fanout = make(stand.udp.fileno(), srtp_addresses(), *told)  # type: ignore[call-arg]
            outlet = fanout.outlet()
            outlet.address, outlet.srtp = peer.outlet.address, peer.outlet.srtp
            fanout.forward(GOOD, 1, 1, NO_NUMBERS, [fanout.lane(outlet, n) for n in range(9)], 0.0)
            del fanout, outlet
        gc.collect()
        await turn()
        assert raw(peer) == []
