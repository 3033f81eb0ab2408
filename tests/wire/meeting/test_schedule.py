"""Planned meetings over real gRPC on real Postgres: times, calendars, feeds, invitations and their letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from icalendar import Calendar
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc, schedule_pb2, schedule_pb2_grpc

from services.meeting.planning import invitation, invitation_store
from services.meeting.planning import store as schedule_store
from tests.meeting_stand import PATIENCE_SECONDS, Person, Stand, refusal, stand_with
from tests.servers import PostgresServer

START = datetime(2099, 1, 5, 9, tzinfo=UTC)
"""A Monday."""
WEEKLY = "FREQ=WEEKLY;BYDAY=MO"


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mail") / "outbox"


@pytest.fixture(scope="module")
async def stand(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, outbox: Path
) -> AsyncIterator[Stand]:
    values: dict[str, Any] = {"outbox": outbox, "public_url": "https://meet.example.org"}
    with postgres.migrated_database("meeting") as url:
        async for it in stand_with(lambda _: url, tmp_path_factory.mktemp("stand"), **values):
            yield it


@dataclass
class Planner:
    """Somebody who plans, and invites people at a domain of their own."""

    person: Person
    domain: str = field(default_factory=lambda: f"{uuid4().hex}.example.org")

    async def call(self, method: str, request: Any, **headers: str) -> Any:
        stub: Any = schedule_pb2_grpc.ScheduleServiceStub(self.person.channel)
        metadata = (*self.person.metadata, *headers.items())
        return await getattr(stub, method)(request, metadata=metadata)

    async def plan(self, request_id: str = "", title: str = "Daily", **fields: Any) -> Any:
        schedule = schedule_pb2.Schedule(**{"time_zone": "Europe/Berlin", **fields})
        if not schedule.HasField("start_time"):
            schedule.start_time.FromDatetime(START)
        request = schedule_pb2.ScheduleMeetingRequest(
            meeting=meeting_pb2.Meeting(title=title), schedule=schedule, request_id=request_id
        )
        return await self.call("ScheduleMeeting", request)

    async def schedule_of(self, meeting: str) -> Any:
        name = f"{meeting}/schedule"
        return await self.call("GetSchedule", schedule_pb2.GetScheduleRequest(name=name))

    async def move(self, schedule: Any, hours: int) -> Any:
        schedule.start_time.FromDatetime(schedule.start_time.ToDatetime() + timedelta(hours=hours))
        request = schedule_pb2.UpdateScheduleRequest(schedule=schedule)
        return await self.call("UpdateSchedule", request)

    async def times(self, size: int, token: str = "", **window: Any) -> Any:
        request = schedule_pb2.ListOccurrencesRequest(page_size=size, page_token=token, **window)
        if not token and not window:
            request.start_time.FromDatetime(START)
        return await self.call("ListOccurrences", request)

    async def invite(self, meeting: str, *to: str, language: str = "en", words: str = "") -> Any:
        request = schedule_pb2.CreateInvitationsRequest(
            parent=meeting, emails=[f"{name}@{self.domain}" for name in to], message=words
        )
        answer = await self.call("CreateInvitations", request, **{"accept-language": language})
        return answer.invitations

    async def invited(self, meeting: str, size: int = 100, token: str = "") -> Any:
        request = schedule_pb2.ListInvitationsRequest(
            parent=meeting, page_size=size, page_token=token
        )
        return await self.call("ListInvitations", request)

    async def take_back(self, name: str) -> None:
        await self.call("DeleteInvitation", schedule_pb2.DeleteInvitationRequest(name=name))

    async def calendar(self, meeting: str) -> Any:
        request = schedule_pb2.GetCalendarFileRequest(name=meeting)
        return events((await self.call("GetCalendarFile", request)).data)[0]

    async def feed(self) -> str:
        answer = await self.call("CreateCalendarFeed", schedule_pb2.CreateCalendarFeedRequest())
        assert answer.uri == f"https://meet.example.org/api/v1/{answer.name}/calendar.ics"
        return str(answer.name)

    async def meeting(self, verb: str, meeting: str) -> Any:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(self.person.channel)
        request = getattr(meeting_pb2, f"{verb}MeetingRequest")(name=meeting)
        return await getattr(stub, f"{verb}Meeting")(request, metadata=self.person.metadata)


@pytest.fixture
def ann(stand: Stand) -> Planner:
    return Planner(stand.person())


@pytest.fixture
def bob(stand: Stand) -> Planner:
    return Planner(stand.person())


def events(data: bytes) -> list[Any]:
    return Calendar.from_ical(data).walk("VEVENT")


async def read_feed(stand: Stand, name: str) -> list[Any]:
    """Read a feed as a program does, that has nothing but its address."""
    stub: Any = schedule_pb2_grpc.ScheduleServiceStub(stand.channel)
    answer = await stub.GetCalendarFeed(schedule_pb2.GetCalendarFeedRequest(name=name))
    assert answer.content_type == "text/calendar; charset=utf-8"
    return events(answer.data)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110  # files and tables tell nobody
            await asyncio.sleep(0.02)


async def letters(outbox: Path, planner: Planner, count: int) -> list[EmailMessage]:
    """Wait until so many letters of somebody's have come; gives them in order."""
    await eventually(lambda: len(letters_of(outbox, planner)) >= count)
    found = letters_of(outbox, planner)
    assert len(found) == count
    return found


