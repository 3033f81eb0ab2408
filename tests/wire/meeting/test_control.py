"""Lobby, roles, grants and removal over real gRPC and Postgres, and who may call which method: the whole table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message import Message
from parley.meeting.v1 import (
    breakout_pb2_grpc,
    chat_pb2,
    chat_pb2_grpc,
    meeting_pb2,
    meeting_pb2_grpc,
    notes_pb2,
    notes_pb2_grpc,
    participant_pb2,
    poll_pb2_grpc,
    report_pb2_grpc,
    schedule_pb2_grpc,
    settings_pb2,
    transcript_pb2_grpc,
)
from parley.meeting.v1 import participant_pb2_grpc as participant_grpc
from parley.meeting.v1 import settings_pb2_grpc as settings_grpc
from parley.signaling.v1 import signaling_pb2
from pycrdt import Doc, Text

from chassis import channels
from services.meeting.permissions import may
from services.meeting.roles import Standing
from tests.conftest import DatabaseFactory
from tests.meeting_stand import (
    PATIENCE_SECONDS,
    Person,
    Stand,
    after,
    refusal,
    said,
    stand_with,
)
from tests.permission_walk import (
    DENIALS,
    NIL,
    ROLES,
    ROWS,
    VOTE,
    Ground,
    has_it,
    is_lasting,
    message_of,
    method_of,
    request,
)

STUBS = {
    "BreakoutService": breakout_pb2_grpc.BreakoutServiceStub,
    "MeetingService": meeting_pb2_grpc.MeetingServiceStub,
    "ParticipantService": participant_grpc.ParticipantServiceStub,
    "SettingsService": settings_grpc.SettingsServiceStub,
    "ChatService": chat_pb2_grpc.ChatServiceStub,
    "PollService": poll_pb2_grpc.PollServiceStub,
    "ReportService": report_pb2_grpc.ReportServiceStub,
    "ScheduleService": schedule_pb2_grpc.ScheduleServiceStub,
    "TranscriptService": transcript_pb2_grpc.TranscriptServiceStub,
}
CONNECTED = meeting_pb2.PARTICIPANT_STATE_CONNECTED
WAITING = meeting_pb2.PARTICIPANT_STATE_WAITING


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async for it in stand_with(database, tmp_path):
        yield it


async def ask(person: Person, method: str, **values: Any) -> Any:
    """Call `Service.Method`."""
    return await call(person, method, message_of(method, values))


async def call(person: Person, method: str, message: Message) -> Any:
    """Call `Service.Method`; of a stream the first answer is given."""
    service, name = method.split(".")
    stub: Any = STUBS[service](person.channel)
    called = getattr(stub, name)(message, metadata=person.metadata)
    if not hasattr(called, "__await__"):
        return await called.read()
    return await called


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


async def test_after_a_restart_of_postgres_one_is_refused_at_most(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await asyncio.gather(*(host.join(meeting) for _ in range(5)))
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(stand.database_url.replace("+psycopg", ""), autocommit=True) as cutting:
        cutting.execute(ends)
    refused = 0
    for _ in range(10):
        try:
            await host.join(meeting)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            refused += 1
    assert refused <= 1


async def test_of_a_deleted_meeting_nothing_is_kept(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await host.switch(meeting, captions=True, transcript=True, summary=True)
    await enter(stand, host, meeting)
    bob = await enter(stand, guest, meeting)
    await _ground(stand, host, meeting)
    await guest.agree(bob, transcript=True)
    await stand.record(said(bob, "Nothing of this is kept.", after(0)))
    notes: Any = notes_pb2_grpc.NotesServiceStub(stand.channel)
    await notes.ApplyNotesUpdate(
        notes_pb2.ApplyNotesUpdateRequest(
            participant=bob, update=Doc({"n": Text("x")}).get_update()
        )
    )
    await ask(host, "ParticipantService.RemoveParticipant", name=bob, ban=True)
    await host.end(meeting)
    kept = await asyncio.to_thread(_kept, stand)
    assert {table for table, count in kept.items() if count} >= {
        *("meetings", "participants", "bans", "chat_messages", "polls", "poll_votes", "notes"),
        *("transcript_segments", "summaries"),
    }
    await ask(host, "MeetingService.DeleteMeeting", name=meeting)
    assert not any((await asyncio.to_thread(_kept, stand)).values())


def _kept(stand: Stand) -> dict[str, int]:
    """Count the rows of each table that tells of meetings, but for what is to be told of them and the one of `event_log`."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    apart = ("alembic_version", "audit_outbox", "event_log")
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        names = [str(row[0]) for row in connection.execute(tables) if row[0] not in apart]
        counted = [
            connection.execute(f'SELECT count(*) FROM "{each}"').fetchone() for each in names
        ]
    return {name: row[0] for name, row in zip(names, counted, strict=True) if row}


