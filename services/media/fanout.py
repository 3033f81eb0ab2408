"""The fan-out: one packet to many peers, in pure Python. `native/` does the same, compiled; one contract suite runs both.

A packet comes laid out by `rtp.rebuild`. For each lane (one track to one peer) its running numbers and SSRC are
written over, the peer's transport-wide sequence number too, then it is protected for that peer and queued to leave
at the end of the event loop's turn. All that varies along a lane is an offset, constant from one switch to the next.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import socket
import time
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Protocol

from services.media.acknowledged import Acknowledged
from services.media.dtls import MAX_SRTP_PACKET, SHARDS, scratch, srtp_addresses, srtp_protect
from services.media.ice import Address
from services.media.inlet import Inlet, ignore
from services.media.outbox import Outbox, unsent
from services.media.outlet import SENT, WIRE_BYTES, Lane, Outlet
from services.media.payload import NO_NUMBERS, Vp8Numbers
from services.media.rtp import MIN_HEADER, TRANSPORT_SEQUENCE_AT, PacketInvalid
from services.media.stream import Kept, OnPacket, Stream

BURST = 64
"""Datagrams read before other work gets its turn."""
MAX_DATAGRAM = 2048

_SEQUENCE_TIMESTAMP_SSRC = Struct("!HLL").pack_into
_WORD = Struct("!H").pack_into
_BYTES = tuple(bytes([value]) for value in range(256))

Send = Callable[[bytes, Address], None]


Route = Callable[[bytes, Address, float], None]
"""Gets a datagram, where it came from, and when."""


class Fanout(Protocol):
    """The hot path: what both ways offer, from the socket by inlet, stream and lane to outlet and socket."""

    asleep_after: float
    """After that (monotonic) nobody is known: the process has slept, and its rooms may be another worker's."""

    def read(self) -> None:
        """Read what the socket has, BURST datagrams at most: SRTP of who is known by their inlet, the rest by `route`."""
        ...

    def know(self, address: Address, inlet: Inlet) -> None:
        """Have SRTP from an address go to an inlet."""
        ...

    def forget(self, address: Address) -> None:
        """Know an address no more, if it was known."""
        ...

    def inlet(self) -> Inlet:
        """Make a peer's way in."""
        ...

    def stream(self, clock_rate: int, is_vp8: bool, on_packet: OnPacket, last_at: float) -> Stream:
        """Make a source's way through."""
        ...

    def outlet(self) -> Outlet:
        """Make a peer's way out."""
        ...

    def lane(self, outlet: Outlet, ssrc: int) -> Lane:
        """Make a track's way to a peer."""
        ...

    def acknowledged(self, outlet: Outlet) -> Acknowledged:
        """Make the account of what a peer's feedback tells."""
        ...

    def forward(
        self,
        packet: bytearray,
        extended: int,
        timestamp: int,
        numbers: Vp8Numbers,
        lanes: Sequence[Lane],
        now: float,
    ) -> None:
        """Send a packet along lanes. `extended` is its publisher's extended sequence number."""
        ...

    def send(self, outlet: Outlet, packet: bytes, now: float) -> None:
        """Send a packet, laid out as `rtp.rebuild` does, to one peer as it is but for the transport-wide number."""
        ...

    def send_rtcp(self, outlet: Outlet, packet: bytes) -> None:
        """Send an RTCP packet to one peer; dropped while there is nowhere to send it."""
        ...