def letters_of(outbox: Path, planner: Planner) -> list[EmailMessage]:
    found = []
    for path in sorted(outbox.glob("invitations-*.eml")):
        letter = message_from_bytes(path.read_bytes(), policy=policy.default)
        if planner.domain in letter["To"]:
            found.append(letter)
    return found


def names(letters: Iterable[EmailMessage]) -> list[str]:
    return [letter["To"].partition("@")[0] for letter in letters]


async def settled(planner: Planner, meeting: str) -> list[int]:
    """Wait until no letter of a meeting is pending; gives the states."""
    pending = schedule_pb2.INVITATION_STATE_PENDING
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            states = [each.state for each in (await planner.invited(meeting)).invitations]
            if pending not in states:
                return states
            await asyncio.sleep(0.02)


def calendar_of(letter: EmailMessage) -> tuple[str, Any]:
    (part,) = (each for each in letter.walk() if each.get_content_type() == "text/calendar")
    return part["Content-Type"].params["method"], events(part.get_content().encode())[0]


def count_in(stand: Stand, table: str) -> int:
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_meeting_is_planned_once_however_often_it_is_asked(
    ann: Planner, bob: Planner
) -> None:
    key = str(uuid4())
    first = await ann.plan(key, recurrence=WEEKLY)
    again = await asyncio.gather(*(ann.plan(key, recurrence=WEEKLY) for _ in range(3)))
    assert all(each == first for each in again)
    assert first.meeting.state == meeting_pb2.MEETING_STATE_SCHEDULED
    assert first.schedule.name == f"{first.meeting.name}/schedule"
    assert first.schedule.duration.seconds == 3600
    assert await bob.schedule_of(first.meeting.name) == first.schedule
    plain = await ann.person.create()
    assert await refusal(ann.schedule_of(plain)) == "NOT_SCHEDULED"
    assert await refusal(ann.schedule_of("meetings/zzz-zzzz-zzz")) == "MEETING_NOT_FOUND"


