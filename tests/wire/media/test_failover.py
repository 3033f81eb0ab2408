"""Workers that die, sleep or are sent away, as processes of their own: their rooms go on elsewhere, and nowhere twice."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from parley.media.v1 import media_pb2, node_pb2

from chassis import channels
from loadtest.media.uplink import Profile
from tests.media_light import goes_on, light_members
from tests.media_room import until
from tests.media_stand import ALL, Stand, gap, standing
from tests.user_keys import credentials

pytestmark = pytest.mark.usefixtures("patient_receivers")

TWO = ("media-0", "media-1")


async def test_a_killed_workers_room_goes_on_at_another(valkey: str, tmp_path: Path) -> None:
    async with (
        standing(valkey, tmp_path, *TWO, apart=True) as stand,
        stand.members(2) as members,
    ):
        for member in members:
            await member.sees()
        killed = await stand.holder(members[0].room)
        killed_at = time.monotonic()
        stand.send(killed, signal.SIGKILL)
        for member in members:
            await member.hears("media_reset")
            await member.sees()
        last = max(member.path.frames[0] for member in members)
        print(f"sound again for everyone {last - killed_at:.2f} s after kill -9")
        assert await stand.holder(members[0].room) not in ("", killed)
        assert stand.events.count("media_reset") == 1


async def test_a_worker_that_slept_gives_its_room_up_and_sends_nothing_more(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO, apart=True) as stand,
        stand.members(2) as members,
    ):
        for member in members:
            member.lets_go = False
            await member.sees()
        sleeper, old = await stand.holder(members[0].room), [member.path for member in members]
        stand.send(sleeper, signal.SIGSTOP)
        for member in members:
            await member.hears("media_reset")
            await member.sees()
        seen, said = [len(path.frames) for path in old], len(stand.events.said)
        stand.send(sleeper, signal.SIGCONT)
        await until(
            lambda: all(path.rtc.subscriber.connectionState == "closed" for path in old), 60
        )
        for member in members:
            await member.sees(15)
        assert [len(path.frames) for path in old] == seen
        assert len(stand.events.said) == said, "it speaks no more for the room"
        assert await stand.holder(members[0].room) not in ("", sleeper)
        assert sleeper in await stand.nodes()


async def test_a_worker_that_slept_alone_goes_on_with_its_rooms(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, "media-0", apart=True) as stand,
        stand.members(2) as members,
    ):
        for member in members:
            await member.sees()
        stand.send("media-0", signal.SIGSTOP)
        await asyncio.sleep(2.0)
        stand.send("media-0", signal.SIGCONT)
        for member in members:
            await member.sees(15)
        assert stand.events.count("media_reset") == 0


async def drain(stand: Stand, node: str, role: str = "admin") -> node_pb2.Node:
    request = node_pb2.DrainNodeRequest(name=f"nodes/{node}")
    answer: node_pb2.Node = await stand.node_stubs()[0].DrainNode(
        request, metadata=credentials(stand.key, role)
    )
    return answer


async def test_a_drained_workers_room_moves_without_a_gap(valkey: str, tmp_path: Path) -> None:
    async with (
        standing(valkey, tmp_path, *TWO) as stand,
        stand.members(2) as members,
    ):
        for member in members:
            await member.sees()
        first, old = await stand.holder(members[0].room), [member.path for member in members]
        began = time.monotonic()
        assert (await drain(stand, first)).state == node_pb2.NODE_STATE_DRAINING
        for member in members:
            await member.hears("media_moving")
        await until(
            lambda: all(path.rtc.subscriber.connectionState == "closed" for path in old), 60
        )
        for member, path in zip(members, old, strict=True):
            await member.sees()
            assert member.path.frames[0] < path.frames[-1], "the second path is there before"
            frames = [*path.frames, *member.path.frames]
            print(f"longest time without sound while moving: {1000 * gap(frames, began):.0f} ms")
        assert await stand.holder(members[0].room) not in ("", first)
        assert stand.events.count("media_reset") == 0
        assert (await drain(stand, first)).state == node_pb2.NODE_STATE_DRAINING, "repeatable"
        await until(lambda: stand.events.count("track_unpublished") == 2, 60)


async def test_pictures_go_on_whole_while_a_drained_workers_room_moves(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO) as stand,
        light_members(stand, 3, Profile(bitrate_bps=300_000)) as members,
    ):
        await asyncio.gather(*(member.hears_others(4) for member in members))
        before = {member.name: member.tracks() for member in members}
        await drain(stand, await stand.holder(members[0].room))
        await until(lambda: all(member.has_moved for member in members), 60)
        await asyncio.gather(*(member.hears_others(4) for member in members))
        for member in members:
            after = member.tracks()
            assert set(after) == set(before[member.name])
            assert len(after) == 4
            for key, old in before[member.name].items():
                goes_on(members, old, after[key])
        assert stand.events.count("media_reset") == 0
    for figures in itertools.chain(*(member.figures for member in members)):
        assert figures.corrupt == figures.lost == figures.silent == 0


async def test_who_does_not_move_is_told_at_the_end_of_the_notice_and_nobody_else(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO) as stand,
        stand.members(2) as (mover, old_timer),
    ):
        old_timer.ignores.add("media_moving")
        for member in (mover, old_timer):
            await member.sees()
        await stand.stop(await stand.holder(mover.room))
        await old_timer.hears("media_reset")
        for member in (mover, old_timer):
            await member.sees()
        assert "media_reset" not in mover.kinds


async def test_who_is_removed_while_the_room_moves_is_gone_from_both_workers(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO) as stand,
        stand.members(2) as (leaver, stayer),
    ):
        stayer.ignores.add("media_moving")
        leaver.ignores.add("media_moving")
        await stayer.sees()
        await drain(stand, await stand.holder(stayer.room))
        await leaver.hears("media_moving")
        await stayer.call("RemovePeer", media_pb2.RemovePeerRequest(participant=leaver.name))
        await stayer.hears("track_unpublished")
        gone = [
            event.message.track_unpublished.participant
            for event in stand.events.said
            if event.message.HasField("track_unpublished")
        ]
        assert gone == [leaver.name]
        assert stand.events.count("media_reset") == 0, "the notice is not over"


async def test_who_mutes_while_the_room_moves_is_muted_on_the_old_path(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, *TWO) as stand,
        stand.members(2) as (speaker, other),
    ):
        for member in (speaker, other):
            member.ignores.add("media_moving")
            await member.sees()
        await drain(stand, await stand.holder(other.room))
        await other.hears("media_moving")
        published = next(
            event.message.track_published.track
            for event in stand.events.said
            if event.message.track_published.track.participant == speaker.name
        )
        await speaker.call(
            "SetTrackMuted",
            media_pb2.SetTrackMutedRequest(
                participant=speaker.name, track_id=published.id, muted=True
            ),
        )


async def test_the_last_worker_is_not_drained_by_an_admin(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, "media-0") as stand, stand.members(1):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await drain(stand, "media-0")
        assert channels.reason(refused.value) == "LAST_NODE"
        assert (await stand.nodes())["media-0"].state == node_pb2.NODE_STATE_ACTIVE
        await stand.stop("media-0")
        assert stand.events.count("media_reset") == 1


async def test_nodes_are_listed_in_pages_for_admins_alone(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, *TWO) as stand, stand.members(1) as (member,):
        stub, metadata = stand.node_stubs()[0], credentials(stand.key, "admin")
        holder = await stand.holder(member.room)
        async with asyncio.timeout(20):
            while (await stand.nodes())[holder].peer_count != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        request = node_pb2.ListNodesRequest(page_size=1)
        first = await stub.ListNodes(request, metadata=metadata)
        request.page_token = first.next_page_token
        rest = await stub.ListNodes(request, metadata=metadata)
        assert [n.name for n in (*first.nodes, *rest.nodes)] == ["nodes/media-0", "nodes/media-1"]
        assert not rest.next_page_token
        for attempt, reason in (
            (drain(stand, "media-9"), "NODE_NOT_FOUND"),
            (drain(stand, "media-0", "user"), "PERMISSION_DENIED"),
            (stub.ListNodes(request, metadata=credentials(stand.key)), "PERMISSION_DENIED"),
            (stub.ListNodes(request), "UNAUTHENTICATED"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await attempt
            assert channels.reason(refused.value) == reason


async def test_a_full_worker_lets_back_in_who_was_in_and_refuses_others(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path, "media-0", apart=True, max_peers=2) as stand,
        stand.members(2) as members,
    ):
        for member in members:
            await member.sees()
        stranger = members[0].name[:-4] + "0000"
        request = media_pb2.StartPeerRequest(participant=stranger, grants=ALL)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await members[0].call("StartPeer", request)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channels.reason(refused.value) == "NODE_FULL"
        status, retry = channels.status(refused.value), RetryInfo()
        assert status is not None
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.seconds > 0
        await members[0].start()
        for member in members:
            await member.sees()
        stand.send("media-0", signal.SIGKILL)
        await stand.processes["media-0"].wait()
        await stand.start("media-0", apart=True, max_peers=1)
        for member in members:
            await member.hears("media_reset")
            await member.sees()
