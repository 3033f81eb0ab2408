"""Programs in a call through the whole stack: native gRPC by the gateway's one port, media with aiortc."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from aiortc.mediastreams import MediaStreamError
from parley.meeting.v1 import (
    meeting_pb2,
    meeting_pb2_grpc,
    schedule_pb2,
    schedule_pb2_grpc,
    settings_pb2,
    settings_pb2_grpc,
)
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from parley.user.v1 import user_pb2, user_pb2_grpc

from tests.rtc import RtcClient, on_loopback
from tests.running_stack import RunningStack

PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5


class Caller:
    """A program that signs up, joins a meeting and publishes; `heard` are the kinds of all messages.

    When it is told to it builds its media path anew, or a second one beside the first; `rtc` is the newest.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.rtc = RtcClient()
        self._asked: set[str] = set()
        self.older: list[RtcClient] = []
        self.rebuilds = True
        self.heard: list[str] = []
        self.sequences: list[int] = []
        self.track_ids: dict[str, str] = {}
        self.muted: dict[str, bool] = {}
        self._channel = channel
        self._token = ""
        self._stream: Any = None
        self._writing = asyncio.Lock()  # a stream takes one message at a time
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

    async def set_up(self, meeting: str, **settings: Any) -> None:
        """Change a meeting's settings."""
        changed = settings_pb2.Settings(name=f"{meeting}/settings", **settings)
        stub: Any = settings_pb2_grpc.SettingsServiceStub(self._channel)
        request = settings_pb2.UpdateSettingsRequest(settings=changed)
        await stub.UpdateSettings(request, metadata=self.credentials)

    async def schedule_meeting(self, recurrence: str) -> str:
        """Plan a meeting that recurs from now on."""
        schedule = schedule_pb2.Schedule(recurrence=recurrence)
        schedule.start_time.GetCurrentTime()
        schedule.start_time.nanos = 0
        request = schedule_pb2.ScheduleMeetingRequest(
            meeting=meeting_pb2.Meeting(title="By stub"), schedule=schedule
        )
        stub: Any = schedule_pb2_grpc.ScheduleServiceStub(self._channel)
        return str((await stub.ScheduleMeeting(request, metadata=self.credentials)).meeting.name)

    async def join(self, meeting: str) -> None:
        request = meeting_pb2.JoinMeetingRequest(name=meeting)
        admission = await self.meetings.JoinMeeting(request, metadata=self.credentials)
        self._stream = signaling_pb2_grpc.SignalingServiceStub(self._channel).Connect()
        await self.say(join=signaling_pb2.Join(ticket=admission.ticket))
        self._listening = asyncio.create_task(self._listen())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._joined.wait()
        await self.start_media()

    async def start_media(self) -> None:
        self._asked = {await self.say(start_media=signaling_pb2.StartMedia())}
        offer = await self.rtc.offer()
        self._asked.add(await self.say(publish_offer=signaling_pb2.PublishOffer(sdp=offer)))

    async def say(self, **message: Any) -> str:
        mark = secrets.token_hex(4)
        async with self._writing:
            await self._stream.write(ClientMessage(id=mark, **message))
        return mark

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
                self.muted = {
                    self.rtc.mids[track.mid]: track.muted for track in said.publish_answer.tracks
                }
                await self.rtc.answered(said.publish_answer.sdp)
            case "subscribe_offer":
                answer = signaling_pb2.SubscribeAnswer(
                    sdp=await self.rtc.answer(said.subscribe_offer.sdp),
                    revision=said.subscribe_offer.revision,
                )
                await self.say(subscribe_answer=answer)
            case "media_moving" | "media_reset" if self.rebuilds:
                await self.rebuild()
            case "refused" if self.rebuilds and said.reply_to in self._asked:
                self._asked = set()
                await asyncio.sleep(RETRY_SECONDS)  # no node is there just now
                await self.rebuild()

    async def rebuild(self) -> None:
        """Build the media path anew."""
        self.older.append(self.rtc)
        self.rtc = RtcClient()
        await self.start_media()

    async def hears(self, kind: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while kind not in self.heard:  # noqa: ASYNC110  # what is waited for is a list that grows
                await asyncio.sleep(0.02)

    async def sounds(self) -> None:
        """Wait until sound comes by the newest path."""
        while True:
            rtc = self.rtc
            try:
                await rtc.frame("audio")
            except (TimeoutError, MediaStreamError):
                if rtc is self.rtc:
                    raise
            if rtc is self.rtc:
                return

    async def close(self) -> None:
        was_listening = self._listening is None or self._listening.cancel()
        if self._stream is not None:
            self._stream.cancel()
        for rtc in (*self.older, self.rtc):
            await rtc.close()
        if self._listening is not None and not was_listening:
            self._listening.result()  # what broke it tells why the test waited in vain


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


async def in_a_call(ann: Caller, bob: Caller) -> None:
    """Have two people sign up, and hear each other in a meeting."""
    for caller in (ann, bob):
        await caller.sign_up()
    meeting = await ann.create_meeting()
    for caller in (ann, bob):
        await caller.join(meeting)
    for caller in (ann, bob):
        await caller.sounds()


__all__ = ["Caller", "callers", "in_a_call"]
