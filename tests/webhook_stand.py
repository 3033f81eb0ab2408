"""A program that webhooks are posted to, and people who keep webhooks, on the stand of the meeting service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc, webhook_pb2, webhook_pb2_grpc

from chassis.clock import ManualClock
from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, PATIENCE_SECONDS, Person, Stand, stand_with

SETTINGS: dict[str, Any] = {
    "webhook_private": True,
    "webhook_http": True,
    "event_poll_seconds": 0.02,
}
LONG_SECONDS = 8 * 3600
"""Longer than any time between two attempts."""


@dataclass(frozen=True)
class Posted:
    """What was posted: the headers by their names in lower case, and the body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def type(self) -> str:
        return str(self.event["type"]).removeprefix("MEETING_EVENT_TYPE_")


@dataclass
class Receiver:
    """An HTTP server. `answers` are the statuses of the next answers, 200 when there are none; 0 hangs up instead."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Names of meetings whose events are answered by 500."""
    posted: list[Posted] = field(default_factory=list)
    taken: list[Posted] = field(default_factory=list)
    location: str = ""
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=parley"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        posted = Posted(head[0].split()[1], headers, body)
        status = self.answers.pop(0) if self.answers else 200
        if posted.event["meeting"]["name"] in self.refused:
            status = 500
        if status:
            extra = f"Location: {self.location}\r\n" if self.location else ""
            writer.write(f"HTTP/1.1 {status} So\r\n{extra}Content-Length: 2\r\n\r\nok".encode())
        writer.close()
        async with self.came:
            self.posted.append(posted)
            if 200 <= status < 300:
                self.taken.append(posted)
            self.came.notify_all()

    async def until(self, count: int, *, taken: bool = True) -> list[Posted]:
        """Wait until so many were taken, or posted."""
        seen = self.taken if taken else self.posted
        async with asyncio.timeout(PATIENCE_SECONDS), self.came:
            await self.came.wait_for(lambda: len(seen) >= count)
        return list(seen)

    def types(self) -> list[str]:
        return [each.type for each in self.taken]


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@dataclass
class Keeper:
    """Somebody who hosts meetings and keeps webhooks."""

    person: Person
    clock: ManualClock
    database: str

    @classmethod
    def at(cls, stand: Stand, clock: ManualClock) -> Keeper:
        """Have somebody new."""
        return cls(stand.person(), clock, stand.database_url.replace("+psycopg", ""))

    @property
    def stub(self) -> Any:
        return webhook_pb2_grpc.WebhookServiceStub(self.person.channel)

    @property
    def meetings(self) -> Any:
        return meeting_pb2_grpc.MeetingServiceStub(self.person.channel)

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self.stub, method)(request, metadata=self.person.metadata)

    async def add(
        self, uri: str, types: Iterable[Any] = (), request_id: str = ""
    ) -> webhook_pb2.CreateWebhookResponse:
        request = webhook_pb2.CreateWebhookRequest(
            webhook=webhook_pb2.Webhook(uri=uri, types=list(types)), request_id=request_id
        )
        return await self._call("CreateWebhook", request)  # type: ignore[no-any-return]

    async def webhooks(self, **fields: Any) -> webhook_pb2.ListWebhooksResponse:
        request = webhook_pb2.ListWebhooksRequest(**fields)
        return await self._call("ListWebhooks", request)  # type: ignore[no-any-return]

    async def remove(self, name: str) -> None:
        await self._call("DeleteWebhook", webhook_pb2.DeleteWebhookRequest(name=name))

    async def replay(self, name: str, cursor: str = "") -> None:
        request = webhook_pb2.ReplayWebhookRequest(name=name, cursor=cursor)
        await self._call("ReplayWebhook", request)

    async def page(self, name: str, **fields: Any) -> webhook_pb2.ListDeliveriesResponse:
        request = webhook_pb2.ListDeliveriesRequest(parent=name, **fields)
        return await self._call("ListDeliveries", request)  # type: ignore[no-any-return]

    async def deliveries(self, name: str, **fields: Any) -> list[webhook_pb2.Delivery]:
        return list((await self.page(name, **fields)).deliveries)

    async def settled(self, name: str, state: Any, count: int) -> list[webhook_pb2.Delivery]:
        """Wait until so many deliveries stand so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if len(found := await self.deliveries(name, state=state)) >= count:
                    return found
                await asyncio.sleep(0.01)

    async def at_rest(self, webhook: str) -> None:
        """Wait until it is written down how each attempt has gone."""
        query = "SELECT count(lease) FROM deliveries WHERE webhook_id = %s"
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            await psycopg.AsyncConnection.connect(self.database, autocommit=True) as connection,
        ):
            while True:
                found = await connection.execute(query, [webhook.partition("/")[2]])
                if await found.fetchone() == (0,):
                    return
                await asyncio.sleep(0.01)

    async def update(self, meeting: str, title: str) -> None:
        request = meeting_pb2.UpdateMeetingRequest(
            meeting=meeting_pb2.Meeting(name=meeting, title=title)
        )
        await self.meetings.UpdateMeeting(request, metadata=self.person.metadata)

    async def create(self, passcode: str) -> str:
        request = meeting_pb2.CreateMeetingRequest(
            meeting=meeting_pb2.Meeting(title="Heard", passcode=passcode)
        )
        made = await self.meetings.CreateMeeting(request, metadata=self.person.metadata)
        return str(made.name)

    async def delete_meeting(self, meeting: str) -> None:
        request = meeting_pb2.DeleteMeetingRequest(name=meeting)
        await self.meetings.DeleteMeeting(request, metadata=self.person.metadata)

    def watch(self, cursor: str = "", meeting: str = "") -> Any:
        request = webhook_pb2.WatchEventsRequest(cursor=cursor, meeting=meeting)
        return self.stub.WatchEvents(request, metadata=self.person.metadata)

    async def connect(self, participant: str, *, left: bool = False) -> None:
        """Report, as signaling does, that somebody has come, or gone."""
        stub: Any = meeting_pb2_grpc.PresenceServiceStub(self.person.channel)
        state = (
            meeting_pb2.PARTICIPANT_STATE_LEFT if left else meeting_pb2.PARTICIPANT_STATE_CONNECTED
        )
        request = meeting_pb2.ReportPresenceRequest(participant=participant, state=state)
        await stub.ReportPresence(request)


@asynccontextmanager
async def a_stand(
    database: DatabaseFactory, folder: Path, **values: Any
) -> AsyncIterator[tuple[Stand, ManualClock]]:
    clock = ManualClock(BEGIN)
    async for stand in stand_with(database, folder, clock, **{**SETTINGS, **values}):
        yield stand, clock


async def read(stream: Any, count: int) -> list[webhook_pb2.MeetingEvent]:
    """Read so many events from a stream."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await stream.read() for _ in range(count)]


def kinds(events: Iterable[webhook_pb2.MeetingEvent]) -> list[str]:
    name = webhook_pb2.MeetingEventType.Name
    return [name(each.type).removeprefix("MEETING_EVENT_TYPE_") for each in events]
