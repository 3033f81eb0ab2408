"""Loss, wandering addresses and hostile peers, over real UDP, DTLS and SRTP on loopback: the others notice nothing."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

import pytest

from services.media import rtcp
from services.media.downlink import Downlink
from services.media.fanout import PythonFanout
from services.media.ice import Address
from services.media.inlet import MAX_SOURCES
from services.media.port import Port
from services.media.room import Room
from services.media.transport import rejected
from tests.media_room import MEETING, a_room, join, until
from tests.rtc import TIMEOUT_SECONDS, RtcClient
from tests.stun_checks import check

ANN, BOB, EVE = (f"{MEETING}/participants/{name}" for name in ("ann", "bob", "eve"))


def refused(kind: str) -> float:
    return float(rejected.labels(kind)._value.get())


class Lossy:
    """A network that loses every fifth packet to one address."""

    def __init__(self, fanout: PythonFanout, to: Address | None) -> None:
        self._send = fanout._send
        self._to = to
        self._count = 0
        self.lost = 0
        fanout._send = self

    def __call__(self, datagram: bytes, address: Address) -> None:
        self._count += address == self._to
        if address == self._to and self._count % 5 == 0:
            self.lost += 1
        else:
            self._send(datagram, address)


def video_to(room: Room, participant: str) -> Downlink:
    return next(d for t, d in room.peer(participant).subscriber.downlinks() if t.kind == "video")


async def test_lost_packets_are_sent_again_and_the_picture_goes_on() -> None:
    async with a_room(port=Port("127.0.0.1:0", ("127.0.0.1",), "python")) as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        downlink = video_to(room, BOB)
        assert isinstance(room.port.fanout, PythonFanout)
        lossy = Lossy(room.port.fanout, downlink.outlet.address)
        await until(lambda: lossy.lost >= 5 and downlink.retransmitted >= 5)
        for _ in range(5):
            await bob.frame("video")


async def test_after_an_ice_restart_media_follows_to_the_new_address() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        subscriber = room.peer(BOB).subscriber
        handshake = subscriber.transport._dtls
        subscriber.restart_ice()
        await bob.frame("video")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.setblocking(False)
            told.clients[BOB] = RtcClient()  # the old one may no more answer
            elsewhere.sendto(check(subscriber.transport.ice.local), ("127.0.0.1", room.port.number))
            loop = asyncio.get_running_loop()
            kinds: set[str] = set()
            async with asyncio.timeout(10):
                while kinds != {"stun", "media"}:
                    datagram = await loop.sock_recv(elsewhere, 2048)
                    kinds.add("stun" if datagram[0] <= 3 else "media")
        assert subscriber.transport._dtls is handshake
        await bob.close()


async def test_a_stranger_with_a_wrong_password_takes_nobodys_media() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        ice = room.peer(BOB).subscriber.transport.ice
        before, counted = ice.address, refused("stun")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(check(ice.local, password="x" * 24), ("127.0.0.1", room.port.number))
            await until(lambda: refused("stun") > counted)
        assert ice.address == before
        await bob.frame("video")


async def test_nonsense_is_counted_by_kind() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        before = {kind: refused(kind) for kind in ("stun", "stranger")}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(50):
                stranger.sendto(b"\x00" + random.randbytes(40), ("127.0.0.1", room.port.number))
                stranger.sendto(b"\x80" + random.randbytes(40), ("127.0.0.1", room.port.number))
        await until(lambda: all(refused(kind) >= before[kind] + 50 for kind in before))
        await bob.frame("video")


async def test_a_publisher_that_sends_nonsense_under_its_own_key_harms_nobody() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        anns = bob.received["video"]
        eve = await join(room, told, "eve", publish=True)
        await until(lambda: eve.publisher.connectionState == "connected")
        before = {kind: refused(kind) for kind in ("rtp", "rtcp")}
        transport = eve.publisher.getTransceivers()[0].sender.transport
        for number in range(2 * MAX_SOURCES):
            header = struct.pack("!BBHLL", 0x90, 120, number, 0, 0x10000 + number)
            await transport._send_rtp(header + struct.pack("!HH", 0xBEDE, 1) + b"\x3f" * 4)
            await transport._send_rtp(
                bytes([0x80 | rtcp.NACK, rtcp.RTPFB]) + b"\x00\x01" + bytes(4)
            )
            await asyncio.sleep(0)
        await until(lambda: all(refused(kind) > before[kind] for kind in before))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not anns._queue.empty():  # what came before
                await anns.recv()
            for _ in range(5):
                await anns.recv()
        with pytest.raises(ValueError, match="too many sources"):
            room.peer(EVE).publisher.transport.inlet.connect(1, None)


async def test_a_subscriber_that_asks_for_everything_again_harms_nobody() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        eve = await join(room, told, "eve", publish=False)
        await bob.frame("video")
        await eve.frame("video")
        transport = eve.subscriber.getTransceivers()[0].receiver.transport
        ssrc = video_to(room, EVE).ssrc
        asked = room.peer(ANN).publisher.tracks
        (camera,) = next(t for t in asked.values() if t.kind == "video").forwarder.encodings
        keyframes = camera.keyframe_requests
        for start in range(0, 20_000, 400):
            await transport._send_rtp(rtcp.nack(1, ssrc, list(range(start, start + 400))))
            await transport._send_rtp(rtcp.picture_loss_indication(1, ssrc))
        for _ in range(10):
            await bob.frame("video")
        assert camera.keyframe_requests - keyframes <= 3


async def test_a_client_whose_address_changes_without_a_word_is_followed_there_and_back() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        ice, port = room.peer(BOB).subscriber.transport.ice, ("127.0.0.1", room.port.number)
        home = ice.address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.setblocking(False)
            elsewhere.sendto(check(ice.local), port)
            loop, kinds = asyncio.get_running_loop(), set[str]()
            async with asyncio.timeout(10):
                while kinds != {"stun", "media"}:
                    datagram = await loop.sock_recv(elsewhere, 2048)
                    kinds.add("stun" if datagram[0] <= 3 else "media")
        assert ice.address != home
        transport = bob.subscriber.getTransceivers()[0].receiver.transport.transport
        transport._connection._protocols[0].transport.sendto(check(ice.local), port)
        await until(lambda: ice.address == home)
        for _ in range(5):
            await bob.frame("video")