async def test_a_request_id_that_made_a_meeting_without_a_time_makes_no_other(ann: Planner) -> None:
    key = str(uuid4())
    stub: Any = meeting_pb2_grpc.MeetingServiceStub(ann.person.channel)
    request = meeting_pb2.CreateMeetingRequest(
        meeting=meeting_pb2.Meeting(title="Now"), request_id=key
    )
    await stub.CreateMeeting(request, metadata=ann.person.metadata)
    assert await refusal(ann.plan(key)) == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_zone": "Mars/Olympus"}, "TIME_ZONE_UNKNOWN"),
        ({"recurrence": "FREQ=SECONDLY"}, "RECURRENCE_INVALID"),
        ({"recurrence": "FREQ=WEEKLY;BYDAY=SU"}, "RECURRENCE_INVALID"),
        ({"start_time": {"seconds": 0}}, "INVALID_ARGUMENT"),
        ({"start_time": {"seconds": 1_000_000_000}}, "INVALID_ARGUMENT"),
        ({"start_time": {"seconds": 2**62}}, "INVALID_ARGUMENT"),
        ({"duration": {"seconds": 59}}, "INVALID_ARGUMENT"),
        ({"exceptions": [{"seconds": 2**62}]}, "INVALID_ARGUMENT"),
        ({"title": " "}, "INVALID_ARGUMENT"),
    ],
)
async def test_what_can_not_be_planned_is_refused(
    stand: Stand, ann: Planner, fields: dict[str, Any], reason: str
) -> None:
    before = count_in(stand, "meetings")
    assert await refusal(ann.plan(**fields)) == reason
    assert count_in(stand, "meetings") == before


async def test_one_has_so_many_meetings_to_come(
    ann: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_store, "MAX_SCHEDULES", 1)
    first = await ann.plan()
    assert await refusal(ann.plan()) == "TOO_MANY_SCHEDULES"
    await ann.meeting("Cancel", first.meeting.name)
    await ann.plan()


async def test_times_are_listed_page_by_page_while_others_are_planned(
    ann: Planner, bob: Planner
) -> None:
    weekly = (await ann.plan(recurrence=WEEKLY)).meeting.name
    daily = (await ann.plan(recurrence="FREQ=DAILY;COUNT=3", title="Early")).meeting.name
    await bob.plan()
    off = await ann.plan(title="Off")
    await ann.meeting("Cancel", off.meeting.name)
    page = await ann.times(2)
    seen = list(page.occurrences)
    await ann.plan(start_time={"seconds": int(START.timestamp()) - 60}, title="Later made")
    while page.next_page_token:
        page = await ann.times(2, page.next_page_token)
        seen += page.occurrences
    found = [(each.meeting, each.start_time.ToDatetime(UTC)) for each in seen]
    assert len(found) == 8
    assert set(found) == {
        *((weekly, START + timedelta(days=7 * number)) for number in range(5)),
        *((daily, START + timedelta(days=number)) for number in range(3)),
    }
    starts = [each.start_time.ToDatetime() for each in seen]
    assert starts == sorted(starts)
    assert all(each.end_time.seconds - each.start_time.seconds == 3600 for each in seen)


async def test_a_window_is_a_span_of_time_and_a_token_is_its_lists(ann: Planner) -> None:
    far: dict[str, Any] = {"start_time": {"seconds": 0}, "end_time": {"seconds": 400 * 86400}}
    assert await refusal(ann.times(2, **far)) == "TIME_RANGE_INVALID"
    assert await refusal(ann.times(2, start_time={"seconds": 2**62})) == "TIME_RANGE_INVALID"
    assert await refusal(ann.times(2, "nonsense")) == "PAGE_TOKEN_INVALID"
    assert not (await ann.times(2)).occurrences


async def test_a_meeting_that_one_has_joined_is_ones_own_too(ann: Planner, bob: Planner) -> None:
    meeting = (await ann.plan()).meeting.name
    assert not (await bob.times(10)).occurrences
    await bob.person.join(meeting)
    assert [each.meeting for each in (await bob.times(10)).occurrences] == [meeting]


async def test_the_times_of_one_meeting_are_for_whoever_knows_its_code(
    ann: Planner, bob: Planner
) -> None:
    weekly = (await ann.plan(recurrence=WEEKLY)).meeting.name
    await ann.plan(title="Another")
    window: dict[str, Any] = {"start_time": {"seconds": int(START.timestamp())}}
    page = await bob.times(2, meeting=weekly, **window)
    rest = await bob.times(9, page.next_page_token, meeting=weekly)
    found = [each.start_time.ToDatetime(UTC) for each in (*page.occurrences, *rest.occurrences)]
    assert found == [START + timedelta(days=7 * number) for number in range(5)]
    nowhere = bob.times(2, meeting="meetings/abc-defg-hij", **window)
    assert await refusal(nowhere) == "MEETING_NOT_FOUND"
    untimed = await bob.person.create()
    assert await refusal(bob.times(2, meeting=untimed)) == "NOT_SCHEDULED"


