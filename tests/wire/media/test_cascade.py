"""A room that is too large for one worker, over several real ones: people hear each other wherever they are placed."""

from __future__ import annotations

import asyncio
import itertools
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from parley.media.v1 import media_pb2, node_pb2
from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

from chassis import bus, channels
from loadtest.media.uplink import Profile
from tests.media_light import LightMember, goes_on, light_members
from tests.media_room import until
from tests.media_stand import ALL, Stand, standing
from tests.user_keys import credentials

pytestmark = pytest.mark.usefixtures("patient_receivers")

TWO = ("media-0", "media-1")
THREE = (*TWO, "media-2")


async def drain(stand: Stand, node: str) -> None:
    request = node_pb2.DrainNodeRequest(name=f"nodes/{node}")
    await stand.node_stubs()[0].DrainNode(request, metadata=credentials(stand.key, "admin"))


async def test_people_at_two_workers_hear_each_other(valkey: str, tmp_path: Path) -> None:
    async with (
        standing(valkey, tmp_path, *TWO, max_peers_per_room=1) as stand,
        light_members(stand, 2) as members,
    ):
        await all_hear(members)
        room = members[0].room
        found = await stand.stats(room)
        assert {peer.node for peer in found.peers} == set(TWO)
        assert {row.node for row in found.published_tracks} == set(TWO)
        assert {(link.node, link.peer_node) for link in found.links} == {TWO, TWO[::-1]}
        assert all(link.packets_in and link.packets_out for link in found.links)
        assert stand.events.count("track_published") == 2, "each is told of once"
        muted = found.published_tracks[0].track
        await members[0].call(
            "SetTrackMuted",
            media_pb2.SetTrackMutedRequest(
                participant=muted.participant, track_id=muted.id, muted=True
            ),
        )
        await until(lambda: stand.events.count("track_updated") == 1)
        leaver, stayer = members
        await stayer.call("RemovePeer", media_pb2.RemovePeerRequest(participant=leaver.name))
        await stayer.hears("track_unpublished")
        async with asyncio.timeout(60):
            while (await stand.stats(room)).links:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert set(await stand.places(room)) == {stayer.name}
        await stayer.call("CloseRoom", media_pb2.CloseRoomRequest(meeting=room))
        await until(lambda: stand.events.count("track_unpublished") == 2)
        assert stand.events.count("media_reset") == 0


async def test_a_room_that_ends_ends_at_all_workers(valkey: str, tmp_path: Path) -> None:
    async with (
        standing(valkey, tmp_path, *THREE, max_peers_per_room=1) as stand,
        light_members(stand, 3) as members,
    ):
        await all_hear(members)
        assert len(set((await stand.places(members[0].room)).values())) == 3
        await members[0].call("CloseRoom", media_pb2.CloseRoomRequest(meeting=members[0].room))
        await until(lambda: stand.events.count("track_unpublished") == 3)
        for stub in stand.stubs():
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetRoomStats(media_pb2.GetRoomStatsRequest(meeting=members[0].room))


async def test_a_host_mutes_people_at_all_workers_and_they_unmute_themselves(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO, max_peers_per_room=1) as stand,
        light_members(stand, 2) as members,
    ):
        await all_hear(members)
        room = members[0].room
        tracks = [row.track for row in (await stand.stats(room)).published_tracks]
        request = media_pb2.MuteTracksRequest(
            meeting=room,
            participants=[*(member.name for member in members), f"{room}/participants/gone"],
            sources={track.source for track in tracks},
        )
        assert (await members[0].call("MuteTracks", request)).muted_count == len(members)
        await until(lambda: stand.events.count("track_updated") == len(tracks))
        assert all(row.track.muted for row in (await stand.stats(room)).published_tracks)
        assert (await members[1].call("MuteTracks", request)).muted_count == 0
        for track in tracks:
            unmute = media_pb2.SetTrackMutedRequest(
                participant=track.participant, track_id=track.id, muted=False
            )
            await members[0].call("SetTrackMuted", unmute)
        await all_hear(members)
        assert stand.events.count("track_updated") == 2 * len(tracks)
        request.sources[:] = [signaling_pb2.TRACK_SOURCE_SCREEN]
        assert (await members[0].call("MuteTracks", request)).muted_count == 0


