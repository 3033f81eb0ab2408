"""Two programs in a call: native gRPC through the gateway's one port, media with aiortc through one UDP port."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage

from tests.callers import callers
from tests.running_stack import RunningStack


async def test_two_programs_see_and_hear_each_other(stack: RunningStack) -> None:
    async with callers(stack) as (ann, bob):
        await ann.sign_up()
        await bob.sign_up()
        meeting = await ann.create_meeting()
        await ann.join(meeting)
        await bob.join(meeting)
        for caller in (ann, bob):
            for _ in range(3):
                assert (await caller.rtc.frame("video")).width > 0
                assert (await caller.rtc.frame("audio")).samples > 0
        mute = signaling_pb2.SetTrackMuted(track_id=ann.track_ids["audio"], muted=True)
        await ann.say(set_track_muted=mute)
        await bob.hears("track_updated")
        await ann.say(leave=signaling_pb2.Leave())
        await bob.hears("participant_left")
        for caller in (ann, bob):
            assert caller.sequences == sorted(set(caller.sequences))


async def test_who_comes_in_begins_muted_and_is_heard_once_they_unmute(stack: RunningStack) -> None:
    async with callers(stack) as (ann, bob):
        await ann.sign_up()
        await bob.sign_up()
        meeting = await ann.create_meeting()
        await ann.set_up(meeting, mute_on_entry=True)
        await ann.join(meeting)
        await bob.join(meeting)
        await bob.hears("publish_answer")
        assert ann.muted == {"audio": False, "video": False}
        assert bob.muted == {"audio": True, "video": False}
        assert (await ann.rtc.frame("video")).width > 0
        unmute = signaling_pb2.SetTrackMuted(track_id=bob.track_ids["audio"], muted=False)
        await bob.say(set_track_muted=unmute)
        assert (await ann.rtc.frame("audio")).samples > 0
        bob.heard.clear()
        await bob.rebuild()  # a path that is built anew is not muted again
        await bob.hears("publish_answer")
        assert bob.muted == {"audio": False, "video": False}


async def test_a_meeting_that_recurs_is_held_again_after_its_end(stack: RunningStack) -> None:
    async with callers(stack) as (ann, bob), callers(stack) as (carol, dave):
        for caller in (ann, bob, carol, dave):
            await caller.sign_up()
        meeting = await ann.schedule_meeting("FREQ=DAILY")
        for caller in (ann, bob):
            await caller.join(meeting)
        for caller in (ann, bob):
            await caller.rtc.frame("video")
        end = meeting_pb2.EndMeetingRequest(name=meeting)
        ended = await ann.meetings.EndMeeting(end, metadata=ann.credentials)
        assert ended.state == meeting_pb2.MEETING_STATE_SCHEDULED
        for caller in (ann, bob):
            await caller.hears("meeting_ended")
        for caller in (carol, dave):
            await caller.join(meeting)
        for caller in (carol, dave):
            assert (await caller.rtc.frame("video")).width > 0
            assert (await caller.rtc.frame("audio")).samples > 0


async def test_a_killed_media_worker_is_replaced_and_clients_are_told(stack: RunningStack) -> None:
    async with callers(stack) as (ann, _):
        await ann.sign_up()
        ann.rebuilds = False
        await ann.join(await ann.create_meeting())
        await ann.hears("publish_answer")
        killed = {worker.name: stack.kill(worker.name) for worker in stack.layout.media_workers}
        await ann.hears("media_reset")
        for name, pid in killed.items():
            stack.wait_until_back(name, pid)
        ann.heard.clear()
        async with asyncio.timeout(60):
            while (
                "accepted" not in ann.heard
            ):  # refused, with RetryInfo, until a node has its lease again
                await ann.say(start_media=signaling_pb2.StartMedia())
                await asyncio.sleep(0.5)


async def test_a_ticket_that_is_none_is_refused(stack: RunningStack) -> None:
    async with grpc.aio.insecure_channel(stack.grpc_target) as channel:
        stream = signaling_pb2_grpc.SignalingServiceStub(channel).Connect()
        await stream.write(ClientMessage(join=signaling_pb2.Join(ticket="made up")))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
