"""A meeting service on a real Postgres, with stand-ins for its neighbours, and people who call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.media.v1 import library_pb2, library_pb2_grpc, media_pb2, media_pb2_grpc
from parley.meeting.v1 import (
    meeting_pb2,
    meeting_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    settings_pb2,
    settings_pb2_grpc,
    transcript_pb2,
    transcript_pb2_grpc,
)
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.user.v1 import admin_pb2, admin_pb2_grpc, user_pb2_grpc

from chassis import channels
from chassis.clock import Clock
from services.meeting.app import running
from services.meeting.config import Config
from tests.conftest import DatabaseFactory
from tests.identities import as_callers, make_identities
from tests.user_keys import Keys, credentials

PATIENCE_SECONDS = 20
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)

Summarise = Callable[[ai_pb2.SummarizeTextRequest], Awaitable[ai_pb2.SummarizeTextResponse]]


class Neighbours(
    ai_pb2_grpc.TextServiceServicer,
    library_pb2_grpc.LibraryServiceServicer,
    media_pb2_grpc.RoomServiceServicer,
    signaling_pb2_grpc.EventServiceServicer,
    admin_pb2_grpc.AuditServiceServicer,
):
    """Media, signaling, user and ai, which keep what they are told.

    `summarise` is what ai makes of what it is sent; it is away while there is none. `signaling` says, call by call, how
    signaling fails: `away` before it has taken the events, `lost` after it has. `published` is what it took, once.
    """

    def __init__(self) -> None:
        self.analyses: asyncio.Queue[media_pb2.SetAnalysisRequest] = asyncio.Queue()
        self.events: list[signaling_pb2.Event] = []
        self.published: dict[str, signaling_pb2.PublishEventsRequest] = {}
        self.audited: asyncio.Queue[admin_pb2.AuditEvent] = asyncio.Queue()
        self.fails = 0
        self.grants: asyncio.Queue[media_pb2.SetGrantsRequest] = asyncio.Queue()
        self.removed: asyncio.Queue[str] = asyncio.Queue()
        self.mutes: list[media_pb2.MuteTracksRequest] = []
        self.summarise: Summarise | None = None
        self.to_summarise: list[ai_pb2.SummarizeTextRequest] = []
        self.files: dict[str, str] = {}
        """Whose each file is, `users/{id}`; all may read them."""
        self.signaling: list[str] = []

    async def GetMedia(self, request: Any, context: Any) -> library_pb2.Media:
        if "authorization" not in dict(context.invocation_metadata()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Nobody asks.")
        return library_pb2.Media(name=request.name, owner=self.files[request.name])

    async def SummarizeText(self, request: Any, context: Any) -> Any:
        self.to_summarise.append(request)
        if self.summarise is None:
            return await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return await self.summarise(request)

    async def SetAnalysis(self, request: Any, context: Any) -> media_pb2.SetAnalysisResponse:
        if self.fails:
            self.fails -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.analyses.put_nowait(request)
        return media_pb2.SetAnalysisResponse()

    async def SetGrants(self, request: Any, context: Any) -> media_pb2.SetGrantsResponse:
        self.grants.put_nowait(request)
        return media_pb2.SetGrantsResponse()

    async def RemovePeer(self, request: Any, context: Any) -> media_pb2.RemovePeerResponse:
        self.removed.put_nowait(request.participant)
        return media_pb2.RemovePeerResponse()

    async def CloseRoom(self, request: Any, context: Any) -> media_pb2.CloseRoomResponse:
        return media_pb2.CloseRoomResponse()

    async def MuteTracks(self, request: Any, context: Any) -> media_pb2.MuteTracksResponse:
        self.mutes.append(request)
        return media_pb2.MuteTracksResponse(muted_count=len(request.participants))

    async def PublishEvents(
        self, request: Any, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        how = self.signaling.pop(0) if self.signaling else ""
        if how != "away":
            self.events.extend(request.events)
            self.published.setdefault(request.request_id, request)
        if how:
            await context.abort(grpc.StatusCode.UNAVAILABLE, how)
        return signaling_pb2.PublishEventsResponse()

    async def RecordAuditEvents(self, request: Any, context: Any) -> Any:
        for event in request.audit_events:
            self.audited.put_nowait(event)
        return admin_pb2.RecordAuditEventsResponse()


@dataclass
class Stand:
    """The meeting service, its neighbours, and people who call it."""

    channel: grpc.aio.Channel
    neighbours: Neighbours
    key: Ed25519PrivateKey
    database_url: str

    def person(self) -> Person:
        return Person(self.channel, credentials(self.key))

    async def record(self, *segments: transcript_pb2.TranscriptSegment) -> None:
        stub: Any = transcript_pb2_grpc.CaptionServiceStub(self.channel)
        await stub.RecordSegments(transcript_pb2.RecordSegmentsRequest(segments=segments))

    async def analysis(self, **wanted: Any) -> media_pb2.SetAnalysisRequest:
        """Wait until media is told so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                told = await self.neighbours.analyses.get()
                if all(list(getattr(told, name)) == value for name, value in wanted.items()):
                    return told

    async def audited(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return str((await self.neighbours.audited.get()).action)


@dataclass
class Person:
    channel: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The account, `users/{id}`."""
        token = dict(self.metadata)["authorization"].removeprefix("Bearer ")
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])

    async def create(self) -> str:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.channel)
        request = meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Heard"))
        return str((await stub.CreateMeeting(request, metadata=self.metadata)).name)

    async def join(self, meeting: str, display_name: str = "Ann") -> str:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.channel)
        request = meeting_pb2.JoinMeetingRequest(name=meeting, display_name=display_name)
        return str((await stub.JoinMeeting(request, metadata=self.metadata)).participant.name)

    @property
    def records(self) -> Any:
        return transcript_pb2_grpc.TranscriptServiceStub(self.channel)

    async def transcript(self, meeting: str, **wanted: Any) -> list[str]:
        """Read what the first page of the transcript says."""
        request = transcript_pb2.ListTranscriptSegmentsRequest(parent=meeting, **wanted)
        page = await self.records.ListTranscriptSegments(request, metadata=self.metadata)
        return [str(segment.text) for segment in page.segments]

    async def delete(self, meeting: str) -> None:
        request = transcript_pb2.DeleteTranscriptRequest(name=meeting)
        await self.records.DeleteTranscript(request, metadata=self.metadata)

    async def end(self, meeting: str) -> None:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.channel)
        request = meeting_pb2.EndMeetingRequest(name=meeting)
        await stub.EndMeeting(request, metadata=self.metadata)

    async def switch(self, meeting: str, **values: Any) -> settings_pb2.Settings:
        stub: Any = settings_pb2_grpc.SettingsServiceStub(self.channel)
        settings = settings_pb2.Settings(name=f"{meeting}/settings", **values)
        request = settings_pb2.UpdateSettingsRequest(settings=settings)
        request.update_mask.paths.extend(values)
        return await stub.UpdateSettings(request, metadata=self.metadata)  # type: ignore[no-any-return]

    async def agree(self, participant: str, **values: bool) -> None:
        stub: Any = participant_pb2_grpc.ParticipantServiceStub(self.channel)
        request = participant_pb2.SetConsentRequest(
            name=participant, consent=participant_pb2.Consent(**values)
        )
        await stub.SetConsent(request, metadata=self.metadata)


def after(seconds: float) -> datetime:
    """Get the time so many seconds after BEGIN."""
    return BEGIN + timedelta(seconds=seconds)


async def refusal(call: Awaitable[Any]) -> str:
    """Make a call that is refused; returns the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return channels.reason(caught.value)


def said(
    participant: str, text: str, at: datetime, *, seconds: float = 2.0
) -> transcript_pb2.TranscriptSegment:
    """What media tells that a participant said."""
    meeting = participant.partition("/participants/")[0]
    segment = transcript_pb2.TranscriptSegment(
        name=f"{meeting}/transcript/{uuid4()}",
        participant=participant,
        text=text,
        language_code="en",
        confidence=0.9,
    )
    segment.start_time.FromDatetime(at)
    segment.end_time.FromDatetime(at + timedelta(seconds=seconds))
    return segment


async def stand_with(
    database: DatabaseFactory, folder: Path, clock: Clock | None = None, **values: Any
) -> AsyncIterator[Stand]:
    identities, key, neighbours = (
        make_identities(folder),
        Ed25519PrivateKey.generate(),
        Neighbours(),
    )
    mesh = grpc.aio.server()
    user_pb2_grpc.add_AuthServiceServicer_to_server(Keys(key), mesh)
    ai_pb2_grpc.add_TextServiceServicer_to_server(neighbours, mesh)
    media_pb2_grpc.add_RoomServiceServicer_to_server(neighbours, mesh)
    library_pb2_grpc.add_LibraryServiceServicer_to_server(neighbours, mesh)
    signaling_pb2_grpc.add_EventServiceServicer_to_server(neighbours, mesh)
    admin_pb2_grpc.add_AuditServiceServicer_to_server(neighbours, mesh)
    port = mesh.add_insecure_port("127.0.0.1:0")
    await mesh.start()
    common: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "mesh": f"127.0.0.1:{port}",
        "trust": identities / "trust.jwks",
        "drain_seconds": 0,
        "database_url": database("meeting"),
        **values,
    }
    async with (
        running(Config(service_key=identities / "meeting.key", **common), clock) as server,
        as_callers(f"127.0.0.1:{server.port}", identities) as channel,
    ):
        yield Stand(channel, neighbours, key, common["database_url"])
    await mesh.stop(None)


__all__ = ["PATIENCE_SECONDS", "Neighbours", "Person", "Stand", "said", "stand_with"]