async def all_hear(members: list[LightMember]) -> None:
    for member in members:
        await member.hears_others(len(members) - 1)


@pytest.mark.parametrize("which", ["home", "branch"])
async def test_of_a_worker_that_is_killed_its_people_alone_begin_anew(
    valkey: str, tmp_path: Path, which: str
) -> None:
    async with (
        standing(valkey, tmp_path, *THREE, apart=True, max_peers_per_room=2) as stand,
        light_members(stand, 4) as members,
    ):
        await all_hear(members)
        room = members[0].room
        home = (await stand.stats(room)).node
        before = await stand.places(room)
        assert len(set(before.values())) > 1
        killed = next(node for node in before.values() if (node == home) == (which == "home"))
        stand.send(killed, signal.SIGKILL)
        lost = [member for member in members if before[member.name] == killed]
        others = [member for member in members if member not in lost]
        for member in lost:
            await member.hears("media_reset")
        await all_hear(members)
        for member in others:
            assert "media_reset" not in member.kinds
            assert len(member.ways) == 1
        after = await stand.places(room)
        assert killed not in after.values()
        assert {who: after[who] for who in after if before[who] != killed} == {
            member.name: before[member.name] for member in others
        }
        assert stand.events.count("media_reset") == len(lost)


async def test_a_worker_that_slept_gives_its_part_up_and_is_heard_no_more(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *THREE, apart=True, max_peers_per_room=2) as stand,
        light_members(stand, 4) as members,
    ):
        await all_hear(members)
        room = members[0].room
        home = (await stand.stats(room)).node
        before = await stand.places(room)
        sleeper = next(node for node in before.values() if node != home)
        stand.send(sleeper, signal.SIGSTOP)
        lost = [member for member in members if before[member.name] == sleeper]
        for member in lost:
            await member.hears("media_reset")
        await all_hear(members)
        stand.send(sleeper, signal.SIGCONT)
        async with asyncio.timeout(60):
            while sleeper not in await stand.nodes():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await all_hear(members)
        assert sleeper not in (await stand.places(room)).values()
        assert stand.events.count("media_reset") == len(lost)


@pytest.mark.parametrize("which", ["home", "branch"])
async def test_of_a_worker_that_is_drained_its_people_alone_move(
    valkey: str, tmp_path: Path, which: str
) -> None:
    async with (
        standing(valkey, tmp_path, *THREE, max_peers_per_room=2) as stand,
        light_members(stand, 4, Profile(bitrate_bps=300_000)) as members,
    ):
        await asyncio.gather(*(member.hears_others(6) for member in members))
        room = members[0].room
        home = (await stand.stats(room)).node
        places = await stand.places(room)
        before = {member.name: member.tracks() for member in members}
        drained = next(node for node in places.values() if (node == home) == (which == "home"))
        await drain(stand, drained)
        movers = [member for member in members if places[member.name] == drained]
        await until(lambda: all(member.has_moved for member in movers), 60)
        await until(lambda: stand.events.count("track_unpublished") == 2 * len(movers), 60)
        await asyncio.gather(*(member.hears_others(6) for member in members))
        for member in members:
            assert "media_reset" not in member.kinds
            assert ("media_moving" in member.kinds) == (member in movers)
            after = member.tracks()
            assert set(after) == set(before[member.name])
            for key, old in before[member.name].items():
                if after[key] is not old:
                    goes_on(members, old, after[key])
        now = await stand.places(room)
        assert set(now) == set(places)
        assert drained not in now.values()
    for figures in itertools.chain(*(member.figures for member in members)):
        assert figures.corrupt == figures.lost == figures.silent == 0


async def test_without_another_worker_a_full_room_refuses(valkey: str, tmp_path: Path) -> None:
    async with (
        standing(valkey, tmp_path, "media-0", max_peers_per_room=1) as stand,
        stand.members(1) as (member,),
    ):
        stranger = f"{member.room}/participants/{uuid.uuid4()}"
        request = media_pb2.StartPeerRequest(participant=stranger, grants=ALL)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await member.call("StartPeer", request)
        assert channels.reason(refused.value) == "ROOM_FULL"
        await stand.start("media-1", max_peers_per_room=1)
        await member.call("StartPeer", request)
        assert set((await stand.places(member.room)).values()) == set(TWO)


