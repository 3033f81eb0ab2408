"""Lobby, roles, grants and removal over real gRPC and Postgres, and who may call which method: the whole table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from parley.meeting.v1 import (
    meeting_pb2,
    meeting_pb2_grpc,
    participant_pb2,
    settings_pb2,
    transcript_pb2,
    transcript_pb2_grpc,
)
from parley.meeting.v1 import participant_pb2_grpc as participant_grpc
from parley.meeting.v1 import settings_pb2_grpc as settings_grpc
from parley.signaling.v1 import signaling_pb2

from chassis import channels
from services.meeting.permissions import PERMISSIONS, may
from services.meeting.roles import Standing
from tests.conftest import DatabaseFactory
from tests.meeting_stand import PATIENCE_SECONDS, Person, Stand, refusal, stand_with

MODULES = (meeting_pb2, participant_pb2, settings_pb2, transcript_pb2)
STUBS = {
    "MeetingService": meeting_pb2_grpc.MeetingServiceStub,
    "ParticipantService": participant_grpc.ParticipantServiceStub,
    "SettingsService": settings_grpc.SettingsServiceStub,
    "TranscriptService": transcript_pb2_grpc.TranscriptServiceStub,
}
CONNECTED = meeting_pb2.PARTICIPANT_STATE_CONNECTED
WAITING = meeting_pb2.PARTICIPANT_STATE_WAITING
PARENTS = (
    "AdmitAllParticipants",
    "ListParticipants",
    "ListTranscriptSegments",
    "MuteAllParticipants",
)
DENIALS = {"NOT_HOST", "NOT_PARTICIPANT"}


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path):
        yield it


async def ask(person: Person, method: str, **values: Any) -> Any:
    """Call `Service.Method`."""
    service, name = method.split(".")
    kind = next(m for m in (getattr(module, f"{name}Request", None) for module in MODULES) if m)
    stub: Any = STUBS[service](person.channel)
    call = getattr(stub, name)(kind(**values), metadata=person.metadata)
    if hasattr(call, "read") and hasattr(call, "__aiter__") and not hasattr(call, "__await__"):
        return await call.read()
    return await call


async def connect(stand: Stand, participant: str) -> Any:
    stub: Any = meeting_pb2_grpc.PresenceServiceStub(stand.channel)
    request = meeting_pb2.ReportPresenceRequest(participant=participant, state=CONNECTED)
    return (await stub.ReportPresence(request)).participant


async def enter(stand: Stand, person: Person, meeting: str) -> str:
    name = await person.join(meeting)
    await connect(stand, name)
    return name


async def test_who_waits_is_woken_when_let_in_and_has_a_ticket_then(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await host.switch(meeting, lobby=True)
    await enter(stand, host, meeting)
    answer = await ask(guest, "MeetingService.JoinMeeting", name=meeting, display_name="Bob")
    assert (answer.participant.state, answer.ticket) == (WAITING, "")
    bob = answer.participant.name
    stub: Any = participant_grpc.ParticipantServiceStub(stand.channel)
    request = participant_pb2.WaitForAdmissionRequest(name=bob)
    stream = stub.WaitForAdmission(request, metadata=guest.metadata)
    assert (await stream.read()).participant.state == WAITING
    for method in ("MeetingService.ListParticipants", "TranscriptService.ListTranscriptSegments"):
        assert await refusal(ask(guest, method, parent=meeting)) == "NOT_PARTICIPANT"
    waiting = await ask(host, "MeetingService.ListParticipants", parent=meeting, show_waiting=True)
    assert [each.name for each in waiting.participants] == [bob]
    await ask(host, "ParticipantService.AdmitParticipant", name=bob)
    async with asyncio.timeout(PATIENCE_SECONDS):
        decision = await stream.read()
        assert await stream.read() is grpc.aio.EOF
    assert decision.admission.ticket
    again = stub.WaitForAdmission(request, metadata=guest.metadata)
    assert (await again.read()).admission.ticket
    assert (await connect(stand, bob)).state == CONNECTED


async def test_what_is_revoked_reaches_signaling_and_media(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await enter(stand, host, meeting)
    bob = await enter(stand, guest, meeting)
    await ask(
        host,
        "ParticipantService.SetParticipantGrants",
        name=bob,
        grants=meeting_pb2.ParticipantGrants(subscribe=True, publish_video=True),
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        told = await stand.neighbours.grants.get()
    assert told.participant == bob
    assert list(told.grants.publish) == [signaling_pb2.TRACK_SOURCE_CAMERA]
    updated = [
        event.message.participant_updated.participant
        for event in stand.neighbours.events
        if event.message.HasField("participant_updated")
    ]
    assert not updated[0].grants.publish_audio
    assert not (await connect(stand, bob)).grants.publish_audio


async def test_who_is_taken_out_is_cut_off_and_stays_out_if_banned(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await enter(stand, host, meeting)
    bob = await enter(stand, guest, meeting)
    for _ in range(2):
        await ask(host, "ParticipantService.RemoveParticipant", name=bob, ban=True)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await stand.neighbours.removed.get() == bob
    (out,) = [e for e in stand.neighbours.events if e.message.HasField("disconnected")][:1]
    assert out.participant == bob
    assert out.message.disconnected.reason == signaling_pb2.DISCONNECT_REASON_REMOVED
    assert await refusal(guest.join(meeting)) == "BANNED"
    assert await refusal(connect(stand, bob)) == "PARTICIPANT_GONE"
    assert await refusal(ask(guest, "MeetingService.ListParticipants", parent=meeting)) == (
        "NOT_PARTICIPANT"
    )


async def test_a_meeting_is_changed_by_mask_and_etag_found_and_deleted(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    method = "MeetingService.UpdateMeeting"
    first = await ask(host, "MeetingService.GetMeeting", name=meeting)
    wanted = meeting_pb2.Meeting(name=meeting, capacity=7, etag=first.etag)
    changed = await ask(host, method, meeting=wanted, update_mask={"paths": ["capacity"]})
    assert (changed.title, changed.capacity) == (first.title, 7)
    late = meeting_pb2.Meeting(name=meeting, title="50% off_", etag=first.etag)
    assert await refusal(ask(host, method, meeting=late)) == "ETAG_MISMATCH"
    late.etag = ""
    await ask(host, method, meeting=late)
    assert await refusal(ask(host, method, meeting={"name": meeting})) == "INVALID_ARGUMENT"
    find = "MeetingService.SearchMeetings"
    assert (await ask(host, find, query="OFF_ 50%")).meetings[0].name == meeting
    assert not (await ask(host, find, query="50x")).meetings
    assert await refusal(ask(host, "MeetingService.DeleteMeeting", name=meeting)) == (
        "MEETING_ACTIVE"
    )
    await ask(host, "MeetingService.CancelMeeting", name=meeting)
    assert await refusal(host.join(meeting)) == "MEETING_ENDED"
    await ask(host, "MeetingService.DeleteMeeting", name=meeting)
    assert await refusal(ask(host, "MeetingService.GetMeeting", name=meeting)) == (
        "MEETING_NOT_FOUND"
    )


async def _people(stand: Stand, host: Person, meeting: str) -> dict[Standing, Person]:
    """Put somebody of every standing into a meeting."""
    people = {standing: stand.person() for standing in Standing}
    people[Standing.HOST] = host
    await enter(stand, host, meeting)
    names = {
        standing: await enter(stand, people[standing], meeting)
        for standing in (
            Standing.COHOST,
            Standing.PRESENTER,
            Standing.PARTICIPANT,
            Standing.FORMER,
        )
    }
    await ask(people[Standing.FORMER], "MeetingService.LeaveMeeting", name=meeting)
    for standing, role in ((Standing.COHOST, 2), (Standing.PRESENTER, 3)):
        set_role = "ParticipantService.SetParticipantRole"
        await ask(host, set_role, name=names[standing], role=role)
    await host.switch(meeting, lobby=True)
    await people[Standing.WAITING].join(meeting)
    return people


def _values(method: str, meeting: str) -> dict[str, Any]:
    """Make a request that changes nothing, even for those who may: it names nobody."""
    nobody = f"{meeting}/participants/00000000-0000-4000-8000-000000000000"
    name = method.partition(".")[2]
    if name == "UpdateMeeting":
        return {"meeting": {"name": meeting, "title": "x", "etag": "old"}}
    if name == "UpdateSettings":
        return {"settings": {"name": f"{meeting}/settings", "lobby": True, "etag": "old"}}
    if name in ("GetSettings", "GetSummary", "GenerateSummary"):
        return {"name": f"{meeting}/{'settings' if 'Settings' in name else 'summary'}"}
    if name in PARENTS:
        return {"parent": meeting, **({"target": 1} if name.startswith("Mute") else {})}
    extra: dict[str, dict[str, Any]] = {
        "SetParticipantRole": {"role": 4},
        "SetParticipantGrants": {"grants": {"chat": True}},
        "MuteParticipant": {"target": 1},
        "AskToUnmute": {"target": 1},
        "SetConsent": {"consent": {}},
    }
    is_of_somebody = method.startswith("ParticipantService")
    return {"name": nobody if is_of_somebody else meeting, **extra.get(name, {})}


LASTING = ("JoinMeeting", "LeaveMeeting", "EndMeeting", "AdmitAllParticipants", "CatchUp")
"""These change who stands how, or need more than a name: the tests above have them, but for who may not."""


@pytest.mark.parametrize("method", PERMISSIONS)
async def test_the_table_is_what_is_enforced(stand: Stand, method: str) -> None:
    host = stand.person()
    meeting = await host.create()
    people = await _people(stand, host, meeting)
    for standing, person in people.items():
        is_allowed = may(standing, method)
        if is_allowed and method.partition(".")[2] in LASTING:
            continue
        values = _values(method, meeting)
        if method.endswith("CatchUp"):
            values["since"] = {"seconds": 1}
        try:
            await ask(person, method, **values)
        except grpc.aio.AioRpcError as error:
            assert (channels.reason(error) in DENIALS) is not is_allowed, (standing, error)
        else:
            assert is_allowed, standing