async def test_a_meeting_is_moved_by_its_host_as_long_as_nobody_else_does(
    ann: Planner, bob: Planner
) -> None:
    made = await ann.plan(recurrence=WEEKLY)
    before = schedule_pb2.Schedule.FromString(made.schedule.SerializeToString())
    assert await refusal(bob.move(made.schedule, 1)) == "NOT_HOST"
    moved = await ann.move(before, 1)
    assert moved.etag != made.schedule.etag
    assert await refusal(ann.move(before, 1)) == "ETAG_MISMATCH"
    moved.exceptions.add().FromDatetime(START + timedelta(days=7, hours=1))
    without = await ann.move(moved, 0)
    days = [each.start_time.ToDatetime() for each in (await ann.times(10)).occurrences]
    assert [(each.day, each.hour) for each in days] == [(5, 10), (19, 10), (26, 10), (2, 10)]
    again = await ann.move(without, 0)
    assert again == without
    assert (await ann.calendar(made.meeting.name))["SEQUENCE"] == 2
    wrong = schedule_pb2.Schedule.FromString(again.SerializeToString())
    wrong.time_zone = "Nowhere"
    assert await refusal(ann.move(wrong, 0)) == "TIME_ZONE_UNKNOWN"
    await ann.meeting("Cancel", made.meeting.name)
    assert await refusal(ann.move(again, 1)) == "MEETING_ENDED"


async def test_a_calendar_file_is_the_same_event_for_ever(ann: Planner, bob: Planner) -> None:
    made = await ann.plan(recurrence=WEEKLY, title="会议")
    before = await bob.calendar(made.meeting.name)
    await ann.move(made.schedule, 2)
    after = await bob.calendar(made.meeting.name)
    assert before["UID"] == after["UID"]
    assert (before["SEQUENCE"], after["SEQUENCE"]) == (0, 1)
    assert (str(after["SUMMARY"]), after["STATUS"]) == ("会议", "CONFIRMED")
    assert after["DTSTART"].dt.isoformat() == "2099-01-05T12:00:00+01:00"
    await ann.meeting("Cancel", made.meeting.name)
    off = await bob.calendar(made.meeting.name)
    assert (off["SEQUENCE"], off["STATUS"]) == (2, "CANCELLED")


async def test_a_feed_is_read_by_its_address_until_there_is_a_newer(
    stand: Stand, ann: Planner, bob: Planner
) -> None:
    await ann.plan()
    await bob.plan(title="Bob's")
    feed = await ann.feed()
    found = await read_feed(stand, feed)
    assert [str(each["SUMMARY"]) for each in found] == ["Daily"]
    assert "attendee" not in {name.lower() for name in found[0]}
    await ann.plan(title="Another")
    newer = await ann.feed()
    assert await refusal(read_feed(stand, feed)) == "CALENDAR_FEED_NOT_FOUND"
    assert len(await read_feed(stand, newer)) == 2
    assert feed.removeprefix("calendarFeeds/").encode() not in _dump(stand)


def _dump(stand: Stand) -> bytes:
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        return repr(connection.execute("SELECT * FROM calendar_feeds").fetchall()).encode()