@asynccontextmanager
async def stranger(redis: Redis, **fields: str | float) -> AsyncIterator[str]:
    """Have a worker that is in Redis alone, with `fields` as a beat writes them: all that is asked of it is unknown to it.

    Gives what a room has for a holder that is at this one.
    """
    server = grpc.aio.server()
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    known: dict[str, str | float] = {"address": f"127.0.0.1:{number}", "incarnation": "1"}
    known |= {"stress": 0, "rooms": 0, "peers": 0, "started": 0} | fields
    try:
        for field, value in known.items():
            await redis.hset("{media}:node:stranger", field, str(value))
        await redis.sadd("{media}:nodes", "stranger")
        yield "stranger|1"
    finally:
        await redis.delete("{media}:node:stranger")
        await server.stop(None)


async def test_while_another_worker_is_too_busy_a_full_room_asks_for_patience(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        bus.connected(valkey) as redis,
        standing(valkey, tmp_path, "media-0", max_peers_per_room=1) as stand,
        stand.members(1) as (member,),
    ):
        request = stand.start_peer(f"{member.room}/participants/{uuid.uuid4()}")
        async with stranger(redis, relays=1, stress=0.95):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await member.call("StartPeer", request)
        assert channels.reason(refused.value) == "NODE_FULL"
        assert retry_ms(refused.value) > 0
        people = f"{{media}}:people:{member.room}"
        await redis.hset(people, request.participant, "gone")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await member.call("StartPeer", request)
        assert channels.reason(refused.value) == "ROOM_FULL", "nobody else takes any of it"
        assert await redis.hget(people, request.participant) == b"gone", (
            "they are owed a place still"
        )


def retry_ms(error: grpc.aio.AioRpcError) -> int:
    status, retry = channels.status(error), RetryInfo()
    assert status is not None
    assert any(detail.Unpack(retry) for detail in status.details)
    return int(retry.retry_delay.ToMilliseconds())


@asynccontextmanager
async def apart(
    valkey: str, tmp_path: Path
) -> AsyncIterator[tuple[Redis, Stand, list[LightMember]]]:
    """Have two people of one room at a worker each, hearing each other."""
    async with (
        bus.connected(valkey) as redis,
        standing(valkey, tmp_path, *TWO, max_peers_per_room=1) as stand,
        light_members(stand, 2) as members,
    ):
        await all_hear(members)
        yield redis, stand, members


async def test_beside_an_older_worker_a_full_room_refuses_and_spreads_when_that_is_gone(
    valkey: str, tmp_path: Path
) -> None:
    async with apart(valkey, tmp_path) as (redis, stand, members):
        async with stranger(redis, draining=1), stand.members(1) as (alone,):
            request = stand.start_peer(f"{alone.room}/participants/{uuid.uuid4()}")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await alone.call("StartPeer", request)
            assert channels.reason(refused.value) == "NODE_FULL", "it is for a moment"
            await all_hear(members)
        await alone.call("StartPeer", request)
        assert set((await stand.places(alone.room)).values()) == set(TWO)
        await all_hear(members)
        assert stand.events.count("media_reset") == 0


async def test_a_room_that_an_older_worker_takes_for_lost_stays_one_or_begins_anew(
    valkey: str, tmp_path: Path
) -> None:
    async with apart(valkey, tmp_path) as (redis, stand, members):
        room = members[0].room
        key = f"{{media}}:room:{room}"
        await redis.delete(key)
        await until_shared(redis, key)
        await all_hear(members)
        assert set((await stand.places(room)).values()) == set(TWO)
        assert stand.events.count("media_reset") == 0
        async with stranger(redis, draining=1) as incarnation:
            for member in members:
                member.ignores.add("media_reset")
            await redis.delete(key)
            await redis.hset(key, "holder", incarnation)
            for member in members:
                await member.hears("media_reset")


async def until_shared(redis: Redis, key: str) -> None:
    async with asyncio.timeout(60):
        while await redis.hlen(key) < 2:  # noqa: ASYNC110  # a holder and a branch
            await asyncio.sleep(0.05)
