"""A server for the SDK's tests that misbehaves as it is told: real gRPC, no Parley behind it."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.client import ApiKey, Parley, Retries
from parley.media.v1 import library_pb2, library_pb2_grpc
from parley.meeting.v1 import (
    chat_pb2_grpc,
    meeting_pb2,
    meeting_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from parley.user.v1 import api_key_pb2, api_key_pb2_grpc, user_pb2, user_pb2_grpc

from chassis.errors import (
    DomainError,
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
    trailers,
)

MEETING = "meetings/abc-defg-hij"
ME = f"{MEETING}/participants/{uuid.UUID(int=1)}"
QUICK = Retries(first_delay=0.01, longest_delay=1.0)

Script = Callable[["Line"], Any]
"""What the server does on one connection of signaling."""


class TokenExpired(Unauthenticated):
    """The access token has expired. Renew it."""

    reason = "TOKEN_EXPIRED"


class SessionExpired(Unauthenticated):
    """The session is over. Sign in again."""

    reason = "SESSION_EXPIRED"


class StateLost(Unavailable):
    """What the server knew is gone. Join again."""

    reason = "STATE_LOST"

    def __init__(self) -> None:
        super().__init__(retry_after=None)


class Line:
    """A connection: what the client has said, and how to answer."""

    def __init__(self, said: AsyncIterator[ClientMessage], context: Any) -> None:
        self._said = said
        self._context = context
        self.opening = ClientMessage()
        self.answers_pings = True
        self.pings = 0

    async def next(self) -> ClientMessage:
        """Wait for what the client says, and answer it if it is a ping."""
        message = await anext(self._said)
        if message.HasField("ping"):
            self.pings += 1
            if self.answers_pings:
                await self.say(0, message.id, pong=signaling_pb2.Pong())
        return message

    async def heard(self) -> ClientMessage:
        """Wait for what the client says that is no ping."""
        while (message := await self.next()).HasField("ping"):
            pass
        return message

    async def say(self, sequence: int, reply_to: str = "", **message: Any) -> None:
        await self._context.write(ServerMessage(sequence=sequence, reply_to=reply_to, **message))

    async def joined(self, sequence: int, token: str = "session") -> None:
        me = meeting_pb2.Participant(name=ME, display_name="Bot")
        joined = signaling_pb2.Joined(session_token=token, participant=me, participants=[me])
        await self.say(sequence, self.opening.id, joined=joined)

    async def resumed(self, sequence: int) -> None:
        await self.say(sequence, self.opening.id, resumed=signaling_pb2.Resumed())

    async def reaction(self, sequence: int) -> None:
        await self.say(sequence, reaction=signaling_pb2.Reaction(emoji=str(sequence)))

    async def fail(self, error: DomainError) -> None:
        await fail(self._context, error)


class Server:
    """Counts what is called; `failures` of a method are raised first, in order; `good` tokens are let in."""

    def __init__(self) -> None:
        self.called: Counter[str] = Counter()
        self.failures: dict[str, deque[DomainError]] = {}
        self.good: set[str] = set()
        self.lifetime = 3600
        self.request_ids: list[str] = []
        self.made: dict[str, meeting_pb2.Meeting] = {}
        self.lines: deque[Script] = deque()
        self.visits: deque[meeting_pb2.ParticipantState.ValueType | None] = deque()
        """How waiting in the lobby ends, each time that it is begun; None: it breaks off. None of them: there is no lobby."""
        self.openings: list[ClientMessage] = []
        self.written: list[str] = []
        self.gate: asyncio.Event | None = None
        self._numbers = itertools.count(1)

    def token(self) -> str:
        token = f"token-{next(self._numbers)}"
        self.good.add(token)
        return token

    async def enter(self, method: str, context: Any, public: bool = False) -> None:
        self.called[method] += 1
        if waiting := self.failures.get(method):
            await fail(context, waiting.popleft())
        if public:
            return
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization", "").removeprefix("Bearer ") not in self.good:
            await fail(context, TokenExpired())


async def fail(context: Any, error: DomainError) -> None:
    await context.abort(error.code, str(error), trailers(error))


class _Auth(user_pb2_grpc.AuthServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def Login(self, request: Any, context: Any) -> Any:
        await self._server.enter("Login", context, public=True)
        return user_pb2.LoginResponse(
            access_token=self._server.token(),
            refresh_token="refresh-1",
            expires_in=self._server.lifetime,
        )

    async def Refresh(self, request: Any, context: Any) -> Any:
        await self._server.enter("Refresh", context, public=True)
        self._server.request_ids.append(request.request_id)
        return user_pb2.RefreshResponse(
            access_token=self._server.token(),
            refresh_token="refresh-2",
            expires_in=self._server.lifetime,
        )

    async def Logout(self, request: Any, context: Any) -> Any:
        await self._server.enter("Logout", context, public=True)
        return user_pb2.LogoutResponse()


class _Keys(api_key_pb2_grpc.ApiKeyServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def ExchangeApiKey(self, request: Any, context: Any) -> Any:
        await self._server.enter("ExchangeApiKey", context, public=True)
        if self._server.gate is not None and self._server.called["ExchangeApiKey"] > 1:
            await self._server.gate.wait()
        return api_key_pb2.ExchangeApiKeyResponse(
            access_token=self._server.token(), expires_in=self._server.lifetime
        )


class _Meetings(meeting_pb2_grpc.MeetingServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def CreateMeeting(self, request: Any, context: Any) -> Any:
        self._server.request_ids.append(request.request_id)
        new = meeting_pb2.Meeting(name=f"meetings/{len(self._server.made)}")
        made = self._server.made.setdefault(request.request_id, new)
        await self._server.enter("CreateMeeting", context)  # fails after it was made
        return made

    async def GetMeeting(self, request: Any, context: Any) -> Any:
        await self._server.enter("GetMeeting", context)
        return meeting_pb2.Meeting(name=request.name)

    async def ListMeetings(self, request: Any, context: Any) -> Any:
        await self._server.enter("ListMeetings", context)
        begin = int(request.page_token or 0)
        names = [f"meetings/{number}" for number in range(7)][begin : begin + request.page_size]
        following = begin + request.page_size
        return meeting_pb2.ListMeetingsResponse(
            meetings=[meeting_pb2.Meeting(name=name) for name in names],
            next_page_token=str(following) if following < 7 else "",
        )

    async def JoinMeeting(self, request: Any, context: Any) -> Any:
        await self._server.enter("JoinMeeting", context)
        return meeting_pb2.JoinMeetingResponse(
            meeting=meeting_pb2.Meeting(name=request.name),
            participant=meeting_pb2.Participant(name=ME),
            ticket="" if self._server.visits else f"ticket-{self._server.called['JoinMeeting']}",
        )

    async def LeaveMeeting(self, request: Any, context: Any) -> Any:
        await self._server.enter("LeaveMeeting", context)
        return meeting_pb2.LeaveMeetingResponse()


class _Lobby(participant_pb2_grpc.ParticipantServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def WaitForAdmission(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._server.enter("WaitForAdmission", context)
        waits = meeting_pb2.PARTICIPANT_STATE_WAITING
        for state in (waits, waits, self._server.visits.popleft()):
            if state is None:
                await fail(context, Unavailable(retry_after=0.01))
                return
            person = meeting_pb2.Participant(name=request.name, state=state)
            answer = participant_pb2.WaitForAdmissionResponse(participant=person)
            if state == meeting_pb2.PARTICIPANT_STATE_JOINING:
                answer.admission.meeting.name = MEETING
                answer.admission.ticket = "ticket of the lobby"
            yield answer


class _Chat(chat_pb2_grpc.ChatServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def CreateChatMessage(self, request: Any, context: Any) -> Any:
        await self._server.enter("CreateChatMessage", context)
        self._server.written.append(request.chat_message.text)
        return request.chat_message


class _Webhooks(webhook_pb2_grpc.WebhookServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._server.enter("WatchEvents", context)
        for number in range(2):
            yield webhook_pb2.MeetingEvent(id=f"events/{number}")
        await fail(context, NotFound(text="no more"))


class _Library(library_pb2_grpc.LibraryServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def UploadMedia(self, request_iterator: Any, context: Any) -> Any:
        await self._server.enter("UploadMedia", context)
        size = 0
        async for request in request_iterator:
            size += len(request.body.data)
        if not size:
            await fail(context, InvalidArgument(text="The file is empty."))
        return library_pb2.Media(size_bytes=size)


class _Ai(ai_pb2_grpc.AiServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def StreamRecognizeSpeech(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[Any]:
        await self._server.enter("StreamRecognizeSpeech", context)
        async for request in request_iterator:
            speech = ai_pb2.SpeechHypothesis(text=request.WhichOneof("message"))
            yield ai_pb2.StreamRecognizeSpeechResponse(speech=speech)
        await fail(context, InvalidArgument(text="That was no sound."))


class _Signaling(signaling_pb2_grpc.SignalingServiceServicer):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def Connect(  # type: ignore[override]  # it writes by the context
        self, request_iterator: Any, context: Any
    ) -> None:
        line = Line(aiter(request_iterator), context)
        line.opening = await line.heard()
        self._server.openings.append(line.opening)
        if not self._server.lines:
            await line.fail(SessionExpired())
        await self._server.lines.popleft()(line)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, str]]:
    """Serve at an address of loopback; gives the server and that address."""
    server, listening = Server(), grpc.aio.server()
    user_pb2_grpc.add_AuthServiceServicer_to_server(_Auth(server), listening)
    api_key_pb2_grpc.add_ApiKeyServiceServicer_to_server(_Keys(server), listening)
    meeting_pb2_grpc.add_MeetingServiceServicer_to_server(_Meetings(server), listening)
    participant_pb2_grpc.add_ParticipantServiceServicer_to_server(_Lobby(server), listening)
    chat_pb2_grpc.add_ChatServiceServicer_to_server(_Chat(server), listening)
    library_pb2_grpc.add_LibraryServiceServicer_to_server(_Library(server), listening)
    ai_pb2_grpc.add_AiServiceServicer_to_server(_Ai(server), listening)
    webhook_pb2_grpc.add_WebhookServiceServicer_to_server(_Webhooks(server), listening)
    signaling_pb2_grpc.add_SignalingServiceServicer_to_server(_Signaling(server), listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        await listening.stop(None)


@asynccontextmanager
async def signed_in(**options: Any) -> AsyncIterator[tuple[Server, Parley]]:
    """Serve, and sign in there with an API key."""
    async with serving() as (server, url):
        options = {"credentials": ApiKey("pk_x"), "retries": QUICK, **options}
        async with Parley.connect(url, **options) as parley:
            yield server, parley


__all__ = [
    "ME",
    "MEETING",
    "QUICK",
    "Line",
    "Server",
    "SessionExpired",
    "StateLost",
    "TokenExpired",
    "serving",
    "signed_in",
]
