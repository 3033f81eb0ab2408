"""What meetings keep of a person is told whole, and is nowhere any more once they are forgotten: real gRPC and Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from google.protobuf.json_format import MessageToDict
from parley.meeting.v1 import (
    meeting_pb2,
    participant_pb2,
    participant_pb2_grpc,
    person_pb2,
    person_pb2_grpc,
    report_pb2,
    schedule_pb2,
    schedule_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from psycopg import sql

from chassis.clock import ManualClock
from services.meeting.records.person_kinds import kinds_of
from services.meeting.records.person_store import NOBODY, PAGE
from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, Person, Stand, after, refusal, said, stand_with
from tests.room_stand import Room, Somebody

NAME, WORDS, ADDRESS = "Annabella", "quince jelly", "annabella@example.org"
PASSING = {"events", "event_news", "event_outbox", "audit_outbox", "deliveries"}
"""What is on its way, or kept for days alone: docs/accounts.md says for how long."""


@pytest.fixture
async def room(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Room]:
    clock = ManualClock(BEGIN)
    values: dict[str, Any] = {"outbox": tmp_path / "outbox", "webhook_private": True}
    async for stand in stand_with(database, tmp_path, clock, webhook_http=True, **values):
        person = stand.person()
        meeting = await person.create()
        await person.switch(meeting, captions=True, transcript=True)
        yield Room(stand, clock, meeting, Somebody(person, await person.join(meeting), meeting))


async def records(stand: Stand, user: str, email: str = "") -> dict[str, list[dict[str, Any]]]:
    stub: Any = person_pb2_grpc.PersonServiceStub(stand.channel)
    request = person_pb2.ReadPersonRequest(user=user, verified_email=email)
    found: dict[str, list[dict[str, Any]]] = {}
    async for page in stub.ReadPerson(request):
        assert len(page.records) <= PAGE
        found.setdefault(page.kind, []).extend(map(MessageToDict, page.records))
    return found


async def forget(stand: Stand, user: str, email: str = "") -> None:
    stub: Any = person_pb2_grpc.PersonServiceStub(stand.channel)
    await stub.ForgetPerson(person_pb2.ForgetPersonRequest(user=user, verified_email=email))


async def plan(person: Person, title: str) -> str:
    stub: Any = schedule_pb2_grpc.ScheduleServiceStub(person.channel)
    schedule = schedule_pb2.Schedule(time_zone="Europe/Berlin")
    schedule.start_time.FromDatetime(after(3600))
    schedule.duration.FromSeconds(1800)
    request = schedule_pb2.ScheduleMeetingRequest(
        meeting=meeting_pb2.Meeting(title=title), schedule=schedule
    )
    return str((await stub.ScheduleMeeting(request, metadata=person.metadata)).meeting.name)


async def invite(person: Person, meeting: str, email: str) -> None:
    stub: Any = schedule_pb2_grpc.ScheduleServiceStub(person.channel)
    request = schedule_pb2.CreateInvitationsRequest(parent=meeting, emails=[email])
    await stub.CreateInvitations(request, metadata=person.metadata)


async def lives_in(room: Room) -> tuple[Somebody, Somebody]:
    """Have Ann do what one can do in a meeting that another hosts, and Bob speak with her."""
    ann, bob = await room.comes(NAME), await room.comes("Bob")
    for each in (ann, bob):
        await room.connects(each)
        await each.person.agree(each.participant, transcript=True)
    mine = await ann.write(WORDS)
    await ann.write(WORDS, recipient=bob.participant)
    await bob.write("I like it", reply_to=mine.name)
    await bob.write("For you alone", recipient=ann.participant)
    poll = await room.host.ask("Jam?", "yes", "no")
    await ann.answer(poll.name, 0)
    await bob.answer(poll.name, 1)
    lines = [said(ann.participant, f"{WORDS} {number}", after(number)) for number in range(150)]
    await room.stand.record(*lines, said(bob.participant, "indeed", after(200)))
    return ann, bob


async def dump(stand: Stand) -> dict[str, str]:
    """Read all that there is, table by table, as text; bytes are shown in hexadecimal."""
    url = stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = [name for (name,) in await (await connection.execute(names)).fetchall()]
        whole: dict[str, str] = {}
        for name in set(tables) - PASSING:
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            rows = await (await connection.execute(query)).fetchall()
            whole[name] = "\n".join(row for (row,) in rows)
    return whole


def mentions(whole: dict[str, str], *traces: str) -> dict[str, str]:
    """Find the tables that have one of these, be it within bytes."""
    return {
        table: trace
        for table, text in whole.items()
        for trace in traces
        if trace in text or trace.encode().hex() in text
    }


async def test_all_that_one_did_is_told_and_no_words_of_others(room: Room) -> None:
    ann, bob = await lives_in(room)
    found = await records(room.stand, ann.person.name)
    assert list(found) == [kind.name for kind in kinds_of(uuid4(), "")]
    assert [each["text"] for each in found["chat_messages"]] == [WORDS, WORDS]
    code = room.meeting.removeprefix("meetings/")
    assert {each["meeting"] for each in found["chat_messages"]} == {code}
    spoken = [each["text"] for each in found["transcript_segments"]]
    assert sorted(spoken) == sorted(f"{WORDS} {number}" for number in range(150))
    (vote,) = found["poll_votes"]
    assert (vote["question"], vote["choices"]) == ("Jam?", [0])
    (visit,) = found["participations"]
    assert visit["display_name"] == NAME
    assert visit["consent"]["transcript"] is True
    assert visit["join_time"] == BEGIN.isoformat()
    others = await records(room.stand, bob.person.name)
    assert "quince" not in repr(others)
    assert {each["text"] for each in others["transcript_segments"]} == {"indeed"}


async def test_what_one_planned_and_set_up_is_told_without_secrets(room: Room) -> None:
    ann = room.stand.person()
    meeting = await plan(ann, "Mine")
    await invite(ann, meeting, "bob@example.org")
    await invite(room.host.person, room.meeting, ADDRESS)
    hook: Any = webhook_pb2_grpc.WebhookServiceStub(ann.channel)
    made = webhook_pb2.CreateWebhookRequest(webhook={"uri": "http://127.0.0.1:1/hook"})  # type: ignore[arg-type]
    secret = (await hook.CreateWebhook(made, metadata=ann.metadata)).secret
    feeds: Any = schedule_pb2_grpc.ScheduleServiceStub(ann.channel)
    feed = await feeds.CreateCalendarFeed(
        schedule_pb2.CreateCalendarFeedRequest(), metadata=ann.metadata
    )
    found = await records(room.stand, ann.name, ADDRESS)
    (planned,) = found["schedules"]
    assert (planned["meeting"], planned["time_zone"]) == (meeting[9:], "Europe/Berlin")
    assert [each["email"] for each in found["invitations_sent"]] == ["bob@example.org"]
    (received,) = found["invitations_received"]
    assert received["meeting"] == room.meeting[9:]
    assert [each["uri"] for each in found["webhooks"]] == ["http://127.0.0.1:1/hook"]
    assert len(found["calendar_feeds"]) == 1
    assert secret
    assert secret not in repr(found)
    assert feed.name.rpartition("/")[2] not in repr(found)
    unproven = await records(room.stand, ann.name)
    assert unproven["invitations_received"] == [], "whoever names an address need not own it"


async def test_who_is_forgotten_is_nowhere_and_words_of_others_stay(room: Room) -> None:
    ann, bob = await lives_in(room)
    await invite(room.host.person, room.meeting, ADDRESS.title())
    user = ann.person.name.removeprefix("users/")
    traces = user, NAME, "quince", ADDRESS, ADDRESS.title()
    before = mentions(await dump(room.stand), *traces)
    assert {
        "participants",
        "chat_messages",
        "transcript_segments",
        "poll_votes",
        "invitations",
    } <= set(before)
    await ann.leave()
    for _ in range(2):
        await forget(room.stand, ann.person.name, ADDRESS)
    assert mentions(await dump(room.stand), *traces) == {}
    assert not any((await records(room.stand, ann.person.name, ADDRESS)).values())
    history = (await bob.history()).chat_messages
    shown = [
        (each.text, each.sender_display_name, each.HasField("delete_time")) for each in history
    ]
    assert shown == [
        ("For you alone", "Bob", False),
        ("I like it", "Bob", False),
        ("", NOBODY, True),
        ("", NOBODY, True),
    ]
    assert await room.host.person.transcript(room.meeting) == ["indeed"]
    (poll,) = (await records(room.stand, room.host.person.name))["polls"]
    seen = await room.host.close(f"{room.meeting}/polls/{poll['id']}")
    assert [choice.vote_count for choice in seen.choices] == [1, 1], "what was decided stays so"


async def test_what_is_left_of_who_is_forgotten_leads_to_nobody(room: Room) -> None:
    ann = await room.comes(NAME)
    await room.connects(ann)
    other = await room.host.person.create()
    await ann.person.join(other, NAME)
    await ann.leave()
    await forget(room.stand, ann.person.name)
    attendances = await room.host.reports.ListAttendances(
        report_pb2.ListAttendancesRequest(parent=room.meeting), metadata=room.host.metadata
    )
    assert NOBODY in {each.display_name for each in attendances.attendances}
    url = room.stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        query = "SELECT DISTINCT user_id FROM participants WHERE display_name = %s"
        ids = await (await connection.execute(query, (NOBODY,))).fetchall()
    assert len(ids) == 2, "nothing tells that it was the same person in both meetings"


async def test_a_ban_goes_with_whom_it_was_for(room: Room) -> None:
    ann = await room.comes(NAME)
    stub: Any = participant_pb2_grpc.ParticipantServiceStub(room.host.person.channel)
    ban = participant_pb2.RemoveParticipantRequest(name=ann.participant, ban=True)
    await stub.RemoveParticipant(ban, metadata=room.host.metadata)
    (kept,) = (await records(room.stand, ann.person.name))["bans"]
    assert kept["meeting"] == room.meeting[9:]
    await forget(room.stand, ann.person.name)
    assert mentions(await dump(room.stand), ann.person.name.removeprefix("users/")) == {}


async def test_a_person_is_no_one_s_to_read(room: Room) -> None:
    ann = await room.comes(NAME)
    stub: Any = person_pb2_grpc.PersonServiceStub(room.stand.channel)
    bad = person_pb2.ForgetPersonRequest(user="users/me")
    assert await refusal(stub.ForgetPerson(bad)) == "INVALID_ARGUMENT"
    assert (await records(room.stand, ann.person.name))["participations"]
