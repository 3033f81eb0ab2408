"""A room of the SFU with aiortc clients, over real UDP, DTLS and SRTP on loopback."""

from __future__ import annotations

import socket

import pytest

from services.media.domain import NotGranted
from services.media.peer import Grants
from services.media.publisher import Wanted
from services.media.subscriber import Offer
from tests.media_room import ALL, MEETING, a_room, join, until
from tests.rtc import RtcClient


async def test_a_subscriber_gets_frames_and_sound_of_a_publisher() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        for _ in range(5):
            frame = await bob.frame("video")
        assert (frame.width, frame.height) == (640, 480)
        assert (await bob.frame("audio")).sample_rate == 48_000
        await until(lambda: told.audio_packets > 0)


async def test_sound_is_handed_over_only_while_somebody_listens() -> None:
    async with a_room() as (room, told):
        await join(room, told, "ann", publish=True)
        bob = await join(room, told, "bob", publish=False)
        await bob.frame("audio")
        tracks = room.peer(f"{MEETING}/participants/ann").publisher.tracks.values()
        (encoding,) = next(t for t in tracks if t.kind == "audio").forwarder.encodings
        await until(lambda: encoding.is_tapped)
        told.hearing = False
        await until(lambda: not encoding.is_tapped)
        heard = told.audio_packets
        await bob.frame("audio")
        assert told.audio_packets == heard


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
        sent = camera.forwarder.downlinks[0].lane.packets
        (encoding,) = camera.forwarder.encodings
        received = encoding.stream.packets
        await until(lambda: encoding.stream.packets >= received + 10)
        assert camera.forwarder.downlinks[0].lane.packets == sent
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
