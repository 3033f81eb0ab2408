"""Media over TCP for those whose network lets no UDP through, and what its port does to those who misuse it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioice import stun

from services.media import tcp
from services.media.ice import StreamAddress
from services.media.port import Port
from services.media.room import Room
from services.media.transport import Transport
from tests.media_room import MEETING, a_room, join, until
from tests.middlebox import BlockedClient
from tests.stun_checks import check

ANN, BOB = (f"{MEETING}/participants/{name}" for name in ("ann", "bob"))
REMOTE = ("them", "their-password-of-22-char", ("sha-256", "00"))


def counted(counter: Any, *labels: str) -> float:
    return float((counter.labels(*labels) if labels else counter)._value.get())


def transports(room: Room, participant: str) -> tuple[Transport, Transport]:
    peer = room.peer(participant)
    return peer.publisher.transport, peer.subscriber.transport


@pytest.mark.parametrize("fanout", ["python", "auto"])
async def test_who_has_no_udp_is_seen_and_heard_over_tcp_and_sees_and_hears_the_others(
    fanout: str,
) -> None:
    async with a_room(port=Port("127.0.0.1:0", ("127.0.0.1",), fanout)) as (room, told):
        ann = BlockedClient(room.port.number)
        await join(room, told, "ann", publish=True, client=ann)
        bob = await join(room, told, "bob", publish=True)
        for client in (ann, bob):
            for _ in range(5):
                await client.frame("video")
            await client.frame("audio")
        assert all(isinstance(t.ice.address, StreamAddress) for t in transports(room, ANN))
        room.remove_peer(ANN)
        assert not room.port.tcp.connections


async def test_a_tcp_connection_that_breaks_is_followed_by_another_within_the_same_call() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = BlockedClient(room.port.number)
        await join(room, told, "bob", publish=False, client=bob)
        await bob.frame("video")
        transport = room.peer(BOB).subscriber.transport
        before, handshake = transport.ice.address, transport._dtls
        bob.middlebox.cut()
        await until(lambda: transport.ice.address not in (None, before), 60)
        for _ in range(5):
            await bob.frame("video")
        assert transport._dtls is handshake


@asynccontextmanager
async def a_port() -> AsyncIterator[tuple[Port, Transport]]:
    """A port with one transport on it."""
    port = Port("127.0.0.1:0", ("127.0.0.1",))
    port.open()
    try:
        transport = port.new_transport()
        transport.set_remote(REMOTE)
        yield port, transport
    finally:
        port.close()


async def connected(port: Port, *, buffer: int = 0) -> socket.socket:
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.setblocking(False)
    if buffer:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await asyncio.get_running_loop().sock_connect(stream, ("127.0.0.1", port.number))
    return stream


async def say(stream: socket.socket, frame: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(stream, len(frame).to_bytes(2, "big") + frame)


async def hear(stream: socket.socket) -> bytes:
    """Read a frame; empty when the other side has ended the connection."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        try:
            if not (head := await loop.sock_recv(stream, 2)):
                return b""
            return await loop.sock_recv(stream, int.from_bytes(head, "big"))
        except ConnectionResetError:
            return b""


async def prove(stream: socket.socket, transport: Transport) -> stun.Message:
    await say(stream, check(transport.ice.local))
    return stun.parse_message(await hear(stream))


async def test_a_check_over_tcp_is_answered_with_the_address_that_it_came_from() -> None:
    async with a_port() as (port, transport):
        with await connected(port) as stream:
            answer = await prove(stream, transport)
            assert answer.attributes["XOR-MAPPED-ADDRESS"] == stream.getsockname()


async def test_who_proves_nothing_is_soon_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PROOF_SECONDS", 0.1)
    async with a_port() as (port, transport):
        with await connected(port) as proved, await connected(port) as stranger:
            await prove(proved, transport)
            await say(stranger, b"\x80 not a check")
            assert await hear(stranger) == b""
            assert len(port.tcp.connections) == 1
            await prove(proved, transport)


async def test_who_falls_silent_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PROOF_SECONDS", 0.1)
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.1)
    async with a_port() as (port, transport):
        with await connected(port) as stream:
            await prove(stream, transport)
            assert await hear(stream) == b""
            assert transport.ice.address is None


async def test_one_address_can_not_take_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_FROM_ONE_SOURCE", 3)
    async with a_port() as (port, transport):
        streams = [await connected(port) for _ in range(4)]
        assert await hear(streams[3]) == b""
        streams[0].close()
        await until(lambda: len(port.tcp.connections) == 2)
        with await connected(port) as another:
            await prove(another, transport)
        for stream in streams[1:]:
            stream.close()


async def test_a_frame_that_is_too_long_ends_its_connection_alone() -> None:
    async with a_port() as (port, transport):
        with await connected(port) as good, await connected(port) as bad:
            await prove(good, transport)
            before = counted(tcp._refused, "frame")
            await asyncio.get_running_loop().sock_sendall(bad, b"\xff\xff")
            assert await hear(bad) == b""
            assert counted(tcp._refused, "frame") == before + 1
            await prove(good, transport)


async def test_a_reader_who_is_slow_loses_datagrams_and_delays_nobody() -> None:
    async with a_port() as (port, transport):
        other = port.new_transport()
        other.set_remote(REMOTE)
        with await connected(port, buffer=4_096) as slow, await connected(port) as quick:
            await prove(slow, transport)
            await prove(quick, other)
            address, before = transport.ice.address, counted(tcp._unsent)
            assert isinstance(address, tcp.Connection)
            for _ in range(2_000):
                address.send([bytes(1_200)] * 4)
            assert counted(tcp._unsent) > before
            assert len(address._waiting) <= tcp.MAX_WAITING
            await prove(quick, other)
            heard = [await hear_whole(slow) for _ in range(100)]
            assert {len(frame) for frame in heard} == {1_200}, "frames are dropped whole"


async def hear_whole(stream: socket.socket) -> bytes:
    """Read a frame, in as many pieces as it comes."""
    loop = asyncio.get_running_loop()
    size, read = int.from_bytes(await loop.sock_recv(stream, 2), "big"), b""
    async with asyncio.timeout(10):
        while len(read) < size:
            read += await loop.sock_recv(stream, size - len(read))
    return read


async def test_a_client_that_vanishes_in_the_midst_of_sending_is_forgotten() -> None:
    async with a_port() as (port, transport):
        stream = await connected(port)
        await prove(stream, transport)
        address = transport.ice.address
        assert isinstance(address, tcp.Connection)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        stream.close()  # with a reset
        address.send([bytes(1_200)])
        await until(lambda: not port.tcp.connections)
        assert transport.ice.address is None
        address.send([bytes(1_200)])
