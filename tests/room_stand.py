"""People in a meeting who chat, ask and answer, on the stand of the meeting service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parley.meeting.v1 import (
    chat_pb2,
    chat_pb2_grpc,
    meeting_pb2,
    meeting_pb2_grpc,
    poll_pb2,
    poll_pb2_grpc,
    report_pb2_grpc,
)
from parley.signaling.v1 import signaling_pb2

from chassis.clock import ManualClock
from chassis.db import Database
from chassis.idempotency import Answers
from services.meeting.records.retention import Retention
from services.meeting.room.chat_store import ChatStore
from services.meeting.room.poll_store import PollStore
from services.meeting.transcripts.store import TranscriptStore
from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, PATIENCE_SECONDS, Person, Stand, stand_with


@dataclass
class Somebody:
    """A person in a meeting, with their participant."""

    person: Person
    participant: str
    meeting: str
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chat: Any = chat_pb2_grpc.ChatServiceStub(self.person.channel)
        self.polls: Any = poll_pb2_grpc.PollServiceStub(self.person.channel)
        self.reports: Any = report_pb2_grpc.ReportServiceStub(self.person.channel)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return self.person.metadata

    async def write(self, text: str, request_id: str = "", **fields: Any) -> chat_pb2.ChatMessage:
        request = chat_pb2.CreateChatMessageRequest(
            parent=self.meeting,
            chat_message=chat_pb2.ChatMessage(text=text, **fields),
            request_id=request_id,
        )
        return await self.chat.CreateChatMessage(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def edit(self, name: str, text: str) -> chat_pb2.ChatMessage:
        request = chat_pb2.EditChatMessageRequest(name=name, text=text)
        return await self.chat.EditChatMessage(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def delete(self, name: str) -> None:
        request = chat_pb2.DeleteChatMessageRequest(name=name)
        await self.chat.DeleteChatMessage(request, metadata=self.metadata)

    async def history(self, size: int = 200, token: str = "") -> chat_pb2.ListChatMessagesResponse:
        request = chat_pb2.ListChatMessagesRequest(
            parent=self.meeting, page_size=size, page_token=token
        )
        return await self.chat.ListChatMessages(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def texts(self) -> list[str]:
        return [each.text for each in (await self.history()).chat_messages]

    async def ask(
        self, question: str, *choices: str, request_id: str = "", **options: bool
    ) -> poll_pb2.Poll:
        poll = poll_pb2.Poll(
            question=question, choices=[poll_pb2.PollChoice(text=text) for text in choices]
        )
        for name, value in options.items():
            setattr(poll, name, value)
        request = poll_pb2.CreatePollRequest(parent=self.meeting, poll=poll, request_id=request_id)
        return await self.polls.CreatePoll(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def answer(self, poll: str, *choices: int) -> poll_pb2.Poll:
        request = poll_pb2.VotePollRequest(name=poll, choices=choices)
        return await self.polls.VotePoll(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def close(self, poll: str) -> poll_pb2.Poll:
        request = poll_pb2.ClosePollRequest(name=poll)
        return await self.polls.ClosePoll(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def sees(self, poll: str) -> poll_pb2.Poll:
        request = poll_pb2.GetPollRequest(name=poll)
        return await self.polls.GetPoll(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def leave(self) -> None:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.person.channel)
        request = meeting_pb2.LeaveMeetingRequest(name=self.meeting, participant=self.participant)
        await stub.LeaveMeeting(request, metadata=self.metadata)


@dataclass
class Room:
    """A meeting with a host in it, and its stand."""

    stand: Stand
    clock: ManualClock
    meeting: str
    host: Somebody

    async def comes(self, display_name: str, person: Person | None = None) -> Somebody:
        person = person or self.stand.person()
        participant = await person.join(self.meeting, display_name)
        return Somebody(person, participant, self.meeting)

    async def connects(self, somebody: Somebody, *, left: bool = False) -> None:
        """Report, as signaling does, that somebody's connection has come, or gone."""
        stub: Any = meeting_pb2_grpc.PresenceServiceStub(self.stand.channel)
        state = (
            meeting_pb2.PARTICIPANT_STATE_LEFT if left else meeting_pb2.PARTICIPANT_STATE_CONNECTED
        )
        await stub.ReportPresence(
            meeting_pb2.ReportPresenceRequest(participant=somebody.participant, state=state)
        )

    async def is_shared(self, media: str, owner: str, user: str) -> bool:
        """Ask, as the media library does, whether somebody may read a file."""
        stub: Any = chat_pb2_grpc.SharingServiceStub(self.stand.channel)
        request = chat_pb2.CheckSharingRequest(media=media, owner=owner, user=user)
        return bool((await stub.CheckSharing(request)).shared)

    def told(self, kind: str) -> list[signaling_pb2.Event]:
        """What signaling was told, once: it leaves out requests that it has had."""
        requests = self.stand.neighbours.published.values()
        events = [event for request in requests for event in request.events]
        return [each for each in events if each.message.WhichOneof("message") == kind]

    async def hears(
        self, kind: str, enough: Callable[[list[signaling_pb2.Event]], bool]
    ) -> list[signaling_pb2.Event]:
        """Wait until signaling was told enough of a kind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not enough(told := self.told(kind)):  # noqa: ASYNC110  # the stand-in does not tell of changes
                await asyncio.sleep(0.01)
        return told


@asynccontextmanager
async def a_room(database: DatabaseFactory, folder: Path) -> AsyncIterator[Room]:
    clock = ManualClock(BEGIN)
    async for stand in stand_with(database, folder, clock):
        person = stand.person()
        meeting = await person.create()
        host = Somebody(person, await person.join(meeting, "Host"), meeting)
        yield Room(stand, clock, meeting, host)


def retention_of(database: Database, room: Room) -> Retention:
    """What lets go of what has been kept long enough."""
    stores = TranscriptStore(database), ChatStore(database), PollStore(database)
    return Retention(*stores, Answers(database), room.clock)


__all__ = ["Room", "Somebody", "a_room", "retention_of"]