class PythonFanout:
    """The fan-out in pure Python: always there. `send` queues a protected packet."""

    def __init__(self, udp: socket.socket, send: Send, route: Route) -> None:
        self._socket = udp
        self._send = send
        self._route = route
        self._inlets: dict[Address, Inlet] = {}
        self.asleep_after = math.inf

    def read(self) -> None:
        """Read what the socket has."""
        now = time.monotonic()
        for _ in range(BURST):
            try:
                datagram, source = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier send
                continue
            inlet = self._inlets.get(source[:2]) if now <= self.asleep_after else None
            if inlet is not None and len(datagram) >= MIN_HEADER and 128 <= datagram[0] <= 191:
                inlet.receive(datagram, now)
            elif datagram:
                self._route(datagram, source[:2], now)

    def know(self, address: Address, inlet: Inlet) -> None:
        """Have SRTP from an address go to an inlet."""
        self._inlets[address] = inlet

    def forget(self, address: Address) -> None:
        """Know an address no more."""
        self._inlets.pop(address, None)

    def inlet(self) -> Inlet:
        """Make a peer's way in."""
        return Inlet()

    def stream(self, clock_rate: int, is_vp8: bool, on_packet: OnPacket, last_at: float) -> Stream:
        """Make a source's way through."""
        return Stream(self, clock_rate, is_vp8, on_packet, last_at)

    def outlet(self) -> Outlet:
        """Make a peer's way out."""
        return Outlet()

    def lane(self, outlet: Outlet, ssrc: int) -> Lane:
        """Make a track's way to a peer."""
        return Lane(outlet, ssrc)

    def acknowledged(self, outlet: Outlet) -> Acknowledged:
        """Make the account of what a peer's feedback tells."""
        return Acknowledged(outlet)

    def forward(
        self,
        packet: bytearray,
        extended: int,
        timestamp: int,
        numbers: Vp8Numbers,
        lanes: Sequence[Lane],
        now: float,
    ) -> None:
        """Send a packet along lanes."""
        size, send = len(packet), self._send
        octets, wire = size - MIN_HEADER, size + WIRE_BYTES
        picture_at, is_wide, tl0_at = numbers
        buffer, cdata, length = scratch.buffer, scratch.cdata, scratch.length
        for lane in lanes:  # the innermost loop of all: nothing here is a call that need not be one
            outlet = lane.outlet
            srtp, address = outlet.srtp, outlet.address
            if extended < lane.begin or srtp is None or address is None:
                continue
            buffer[0:size] = packet
            _SEQUENCE_TIMESTAMP_SSRC(
                buffer,
                2,
                (extended + lane.offset) & 0xFFFF,
                (timestamp + lane.timestamp_offset) & 0xFFFFFFFF,
                lane.ssrc,
            )
            if picture_at and is_wide:
                picture = (packet[picture_at] << 8 | packet[picture_at + 1]) + lane.picture_offset
                _WORD(buffer, picture_at, 0x8000 | picture & 0x7FFF)
            elif picture_at:
                buffer[picture_at] = _BYTES[packet[picture_at] + lane.picture_offset & 0x7F]
            if tl0_at:
                buffer[tl0_at] = _BYTES[packet[tl0_at] + lane.tl0_offset & 0xFF]
            number = outlet.number
            _WORD(buffer, TRANSPORT_SEQUENCE_AT, number & 0xFFFF)
            lane.packets += 1
            lane.octets += octets
            length[0] = size
            if srtp_protect(srtp.pointers[lane.ssrc % SHARDS], cdata, length):
                outlet.failed += 1
                continue
            outlet.number = number + 1
            slot = number % SENT
            outlet._at[slot] = now  # noqa: SLF001
            outlet._size[slot] = wire  # noqa: SLF001
            sealed = length[0]
            outlet.octets += sealed
            send(buffer[0:sealed], address)

    def send(self, outlet: Outlet, packet: bytes, now: float) -> None:
        """Send a packet to one peer."""
        only = Lane(outlet, int.from_bytes(packet[8:12], "big"))
        sequence, timestamp = (int.from_bytes(part, "big") for part in (packet[2:4], packet[4:8]))
        self.forward(bytearray(packet), sequence, timestamp, NO_NUMBERS, (only,), now)

    def send_rtcp(self, outlet: Outlet, packet: bytes) -> None:
        """Send an RTCP packet to one peer."""
        srtp, address = outlet.srtp, outlet.address
        if srtp is not None and address is not None and len(packet) <= MAX_SRTP_PACKET:
            self._send(srtp.protect_rtcp(packet), address)


class FanoutMissing(RuntimeError):
    """The compiled fan-out was asked for and is not built."""


def choose(kind: str, udp: socket.socket, outbox: Outbox, route: Route) -> Fanout:
    """Make a fan-out on a socket: `compiled`, `python`, or `auto`, compiled where that is built.

    `route` gets what is no SRTP of anybody known. Raises FanoutMissing.
    """
    if kind != "python":
        try:
            return _compiled(udp, outbox, route)
        except ImportError as error:
            if kind == "compiled":
                raise FanoutMissing(f"the compiled fan-out is not built: {error}") from error
    return PythonFanout(udp, outbox.add, route)


def _compiled(udp: socket.socket, outbox: Outbox, route: Route) -> Fanout:
    native = importlib.import_module("services.media._native")

    def schedule() -> None:
        asyncio.get_running_loop().call_soon(fanout.flush)

    fanout = native.Fanout(
        udp.fileno(),
        srtp_addresses(),
        outbox.add,
        schedule,
        route,
        unsent.inc,
        _kept,
        ignore,
        PacketInvalid,
    )
    made: Fanout = fanout
    return made


def _kept(extended: int, packet: bytearray, payload_at: int, timestamp: int, *numbers: int) -> Kept:
    picture_at, is_wide, tl0_at = numbers
    return Kept(
        extended, packet, payload_at, timestamp, Vp8Numbers(picture_at, bool(is_wide), tl0_at)
    )


__all__ = [
    "Fanout",
    "FanoutMissing",
    "PythonFanout",
    "Send",
    "choose",
]
