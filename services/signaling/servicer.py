"""SignalingService and EventService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from services.signaling.domain import JoinFirst
from services.signaling.hall import Hall
from services.signaling.log import Event


class SignalingServicer(signaling_pb2_grpc.SignalingServiceServicer):
    """Carries conversations over gRPC and gRPC-Web."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    async def Connect(
        self, request_iterator: AsyncIterator[ClientMessage], context: Any
    ) -> AsyncIterator[ServerMessage]:
        """Carry a whole conversation."""
        frames = aiter(request_iterator)
        first = await anext(frames, None)
        if first is None:
            raise JoinFirst
        async with self._hall.conversation(first, frames, "connect") as conversation:
            async for told in conversation.told():
                yield told.message

    async def Subscribe(
        self, request: signaling_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[ServerMessage]:
        """Carry the server's half of a conversation."""
        async with self._hall.conversation(request.message, None, "subscribe") as conversation:
            async for told in conversation.told():
                yield told.message

    async def Send(
        self, request: signaling_pb2.SendRequest, context: Any
    ) -> signaling_pb2.SendResponse:
        """Take one message of the client's half."""
        if request.message.WhichOneof("message") in ("join", "resume"):
            raise JoinFirst
        await self._hall.take(request.session_token, request.message)
        return signaling_pb2.SendResponse()


class EventServicer(signaling_pb2_grpc.EventServiceServicer):
    """Takes what the other services have to say to a room."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    async def PublishEvents(
        self, request: signaling_pb2.PublishEventsRequest, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        """Append events to a room's log."""
        events = [Event(event.message, event.participant) for event in request.events]
        sequence = await self._hall.publish(request.meeting, events, request.request_id)
        return signaling_pb2.PublishEventsResponse(sequence=sequence)
