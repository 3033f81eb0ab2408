"""Data channels through a room, with aiortc's clients: messages of one arrive at the others, under the sender's name."""

from __future__ import annotations

import asyncio

from aiortc import RTCSessionDescription
from parley.signaling.v1.signaling_pb2 import DataMessage

from services.media.data import MESSAGES_PER_SECOND
from services.media.room import Room
from tests.media_room import ALL, MEETING, Told, a_room
from tests.rtc import RtcClient

SECONDS = 20.0


class Talker:
    """A client that publishes nothing but data."""

    def __init__(self, room: Room, told: Told, name: str) -> None:
        self.name = f"{MEETING}/participants/{name}"
        self.client = told.clients[self.name] = RtcClient()
        self.heard: asyncio.Queue[DataMessage] = asyncio.Queue()
        connection = self.client.publisher
        self.reliable = connection.createDataChannel("chat")
        self.lossy = connection.createDataChannel("cursor", ordered=False, maxRetransmits=0)
        for channel in (self.reliable, self.lossy):
            channel.on("message", lambda data: self.heard.put_nowait(DataMessage.FromString(data)))
        self._opened = asyncio.Event()
        self.lossy.on("open", self._opened.set)
        self._room = room

    async def begin(self) -> None:
        self._room.start_peer(self.name, ALL)
        connection = self.client.publisher
        await connection.setLocalDescription(await connection.createOffer())
        published = self._room.publish(self.name, connection.localDescription.sdp, {})
        await connection.setRemoteDescription(RTCSessionDescription(published.answer, "answer"))
        async with asyncio.timeout(SECONDS):
            await self._opened.wait()

    async def next(self) -> DataMessage:
        async with asyncio.timeout(SECONDS):
            return await self.heard.get()


async def test_what_one_says_the_others_hear_by_label_and_under_its_name() -> None:
    async with a_room() as (room, told):
        ann, bob = Talker(room, told, "ann"), Talker(room, told, "bob")
        await ann.begin()
        await bob.begin()
        ann.reliable.send("hello")
        assert await bob.next() == DataMessage(participant=ann.name, text="hello")
        bob.lossy.send(b"\x00\x01")
        assert await ann.next() == DataMessage(participant=bob.name, payload=b"\x00\x01")
        for number in range(50):
            ann.reliable.send(str(number))
        assert [(await bob.next()).text for _ in range(50)] == [str(n) for n in range(50)]
        assert ann.heard.empty(), "nobody hears themselves"


async def test_who_says_too_much_is_cut_short_and_the_room_goes_on() -> None:
    async with a_room() as (room, told):
        ann, bob = Talker(room, told, "ann"), Talker(room, told, "bob")
        await ann.begin()
        await bob.begin()
        for _ in range(3 * MESSAGES_PER_SECOND):
            ann.reliable.send("x")
        await asyncio.sleep(0.5)
        bob.reliable.send("still here")
        assert (await ann.next()).text == "still here"
        assert bob.heard.qsize() < 3 * MESSAGES_PER_SECOND


async def test_a_message_too_long_is_not_passed_on_and_the_next_is() -> None:
    async with a_room() as (room, told):
        ann, bob = Talker(room, told, "ann"), Talker(room, told, "bob")
        await ann.begin()
        await bob.begin()
        association = room.peer(ann.name).publisher.data
        association._heard("chat", "y" * 20_000)
        ann.reliable.send("short")
        assert (await bob.next()).text == "short"


async def test_bytes_that_are_no_sctp_break_nothing_but_ones_own_channels() -> None:
    async with a_room() as (room, told):
        ann, bob, eve = (Talker(room, told, name) for name in ("ann", "bob", "eve"))
        for each in (ann, bob, eve):
            await each.begin()
        data = room.peer(eve.name).publisher.data
        for junk in (b"", b"\x00" * 12, b"\x13\x88" * 40, bytes(range(200))):
            data.receive(junk)
        ann.reliable.send("hello")
        assert (await bob.next()).text == "hello"