async def test_who_waits_or_was_turned_away_reads_nothing_though_they_were_here_before(
    stand: Stand,
) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await enter(stand, host, meeting)
    bob = await enter(stand, guest, meeting)
    ground = await _ground(stand, host, meeting)
    reading = [
        "MeetingService.ListParticipants",
        "ChatService.ListChatMessages",
        "PollService.GetPoll",
        "ReportService.GetNotes",
        "TranscriptService.ListTranscriptSegments",
    ]
    file = f"media/{NIL}"
    stand.neighbours.files[file] = host.name
    attached = {"text": "", "media": [file]}
    await ask(host, "ChatService.CreateChatMessage", parent=meeting, chat_message=attached)
    sharing: Any = chat_pb2_grpc.SharingServiceStub(stand.channel)
    wanted = chat_pb2.CheckSharingRequest(media=file, owner=host.name, user=guest.name)
    for row in reading:
        await call(guest, row, request(row, ground))
    assert (await sharing.CheckSharing(wanted)).shared
    await host.switch(meeting, lobby=True)
    await ask(host, "ParticipantService.RemoveParticipant", name=bob)
    again = await guest.join(meeting)
    for method in ("", "ParticipantService.DenyParticipant"):
        if method:
            await ask(host, method, name=again)
        for row in reading:
            assert await refusal(call(guest, row, request(row, ground))) == "NOT_PARTICIPANT"
        assert not (await sharing.CheckSharing(wanted)).shared


async def test_whose_chat_is_revoked_writes_nothing_anywhere(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await enter(stand, host, meeting)
    bob = await enter(stand, guest, meeting)
    ground = await _ground(stand, host, meeting)
    hello = {"parent": meeting, "chat_message": {"text": "Hello"}}
    said = (await ask(guest, "ChatService.CreateChatMessage", **hello)).name
    grants = {"publish_audio": True, "subscribe": True}
    await ask(host, "ParticipantService.SetParticipantGrants", name=bob, grants=grants)
    notes: Any = notes_pb2_grpc.NotesServiceStub(stand.channel)
    change = notes_pb2.ApplyNotesUpdateRequest(participant=bob, update=b"\0\0")
    for refused, expected in (
        (ask(guest, "ChatService.CreateChatMessage", **hello), "CHAT_NOT_ALLOWED"),
        (ask(guest, "ChatService.EditChatMessage", name=said, text="x"), "CHAT_NOT_ALLOWED"),
        (ask(guest, "PollService.VotePoll", name=ground.poll, choices=[0]), "CHAT_NOT_ALLOWED"),
        (notes.ApplyNotesUpdate(change), "NOTES_NOT_ALLOWED"),
    ):
        assert await refusal(refused) == expected
    await ask(guest, "ChatService.DeleteChatMessage", name=said)


async def test_only_who_is_let_in_writes_notes(stand: Stand) -> None:
    host, guest = stand.person(), stand.person()
    meeting = await host.create()
    await host.switch(meeting, lobby=True)
    bob = await guest.join(meeting)
    notes: Any = notes_pb2_grpc.NotesServiceStub(stand.channel)
    change = notes_pb2.ApplyNotesUpdateRequest(participant=bob, update=b"\0\0")
    assert await refusal(notes.ApplyNotesUpdate(change)) == "NOT_PARTICIPANT"
    await ask(host, "ParticipantService.AdmitParticipant", name=bob)
    await notes.ApplyNotesUpdate(change)


async def _ground(stand: Stand, host: Person, meeting: str) -> Ground:
    """Have somebody else, a presenter, write, ask and answer."""
    author = stand.person()
    name = await enter(stand, author, meeting)
    role = ROLES[Standing.PRESENTER]
    await ask(host, "ParticipantService.SetParticipantRole", name=name, role=role)
    hello = {"text": "Hello"}
    written = await ask(author, "ChatService.CreateChatMessage", parent=meeting, chat_message=hello)
    poll = {
        "question": "Now?",
        "choices": [{"text": "Yes"}, {"text": "No"}],
        "live_results": True,
    }
    asked = await ask(author, "PollService.CreatePoll", parent=meeting, poll=poll)
    await ask(author, "PollService.VotePoll", name=asked.name, choices=[VOTE])
    return Ground(meeting, written.name, asked.name, name)


async def _people(stand: Stand, host: Person, meeting: str) -> dict[Standing, Person]:
    """Put somebody of every standing into a meeting where the host is."""
    people = {standing: stand.person() for standing in Standing}
    people[Standing.HOST] = host
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
    for standing, role in ROLES.items():
        set_role = "ParticipantService.SetParticipantRole"
        await ask(host, set_role, name=names[standing], role=role)
    await host.switch(meeting, lobby=True)
    await people[Standing.WAITING].join(meeting)
    return people


async def test_the_table_is_what_is_enforced(stand: Stand) -> None:
    host = stand.person()
    meeting = await host.create()
    await enter(stand, host, meeting)
    ground = await _ground(stand, host, meeting)
    people = await _people(stand, host, meeting)
    for row in ROWS:
        is_restricted = row.endswith("/restricted")
        policy = (
            settings_pb2.CHAT_POLICY_HOSTS if is_restricted else settings_pb2.CHAT_POLICY_PUBLIC
        )
        await host.switch(meeting, chat_policy=policy)
        for standing, person in people.items():
            if not (may(standing, row) and is_lasting(row)):
                assert await _is_let(person, row, ground) is may(standing, row), (row, standing)


async def _is_let(person: Person, row: str, ground: Ground) -> bool:
    try:
        answer = await call(person, method_of(row), request(row, ground))
    except grpc.aio.AioRpcError as error:
        return channels.reason(error) not in DENIALS
    return has_it(row, voters_of(answer))


def voters_of(answer: Any) -> int:
    """Count those whom an answer that is a poll shows as voters."""
    return sum(len(each.voters) for each in getattr(answer, "choices", ()))
