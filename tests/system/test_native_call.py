"""Two programs in a call: native gRPC through the gateway's one port, media with aiortc through one UDP port."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from parley.user.v1 import user_pb2, user_pb2_grpc

from tests.rtc import RtcClient, on_loopback
from tests.running_stack import RunningStack

PATIENCE_SECONDS = 60.0


class Caller:
    """A program that signs up, joins a meeting and publishes; `heard` are the kinds of all messages."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.rtc = RtcClient()
        self.heard: list[str] = []
        self.sequences: list[int] = []
        self.track_ids: dict[str, str] = {}
        self._channel = channel
        self._token = ""
        self._stream: Any = None
        self._listening: asyncio.Task[None] | None = None
        self._joined = asyncio.Event()

    @property
    def meetings(self) -> Any:
        return meeting_pb2_grpc.MeetingServiceStub(self._channel)

    @property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),)

    async def sign_up(self) -> None:
        name = f"caller-{secrets.token_hex(4)}"
        request = user_pb2.RegisterRequest(
            username=name, email=f"{name}@example.org", password="correct horse"
        )
        answer = await user_pb2_grpc.AuthServiceStub(self._channel).Register(request)
        self._token = answer.access_token

    async def create_meeting(self) -> str:
        request = meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="By stub"))
        return str((await self.meetings.CreateMeeting(request, metadata=self.credentials)).name)

    async def join(self, meeting: str) -> None:
        request = meeting_pb2.JoinMeetingRequest(name=meeting)
        admission = await self.meetings.JoinMeeting(request, metadata=self.credentials)
        self._stream = signaling_pb2_grpc.SignalingServiceStub(self._channel).Connect()
        await self.say(join=signaling_pb2.Join(ticket=admission.ticket))
        self._listening = asyncio.create_task(self._listen())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._joined.wait()
        await self.say(start_media=signaling_pb2.StartMedia())
        offer = await self.rtc.offer()
        await self.say(publish_offer=signaling_pb2.PublishOffer(sdp=offer))

    async def say(self, **message: Any) -> None:
        await self._stream.write(ClientMessage(id=secrets.token_hex(4), **message))

    async def _listen(self) -> None:
        while (said := await self._stream.read()) is not grpc.aio.EOF:
            self.heard.append(str(said.WhichOneof("message")))
            self.sequences.append(said.sequence)
            await self._understand(said)

    async def _understand(self, said: ServerMessage) -> None:
        match said.WhichOneof("message"):
            case "joined":
                self._joined.set()
            case "publish_answer":
                self.track_ids = {
                    self.rtc.mids[track.mid]: track.track_id for track in said.publish_answer.tracks
                }
                await self.rtc.answered(said.publish_answer.sdp)
            case "subscribe_offer":
                answer = signaling_pb2.SubscribeAnswer(
                    sdp=await self.rtc.answer(said.subscribe_offer.sdp),
                    revision=said.subscribe_offer.revision,
                )
                await self.say(subscribe_answer=answer)

    async def hears(self, kind: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while kind not in self.heard:  # noqa: ASYNC110  # what is waited for is a list that grows
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        if self._stream is not None:
            self._stream.cancel()
        await self.rtc.close()


@asynccontextmanager
async def callers(stack: RunningStack) -> AsyncIterator[tuple[Caller, Caller]]:
    async with grpc.aio.insecure_channel(stack.grpc_target) as channel:
        ann, bob = Caller(channel), Caller(channel)
        try:
            with on_loopback():
                yield ann, bob
        finally:
            await ann.close()
            await bob.close()


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


async def test_a_killed_media_worker_is_replaced_and_clients_are_told(stack: RunningStack) -> None:
    async with callers(stack) as (ann, _):
        await ann.sign_up()
        await ann.join(await ann.create_meeting())
        await ann.hears("publish_answer")
        killed = {worker.name: stack.kill(worker.name) for worker in stack.layout.media_workers}
        await ann.hears("media_reset")
        for name, pid in killed.items():
            stack.wait_until_back(name, pid)
        ann.heard.clear()
        await ann.say(start_media=signaling_pb2.StartMedia())
        await ann.hears("accepted")


async def test_a_ticket_that_is_none_is_refused(stack: RunningStack) -> None:
    async with grpc.aio.insecure_channel(stack.grpc_target) as channel:
        stream = signaling_pb2_grpc.SignalingServiceStub(channel).Connect()
        await stream.write(ClientMessage(join=signaling_pb2.Join(ticket="made up")))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
