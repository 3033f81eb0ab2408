"""What the host switches on and people agree to reaches media, the room and the audit log: real Postgres, real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.media.v1 import media_pb2, media_pb2_grpc
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
from chassis.auth import ServiceIdentity
from services.meeting.app import running
from services.meeting.config import Config
from tests.conftest import DatabaseFactory
from tests.identities import make_identities
from tests.user_keys import Keys, credentials

PATIENCE_SECONDS = 20


class Neighbours(
    media_pb2_grpc.RoomServiceServicer,
    signaling_pb2_grpc.EventServiceServicer,
    admin_pb2_grpc.AuditServiceServicer,
):
    """Media, signaling and user, which keep what they are told."""

    def __init__(self) -> None:
        self.analyses: asyncio.Queue[media_pb2.SetAnalysisRequest] = asyncio.Queue()
        self.events: list[signaling_pb2.Event] = []
        self.audited: asyncio.Queue[admin_pb2.AuditEvent] = asyncio.Queue()
        self.fails = 0

    async def SetAnalysis(self, request: Any, context: Any) -> media_pb2.SetAnalysisResponse:
        if self.fails:
            self.fails -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.analyses.put_nowait(request)
        return media_pb2.SetAnalysisResponse()

    async def PublishEvents(
        self, request: Any, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        self.events.extend(request.events)
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

    def person(self) -> Person:
        return Person(self.channel, credentials(self.key))

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

    async def create(self) -> str:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.channel)
        request = meeting_pb2.CreateMeetingRequest(meeting=meeting_pb2.Meeting(title="Heard"))
        return str((await stub.CreateMeeting(request, metadata=self.metadata)).name)

    async def join(self, meeting: str) -> str:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.channel)
        request = meeting_pb2.JoinMeetingRequest(name=meeting, display_name="Ann")
        return str((await stub.JoinMeeting(request, metadata=self.metadata)).participant.name)

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


async def stand_with(
    database: DatabaseFactory, folder: Path, **values: Any
) -> AsyncIterator[Stand]:
    identities, key, neighbours = (
        make_identities(folder),
        Ed25519PrivateKey.generate(),
        Neighbours(),
    )
    mesh = grpc.aio.server()
    user_pb2_grpc.add_AuthServiceServicer_to_server(Keys(key), mesh)
    media_pb2_grpc.add_RoomServiceServicer_to_server(neighbours, mesh)
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
    media = Config(service_key=identities / "media.key", **common)
    identity = ServiceIdentity.load(media, "media")
    async with (
        running(Config(service_key=identities / "meeting.key", **common)) as server,
        channels.direct(f"127.0.0.1:{server.port}", identity) as channel,
    ):
        yield Stand(channel, neighbours, key)
    await mesh.stop(None)


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path, emotions=True):
        yield it


async def test_media_follows_what_the_host_switches_and_people_agree_to(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True, language_code="en")
    told = await stand.analysis(captions=[ann])
    assert told.recognition.language_code == "en"
    bob = await guest.join(meeting)
    await stand.analysis(captions=[ann, bob])
    await guest.agree(bob, captions_declined=True)
    later = await stand.analysis(captions=[ann])
    assert later.revision > told.revision
    await host.switch(meeting, emotions=True)
    await guest.agree(bob, captions_declined=True, emotions=True)
    await stand.analysis(captions=[ann], emotions=[bob])
    await host.switch(meeting, captions=False, emotions=False)
    await stand.analysis(captions=[], emotions=[])


async def test_a_room_that_begins_hears_the_same(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True, transcript=True)
    told = await stand.analysis(captions=[ann])
    stub: Any = transcript_pb2_grpc.CaptionServiceStub(stand.channel)
    found = await stub.GetAnalysis(transcript_pb2.GetAnalysisRequest(meeting=meeting))
    assert (found.revision, list(found.captions)) == (told.revision, [ann])
    assert found.transcript


async def test_media_that_is_away_for_a_moment_is_told_again(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    stand.neighbours.fails = 2
    ann = await host.join(meeting)
    await host.switch(meeting, captions=True)
    await stand.analysis(captions=[ann])


async def test_everybody_in_the_room_is_told_of_the_switch(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True)
    (event,) = stand.neighbours.events
    assert event.participant == ""
    assert event.message.settings_changed.settings.captions
    await host.switch(meeting, captions=True)  # as it is
    assert len(stand.neighbours.events) == 1


async def test_switches_and_consents_come_to_the_audit_log_once(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True, transcript=True)
    ann = await host.join(meeting)
    await host.agree(ann, transcript=True)
    told = {await stand.audited() for _ in range(3)}
    assert told == {"captions.enable", "transcript.enable", "consent.give"}
    await host.agree(ann)
    assert await stand.audited() == "consent.withdraw"
    assert stand.neighbours.audited.empty()


async def test_who_comes_back_has_agreed_to_what_they_agreed_to(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True)
    first = await host.join(meeting)
    await host.agree(first, captions_declined=True)
    second = await host.join(meeting)
    assert first != second
    stub: Any = transcript_pb2_grpc.CaptionServiceStub(stand.channel)
    found = await stub.GetAnalysis(transcript_pb2.GetAnalysisRequest(meeting=meeting))
    assert list(found.captions) == []


async def test_consent_is_ones_own(stand: Stand) -> None:
    host, other = stand.person(), stand.person()
    meeting = await host.create()
    ann = await host.join(meeting)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await other.agree(ann, emotions=True)
    assert channels.reason(caught.value) == "PARTICIPANT_NOT_FOUND"


async def test_without_the_operators_policy_no_face_is_read(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    async for stand in stand_with(database, tmp_path):
        host = stand.person()
        meeting = await host.create()
        ann = await host.join(meeting)
        for call in (host.switch(meeting, emotions=True), host.agree(ann, emotions=True)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert channels.reason(caught.value) == "EMOTIONS_NOT_ALLOWED"
