"""A room of the SFU with aiortc clients, over real UDP, DTLS and SRTP on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rtc import RtcClient, on_loopback

from services.media.port import Port
from services.media.publisher import PublishedTrack, Wanted
from services.media.room import Grants, Listener, Room
from services.media.subscriber import Offer

MEETING = "meetings/abc-defg-hij"
ALL = Grants(frozenset({"microphone", "camera", "screen"}), subscribe=True)


class Told(Listener):
    """Carries offers to clients, and remembers the rest."""

    def __init__(self) -> None:
        self.room: Room | None = None
        self.clients: dict[str, RtcClient] = {}
        self.muted: list[bool] = []
        self.gone: list[str] = []
        self.audio_packets = 0
        self._answering: set[asyncio.Task[None]] = set()

    def offer(self, participant: str, offer: Offer) -> None:
        task = asyncio.create_task(self._answer(participant, offer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, participant: str, offer: Offer) -> None:
        assert self.room is not None
        answer = await self.clients[participant].answer(offer.sdp)
        self.room.peer(participant).subscriber.answer(answer, offer.revision)

    def updated(self, track: PublishedTrack) -> None:
        self.muted.append(track.forwarder.muted)

    def unpublished(self, track: PublishedTrack) -> None:
        self.gone.append(track.id)

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        self.audio_packets += 1


@asynccontextmanager
async def a_room() -> AsyncIterator[tuple[Room, Told]]:
    port, told = Port("127.0.0.1:0", ("127.0.0.1",)), Told()
    port.open()
    room = told.room = Room(MEETING, port, told, 10)

    async def tick() -> None:
        while True:
            room.tick(time.monotonic())
            await asyncio.sleep(0.05)

    ticking = asyncio.create_task(tick())
    try:
        with on_loopback():
            yield room, told
    finally:
        ticking.cancel()
        for client in told.clients.values():
            await client.close()
        room.close()
        port.close()


async def join(room: Room, told: Told, name: str, *, publish: bool) -> RtcClient:
    participant = f"{MEETING}/participants/{name}"
    client = told.clients[participant] = RtcClient()
    room.start_peer(participant, ALL)
    if publish:
        offer = await client.offer()
        published = room.publish(participant, offer, {})
        await client.answered(published.answer)
    return client


async def test_a_subscriber_gets_frames_and_sound_of_a_publisher() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        for _ in range(5):
            frame = await bob.frame("video")
        assert (frame.width, frame.height) == (640, 480)
        assert (await bob.frame("audio")).sample_rate == 48_000
        assert told.audio_packets > 0


async def test_two_publish_and_both_receive() -> None:
    async with a_room() as (room, told):
        ann = await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=True)
        for client in (ann, bob):
            await client.frame("video")
            await client.frame("audio")


async def test_a_muted_track_stops_and_goes_on() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        ann = f"{MEETING}/participants/ann"
        camera = next(t for t in room.peer(ann).publisher.tracks.values() if t.kind == "video")
        room.set_muted(ann, camera.id, muted=True)
        sent = camera.forwarder.downlinks[0].packets
        received = camera.forwarder.packets
        while camera.forwarder.packets < received + 10:
            await asyncio.sleep(0.02)
        assert camera.forwarder.downlinks[0].packets == sent
        room.set_muted(ann, camera.id, muted=False)
        await bob.frame("video")
        assert told.muted == [True, False]


async def test_who_leaves_is_gone_for_the_others() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        room.remove_peer(f"{MEETING}/participants/ann")
        assert len(told.gone) == 2
        assert room.tracks() == []


async def test_an_ice_restart_changes_the_credentials_and_media_goes_on() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        subscriber = room.peer(f"{MEETING}/participants/bob").subscriber
        before = subscriber.transport.ice.local
        offers: list[Offer] = []
        subscriber._on_offer = offers.append
        subscriber.restart_ice()
        assert subscriber.transport.ice.local != before
        assert f"a=ice-ufrag:{subscriber.transport.ice.local.ufrag}" in offers[0].sdp
        await bob.frame("video")


async def test_a_flood_of_nonsense_harms_nobody() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("video")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for first in (0, 1, 20, 63, 128, 144, 191, 200, 255):
                for size in (1, 2, 11, 12, 13, 100, 1500):
                    stranger.sendto(bytes([first]) * size, ("127.0.0.1", room.port.number))
        for _ in range(5):
            await bob.frame("video")


async def test_what_is_not_granted_is_not_published() -> None:
    from services.media.domain import NotGranted

    async with a_room() as (room, told):
        participant = f"{MEETING}/participants/eve"
        client = told.clients[participant] = RtcClient()
        room.start_peer(participant, Grants(frozenset({"microphone"}), subscribe=True))
        offer = await client.offer()
        with pytest.raises(NotGranted):
            room.publish(participant, offer, {})
        assert room.tracks() == []


async def test_a_source_is_what_the_client_says() -> None:
    async with a_room() as (room, told):
        participant = f"{MEETING}/participants/ann"
        client = told.clients[participant] = RtcClient()
        room.start_peer(participant, ALL)
        offer = await client.offer(audio=False)
        mid = next(iter(client.mids))
        published = room.publish(participant, offer, {mid: Wanted("screen", muted=True)})
        assert [(t.source, t.forwarder.muted) for t in published.added] == [("screen", True)]
        await client.answered(published.answer)