async def test_who_is_invited_gets_one_letter(ann: Planner, bob: Planner, outbox: Path) -> None:
    meeting = (await ann.plan(title="Lunch\u2028Bcc: eve@example.org")).meeting.name
    assert await refusal(bob.invite(meeting, "x")) == "NOT_HOST"
    made = await ann.invite(meeting, "bob", "Bob", words="Bring\r\ncake")
    assert made[0] == made[1]
    (letter,) = await letters(outbox, ann, 1)
    assert (letter["To"], letter["Bcc"]) == (f"bob@{ann.domain}", None)
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert "> Bring\n> cake" in text
    assert f"https://meet.example.org/m/{meeting.removeprefix('meetings/')}" in text
    method, event = calendar_of(letter)
    assert (method, event["ATTENDEE"]) == ("REQUEST", f"mailto:bob@{ann.domain}")
    assert event["ORGANIZER"] == "mailto:parley@localhost"
    assert await settled(ann, meeting) == [schedule_pb2.INVITATION_STATE_SENT]
    again = await ann.invite(meeting, "bob", "cleo", language="zh-CN,en;q=0.5")
    assert [each.email for each in again] == [f"bob@{ann.domain}", f"cleo@{ann.domain}"]
    _, chinese = await letters(outbox, ann, 2)
    assert chinese["Subject"].startswith("会议邀请：Lunch")
    assert chinese["To"] == f"cleo@{ann.domain}"
    assert await refusal(bob.invited(meeting)) == "NOT_HOST"
    first = await ann.invited(meeting, 1)
    rest = await ann.invited(meeting, 1, first.next_page_token)
    listed = [each.name for each in (*first.invitations, *rest.invitations)]
    assert listed == [each.name for each in again]
    assert not rest.next_page_token


async def test_those_invited_are_told_of_every_change(ann: Planner, outbox: Path) -> None:
    made = await ann.plan(recurrence=WEEKLY)
    meeting = made.meeting.name
    _, cleo = await ann.invite(meeting, "bob", "cleo", language="zh")
    await settled(ann, meeting)
    moved = await ann.move(made.schedule, 1)
    told = (await letters(outbox, ann, 4))[2:]
    assert {calendar_of(each)[1]["SEQUENCE"] for each in told} == {1}
    assert all(each["Subject"].startswith("会议时间变更") for each in told)
    await ann.move(moved, 0)
    await ann.take_back(cleo.name)
    gone = (await letters(outbox, ann, 5))[4]
    method, event = calendar_of(gone)
    assert (names([gone]), method, event["STATUS"]) == (["cleo"], "CANCEL", "CANCELLED")
    assert await refusal(ann.take_back(cleo.name)) == "INVITATION_NOT_FOUND"
    await ann.meeting("Cancel", meeting)
    await ann.meeting("Cancel", meeting)
    off = (await letters(outbox, ann, 6))[5]
    method, event = calendar_of(off)
    assert (names([off]), method, event["SEQUENCE"]) == (["bob"], "CANCEL", 2)
    assert await refusal(ann.invite(meeting, "dan")) == "MEETING_ENDED"
    await ann.meeting("Delete", meeting)


async def test_a_meeting_without_a_time_can_be_invited_to(ann: Planner, outbox: Path) -> None:
    await ann.invite(await ann.person.create(), "bob")
    (letter,) = await letters(outbox, ann, 1)
    assert [each.get_content_type() for each in letter.walk()] == ["text/plain"]


@contextmanager
def mail_away(outbox: Path) -> Iterator[None]:
    """Let no letter be taken meanwhile: a file stands where the folder was."""
    aside = outbox.with_name("aside")
    outbox.mkdir(exist_ok=True)
    outbox.rename(aside)
    outbox.touch()
    try:
        yield
    finally:
        outbox.unlink()
        aside.rename(outbox)


def tried(stand: Stand, planner: Planner, count: int) -> Callable[[], bool]:
    """Whether so many letters of somebody's were tried, and nobody tries them now."""
    mine = f"letters WHERE email LIKE '%@{planner.domain}' AND attempts > 0 AND NOT is_out"
    return lambda: count_in(stand, mine) == count


async def test_a_letter_waits_for_a_server_that_is_away(
    stand: Stand, ann: Planner, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitation, "RETRIES", (1,) * 1000)
    meeting = (await ann.plan()).meeting.name
    with mail_away(outbox):
        await ann.invite(meeting, "bob")
        await eventually(tried(stand, ann, 1))
    assert await settled(ann, meeting) == [schedule_pb2.INVITATION_STATE_SENT]
    await letters(outbox, ann, 1)


