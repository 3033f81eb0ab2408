"""Seats on a running Parley, through its real API: an account, meetings, tickets, and signaling by native gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import grpc
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from parley.user.v1 import user_pb2, user_pb2_grpc

from loadtest.media.participant import Participant

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels to one address share a connection
    ("grpc.enable_http_proxy", 0),
)
SEATS_PER_CHANNEL = 40
CALL_SECONDS = 30.0
JOIN_SECONDS = 30.0


class JoinFailed(Exception):
    """A participant could not be seated; the text says why."""


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to a gateway at `http://host[:port]`, or `https://`."""
    parts = urlsplit(url)
    target = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if parts.scheme == "https":
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), OPTIONS)
    else:
        channel = grpc.aio.insecure_channel(target, OPTIONS)
    async with channel:
        yield channel


async def sign_up(channel: grpc.aio.Channel) -> str:
    """Register an account that nobody needs afterwards; returns its access token, good for 15 minutes."""
    name = f"load-{secrets.token_hex(6)}"
    request = user_pb2.RegisterRequest(
        username=name, email=f"{name}@example.org", password=secrets.token_urlsafe(18)
    )
    stub = user_pb2_grpc.AuthServiceStub(channel)
    return str((await stub.Register(request, timeout=CALL_SECONDS)).access_token)


async def create_meetings(
    channel: grpc.aio.Channel, token: str, count: int, capacity: int
) -> list[str]:
    """Make meetings in which nobody listens for voices."""
    stub = meeting_pb2_grpc.MeetingServiceStub(channel)
    meetings = []
    for number in range(count):
        wanted = meeting_pb2.Meeting(
            title=f"Load {number + 1}", capacity=max(capacity, 2), voice_activity=False
        )
        request = meeting_pb2.CreateMeetingRequest(meeting=wanted)
        made = await stub.CreateMeeting(request, metadata=_bearer(token), timeout=CALL_SECONDS)
        meetings.append(str(made.name))
    return meetings


async def end_meetings(channel: grpc.aio.Channel, token: str, meetings: Sequence[str]) -> None:
    """End them, as far as that goes."""
    stub = meeting_pb2_grpc.MeetingServiceStub(channel)
    for name in meetings:
        with contextlib.suppress(grpc.aio.AioRpcError):
            request = meeting_pb2.EndMeetingRequest(name=name)
            await stub.EndMeeting(request, metadata=_bearer(token), timeout=CALL_SECONDS)


class Seat:
    """One participant's conversation with the server; `on_lost` is told when it breaks off before `leave`."""

    def __init__(
        self, channel: grpc.aio.Channel, client: Participant, on_lost: Callable[[str], None]
    ) -> None:
        self._channel = channel
        self._client = client
        self._on_lost = on_lost
        self._stream: Any = None
        self._answers: dict[str, asyncio.Future[ServerMessage]] = {}
        self._track_ids: dict[str, str] = {}
        self._listening: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._turn = asyncio.Lock()

    async def join(self, meeting: str, token: str) -> None:
        """Take the seat, up to where media is connected. Raises JoinFailed, ConnectionFailed."""
        self._client.begin()
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._join(meeting, token)
        except grpc.aio.AioRpcError as error:
            raise JoinFailed(f"{error.code().name}: {error.details()}") from None
        except TimeoutError:
            raise JoinFailed("no answer in time") from None

    async def leave(self) -> None:
        """Leave, and wait for the end of the conversation."""
        self._is_leaving = True
        self._client.close()
        if self._listening is None:
            return
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._say(leave=signaling_pb2.Leave())
        await asyncio.wait([self._listening], timeout=2)
        self._listening.cancel()
        await asyncio.wait([self._listening])
        self._stream.cancel()

    async def _join(self, meeting: str, token: str) -> None:
        request = meeting_pb2.JoinMeetingRequest(name=meeting)
        stub = meeting_pb2_grpc.MeetingServiceStub(self._channel)
        admission = await stub.JoinMeeting(request, metadata=_bearer(token))
        self._stream = signaling_pb2_grpc.SignalingServiceStub(self._channel).Connect()
        self._listening = asyncio.create_task(self._listen())
        await self._ask(join=signaling_pb2.Join(ticket=admission.ticket))
        await self._ask(start_media=signaling_pb2.StartMedia())
        if (uplink := self._client.uplink) is not None:
            tracks = [signaling_pb2.TrackDescription(mid=mid) for mid in uplink.mids]
            offer = signaling_pb2.PublishOffer(sdp=uplink.offer(), tracks=tracks)
            answer = (await self._ask(publish_offer=offer)).publish_answer
            self._track_ids = {track.track_id: track.mid for track in answer.tracks}
            uplink.answered(answer.sdp)
        await self._client.connected()

    async def _say(self, mark: str = "", **message: Any) -> None:
        async with self._turn:  # a stream takes one message at a time
            await self._stream.write(ClientMessage(id=mark or secrets.token_hex(6), **message))

    async def _ask(self, **message: Any) -> ServerMessage:
        """Say something, and wait for what answers it. Raises JoinFailed when it is refused."""
        mark = secrets.token_hex(6)
        answer = self._answers[mark] = asyncio.get_running_loop().create_future()
        try:
            await self._say(mark, **message)
            said: ServerMessage = await answer
        finally:
            del self._answers[mark]
        if said.WhichOneof("message") == "refused":
            raise JoinFailed(said.refused.status.message)
        return said

    async def _listen(self) -> None:
        try:
            while (said := await self._stream.read()) is not grpc.aio.EOF:
                await self._understand(said)
            reason = "the server ended the conversation"
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name}: {error.details()}"
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(JoinFailed(reason))
        if not self._is_leaving:
            self._on_lost(reason)

    async def _understand(self, said: ServerMessage) -> None:
        if (answer := self._answers.get(said.reply_to)) is not None and not answer.done():
            answer.set_result(said)
        match said.WhichOneof("message"):
            case "subscribe_offer" if self._client.downlink is not None:
                offer = said.subscribe_offer
                text = self._client.downlink.answer(offer.sdp)
                await self._say(
                    subscribe_answer=signaling_pb2.SubscribeAnswer(
                        sdp=text, revision=offer.revision
                    )
                )
            case "layers_wanted" if self._client.uplink is not None:
                if said.layers_wanted.track_id in self._track_ids:
                    self._client.uplink.want(list(said.layers_wanted.rids))
            case "pong" if not said.reply_to:
                await self._say(ping=signaling_pb2.Ping())
            case "media_reset":
                self._on_lost("the server lost the media path")


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


__all__ = [
    "SEATS_PER_CHANNEL",
    "JoinFailed",
    "Seat",
    "create_meetings",
    "end_meetings",
    "reached",
    "sign_up",
]
