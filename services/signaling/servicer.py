"""SignalingService and EventService over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis.errors import DomainError
from services.signaling.conversation import Conversation, Hall
from services.signaling.domain import JoinFirst
from services.signaling.log import Event, RoomLog
from services.signaling.sessions import Sessions


class SignalingServicer(signaling_pb2_grpc.SignalingServiceServicer):
    """Carries conversations over gRPC and gRPC-Web."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    async def Connect(
        self, request_iterator: AsyncIterator[ClientMessage], context: Any
    ) -> AsyncIterator[ServerMessage]:
        """Carry a whole conversation."""
        first = await anext(aiter(request_iterator), None)
        if first is None:
            raise JoinFirst
        conversation = await self._hall.begin(first, "connect")
        listening = asyncio.create_task(_listen(conversation, request_iterator))
        try:
            async for message in conversation.messages():
                yield message
        finally:
            listening.cancel()
            await conversation.close()

    async def Subscribe(
        self, request: signaling_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[ServerMessage]:
        """Carry the server's half of a conversation."""
        conversation = await self._hall.begin(request.message, "subscribe")
        try:
            async for message in conversation.messages():
                yield message
        finally:
            await conversation.close()

    async def Send(
        self, request: signaling_pb2.SendRequest, context: Any
    ) -> signaling_pb2.SendResponse:
        """Take one message of the client's half."""
        session = await self._hall.sessions.open(request.session_token)
        if request.message.WhichOneof("message") in ("join", "resume"):
            raise JoinFirst
        await self._hall.hear(session, request.message)
        return signaling_pb2.SendResponse()


class EventServicer(signaling_pb2_grpc.EventServiceServicer):
    """Takes what the other services have to say to a room."""

    def __init__(self, room_log: RoomLog, sessions: Sessions, hall: Hall) -> None:
        self._log = room_log
        self._sessions = sessions
        self._hall = hall

    async def PublishEvents(
        self, request: signaling_pb2.PublishEventsRequest, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        """Append events to a room's log; a `disconnected` also takes its participant out."""
        events = [Event(event.message, event.participant) for event in request.events]
        sequence = await self._log.append(request.meeting, events)
        for event in events:
            if event.to and event.message.HasField("disconnected"):
                session = await self._sessions.find_by_participant(event.to)
                if session is not None:
                    await self._hall.depart(session, None)
        return signaling_pb2.PublishEventsResponse(sequence=sequence)


async def _listen(conversation: Conversation, messages: AsyncIterator[ClientMessage]) -> None:
    """Feed what the client says to the conversation; what breaks it ends the connection."""
    try:
        async for message in messages:
            await conversation.hear(message)
    except DomainError as error:
        conversation.cut(error)