async def test_a_letter_is_given_up_in_the_end(
    stand: Stand, ann: Planner, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitation, "RETRIES", (0, 0))
    meeting = (await ann.plan()).meeting.name
    with mail_away(outbox):
        await ann.invite(meeting, "bob")
        assert await settled(ann, meeting) == [schedule_pb2.INVITATION_STATE_FAILED]
    mine = f"letters WHERE email LIKE '%@{ann.domain}'"
    assert count_in(stand, mine) == 0
    await ann.meeting("Cancel", meeting)
    assert count_in(stand, mine) == 0, "nobody is told of what they never heard of"
    assert letters_of(outbox, ann) == []


async def test_who_has_heard_of_nothing_yet_is_told_how_things_are_now(
    stand: Stand, ann: Planner, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail is away; meanwhile the meeting is moved, and one of two invitations is taken back."""
    monkeypatch.setattr(invitation, "RETRIES", (3600,))
    made = await ann.plan()
    meeting = made.meeting.name
    with mail_away(outbox):
        _, cleo = await ann.invite(meeting, "bob", "cleo", words="Come!")
        await eventually(tried(stand, ann, 2))
    await ann.take_back(cleo.name)
    await ann.move(made.schedule, 1)
    (letter,) = await letters(outbox, ann, 1)
    assert (names([letter]), letter["Subject"]) == (["bob"], "Invitation: Daily")
    assert "> Come!" in letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert calendar_of(letter)[1]["SEQUENCE"] == 1
    assert await settled(ann, meeting) == [schedule_pb2.INVITATION_STATE_SENT]


async def test_another_process_takes_up_what_one_has_left(
    stand: Stand, ann: Planner, outbox: Path
) -> None:
    meeting = (await ann.plan()).meeting.name
    await ann.invite(meeting, "bob")
    await letters(outbox, ann, 1)
    await settled(ann, meeting)
    with psycopg.connect(stand.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            """INSERT INTO letters (id, invitation_id, email, subject, text, calendar, method,
                                    create_time, attempts, is_out, due_time)
               SELECT gen_random_uuid(), id, email, 'Left', 'Left', '', '', now(), 1, true, now()
               FROM invitations WHERE email = %s""",
            (f"bob@{ann.domain}",),
        )
    assert (await letters(outbox, ann, 2))[1]["Subject"] == "Left"


async def test_nobody_is_a_relay(
    ann: Planner, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitation_store, "MAX_INVITATIONS", 3)
    monkeypatch.setattr(invitation_store, "LETTERS_A_DAY", 4)
    made = await ann.plan()
    many = [f"p{number}" for number in range(4)]
    assert await refusal(ann.invite(made.meeting.name, *many)) == "TOO_MANY_INVITATIONS"
    await ann.invite(made.meeting.name, *many[:3])
    assert await refusal(ann.invite(made.meeting.name, many[3])) == "TOO_MANY_INVITATIONS"
    await settled(ann, made.meeting.name)
    assert await refusal(ann.move(made.schedule, 1)) == "TOO_MANY_INVITATIONS"
    kept = await ann.schedule_of(made.meeting.name)
    assert kept.etag == '"0"', "all of it, or nothing"
    other = (await ann.plan()).meeting.name
    both = asyncio.gather(
        ann.invite(other, many[0]), ann.invite(other, many[1]), return_exceptions=True
    )
    assert sum(isinstance(each, grpc.aio.AioRpcError) for each in await both) == 1
    await letters(outbox, ann, 4)
    await ann.meeting("Cancel", made.meeting.name)
    await letters(outbox, ann, 7)


async def test_two_who_invite_the_same_at_once_write_once(ann: Planner, outbox: Path) -> None:
    meeting = (await ann.plan()).meeting.name
    made = await asyncio.gather(*(ann.invite(meeting, "bob") for _ in range(5)))
    assert len({each[0].name for each in made}) == 1
    await settled(ann, meeting)
    await letters(outbox, ann, 1)
