"""A meeting, joined: its conversation kept up over however many connections that takes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import grpc
from parley.client._connection import Connection
from parley.client._conversation import After, Conversation
from parley.client._errors import ParleyError, from_status
from parley.client._events import Event, Log, Reader, Snapshot
from parley.client._retries import Retries
from parley.client._services import Services
from parley.meeting.v1 import chat_pb2, meeting_pb2
from parley.signaling.v1.signaling_pb2 import (
    Caption,
    ClientMessage,
    Leave,
    SendReaction,
    ServerMessage,
    SetHandRaised,
)

ANSWER_SECONDS = 10.0
LEAVE_SECONDS = 5.0
ASKED_LIMIT = 200
"""So many messages may wait to be answered at once."""

BACKOFF = Retries(first_delay=0.2, longest_delay=3.0)

Admission = meeting_pb2.JoinMeetingResponse


class Room:
    """What `Parley.join` gives. `meeting` is as it was when it was joined; the participants are as of the newest event."""

    def __init__(
        self,
        services: Services,
        signaling: grpc.aio.Channel,
        admit: Callable[[], Awaitable[Admission]],
        buffer: int,
        patience: float,
    ) -> None:
        self.meeting = meeting_pb2.Meeting()
        self._services = services
        self._signaling = signaling
        self._admit = admit
        self._patience = patience
        self._log = Log(buffer)
        self._events = Reader(self._log)
        self._captions = Reader(self._log)
        self._conversation = Conversation("")
        self._connection: Connection | None = None
        self._open = asyncio.Event()
        self._over = asyncio.Event()
        self._has_ticket = False
        self._leaving = False
        self._asked: dict[str, asyncio.Future[ServerMessage]] = {}
        self._waiting = 0
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def participant(self) -> meeting_pb2.Participant:
        """Get one's own participant."""
        return self._conversation.participant

    @property
    def participants(self) -> Mapping[str, meeting_pb2.Participant]:
        """Get everyone who is there, by resource name."""
        return self._conversation.participants

    def events(self) -> AsyncIterator[Event]:
        """Read what happens, from the snapshot at the join on; another loop goes on where the last one stopped.

        Ends when one has left, or the meeting is over. Whoever reads too slowly gets a `Missed`. Raises ParleyError
        where the conversation could not be kept up.
        """
        return self._events

    async def captions(
        self, *, partial: bool = False, translated: bool = False
    ) -> AsyncIterator[Caption]:
        """Read what is said, as text: sentences that are through, each once.

        `partial` also gives what is still being said; one with the same `speech.segment` takes the place of the one
        before. `translated` also gives sentences again when they come with `translations`. Ends as `events` does.
        """
        async for event in self._captions:
            if event.kind != "caption":
                continue
            caption = event.message.caption
            if (partial or caption.speech.final) and (translated or not caption.translations):
                yield caption

    async def chat(self, text: str, *, to: str = "", reply_to: str = "") -> chat_pb2.ChatMessage:
        """Write to all, or to one participant; `reply_to` is a message's name. Raises ParleyError."""
        message = chat_pb2.ChatMessage(text=text, recipient=to, reply_to=reply_to)
        request = chat_pb2.CreateChatMessageRequest(parent=self.meeting.name, chat_message=message)
        return await self._services.chat.CreateChatMessage(request)

    async def react(self, emoji: str) -> None:
        """Show an emoji to everyone for a moment. Raises ParleyError."""
        await self.ask(ClientMessage(send_reaction=SendReaction(emoji=emoji)))

    async def raise_hand(self, raised: bool = True) -> None:
        """Raise one's hand, or lower it. Raises ParleyError."""
        await self.ask(ClientMessage(set_hand_raised=SetHandRaised(raised=raised)))

    async def ask(self, message: ClientMessage, timeout: float = ANSWER_SECONDS) -> ServerMessage:
        """Say a message of signaling's and wait for what answers it; over a break the answer still comes.

        Raises ParleyError: what `refused` says, or DEADLINE_EXCEEDED or UNAVAILABLE when it is not known whether it was
        done. Messages can be repeated.
        """
        if self._waiting >= ASKED_LIMIT:
            raise ParleyError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too much waits to be answered.")
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout):
                heard = await self._answer(message)
        except TimeoutError:
            text = "No answer came in time."
            raise ParleyError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from None
        finally:
            self._waiting -= 1
        if heard.HasField("refused"):
            raise from_status(heard.refused.status)
        return heard

    async def enter(self) -> None:
        """Join, and wait until the conversation has begun. Raises ParleyError."""
        self._keeping = asyncio.create_task(self._keep())
        await self._begun

    async def leave(self) -> None:
        """Leave the meeting, as others see it at once. Repeatable."""
        if self._keeping is None:
            return
        if self._begun.done() and not self._over.is_set():
            await self._say_goodbye(self._keeping)
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    async def _say_goodbye(self, keeping: asyncio.Task[None]) -> None:
        """Leave by the conversation, or where that breaks or there is none just now, by a call."""
        self._leaving = True
        if self._connection is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._connection.say(ClientMessage(leave=Leave()))
                    await asyncio.wait({keeping})
        if not self._conversation.ended:
            request = meeting_pb2.LeaveMeetingRequest(
                name=self.meeting.name, participant=self.participant.name
            )
            with suppress(ParleyError):  # then the server finds out by itself, within 15 seconds
                await self._services.meetings.LeaveMeeting(request, timeout=LEAVE_SECONDS)

    async def _answer(self, message: ClientMessage) -> ServerMessage:
        """Say a message as soon as there is a connection, and wait for its answer. Raises ParleyError."""
        said = ClientMessage()
        said.CopyFrom(message)
        said.id = secrets.token_hex(8)
        while (connection := self._connection) is None:
            if self._over.is_set():
                raise ParleyError(grpc.StatusCode.FAILED_PRECONDITION, "The conversation is over.")
            await self._open.wait()
        answer: asyncio.Future[ServerMessage] = asyncio.get_running_loop().create_future()
        self._asked[said.id] = answer
        try:
            await connection.say(said)
            return await answer
        finally:
            del self._asked[said.id]

    async def _keep(self) -> None:
        """Hold the conversation to its end; how it ended is told by the events, and by `enter`."""
        error: ParleyError | None = ParleyError(grpc.StatusCode.CANCELLED, "The room was closed.")
        try:
            await self._converse_to_the_end()
            error = None
        except ParleyError as refused:
            error = refused
        finally:
            self._finish(error)

    def _finish(self, error: ParleyError | None) -> None:
        if self._leaving:
            error = None
        self._over.set()
        self._log.close(error)
        why = error or ParleyError(grpc.StatusCode.FAILED_PRECONDITION, "The meeting is over.")
        self._give_up_answers(why)
        self._connection = None
        self._open.set()
        if not self._begun.done():
            self._begun.set_exception(why)

    async def _converse_to_the_end(self) -> None:
        """Connect as often as it takes. Raises the ParleyError that can't be got over, or not for too long."""
        failures, alive_at = 0, time.monotonic()
        while not self._conversation.ended:
            if not self._has_ticket and (error := await self._get_ticket()) is not None:
                after = After.AGAIN
            else:
                worked, error = await self._converse()
                if error is None or self._leaving:
                    return
                if worked:
                    failures, alive_at = 0, time.monotonic()
                after = self._conversation.cut(error)
            failures += 1
            pause = max(BACKOFF.backoff(failures), error.retry_after or 0.0)
            if after is After.OVER or time.monotonic() + pause - alive_at > self._patience:
                raise error
            self._has_ticket = after is not After.ANEW and self._has_ticket
            await asyncio.sleep(pause)

    async def _get_ticket(self) -> ParleyError | None:
        """Join by the meeting service; gives the error that is worth another try. Raises ParleyError."""
        try:
            admission = await self._admit()
        except ParleyError as error:
            if error.code != grpc.StatusCode.UNAVAILABLE or not self._conversation.has_begun:
                raise
            return error
        self.meeting = admission.meeting
        self._conversation.anew(admission.ticket)
        self._has_ticket = True
        return None

    async def _converse(self) -> tuple[bool, ParleyError | None]:
        """Hold one connection as long as it lasts; tells whether it came to be, and what broke it."""
        connection = Connection(self._signaling)
        try:
            await connection.open(self._conversation.opening())
            while not self._conversation.ended:
                if (message := await connection.read()) is None:
                    text = "The server has hung up."
                    return self._is_open, ParleyError(grpc.StatusCode.UNAVAILABLE, text)
                self._hear(connection, message)
        except ParleyError as error:
            return self._is_open, error
        finally:
            self._open.clear()
            self._connection = None
            await connection.close()
        return True, None

    @property
    def _is_open(self) -> bool:
        return self._connection is not None

    def _hear(self, connection: Connection, message: ServerMessage) -> None:
        event = self._conversation.heard(message)
        if (asked := self._asked.get(message.reply_to)) is not None and not asked.done():
            asked.set_result(message)
        if isinstance(event, Snapshot):
            text = "The conversation began anew; whether it was done is not known."
            self._give_up_answers(ParleyError(grpc.StatusCode.UNAVAILABLE, text))
        if event is not None:
            self._log.put(event)
        if isinstance(event, Snapshot) or message.HasField("resumed"):
            self._connection = connection
            self._open.set()
            if not self._begun.done():
                self._begun.set_result(None)

    def _give_up_answers(self, error: ParleyError) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error)


__all__ = ["Room"]
