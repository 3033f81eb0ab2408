"""Attendance and statistics over real gRPC, counted by real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from parley.meeting.v1 import report_pb2

from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, Person, after, refusal
from tests.room_stand import Room, Somebody, a_room
from tests.user_keys import credentials

HOUR = 3600.0


@pytest.fixture
async def room(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(database, tmp_path) as it:
        yield it


async def attendances(
    who: Somebody, size: int = 100, token: str = ""
) -> report_pb2.ListAttendancesResponse:
    request = report_pb2.ListAttendancesRequest(
        parent=who.meeting, page_size=size, page_token=token
    )
    return await who.reports.ListAttendances(request, metadata=who.metadata)  # type: ignore[no-any-return]


async def statistics(room: Room, role: str = "admin", **span: float) -> report_pb2.Statistics:
    admin = Person(room.stand.channel, credentials(room.stand.key, role))
    request = report_pb2.GetStatisticsRequest()
    for name, seconds in span.items():
        getattr(request, name).FromDatetime(after(seconds))
    somebody = Somebody(admin, "", room.meeting)
    return await somebody.reports.GetStatistics(request, metadata=admin.metadata)  # type: ignore[no-any-return]


async def test_who_attended_when_and_for_how_long(room: Room) -> None:
    await room.connects(room.host)
    room.clock.advance(60)
    ann = await room.comes("Ann")
    await room.connects(ann)
    room.clock.advance(100)
    phone = await room.comes("Ann's phone", ann.person)
    await room.connects(phone)  # both devices are there for a while
    room.clock.advance(100)
    await room.connects(ann, left=True)
    room.clock.advance(100)
    await room.connects(phone, left=True)
    room.clock.advance(50)
    again = await room.comes("Ann Lee", ann.person)
    await room.connects(again)
    await room.connects(again)
    room.clock.advance(25)
    await room.comes("Ticket not used")
    host, shown = (await attendances(room.host)).attendances
    assert (host.display_name, host.visit_count, host.duration.seconds) == ("Host", 1, 435)
    assert (shown.display_name, shown.visit_count) == ("Ann Lee", 3)
    assert shown.first_join_time.ToDatetime(UTC) == after(60)
    assert shown.duration.seconds == 300 + 25
    assert not shown.HasField("last_leave_time")
    room.clock.advance(5)
    await room.host.person.end(room.meeting)
    room.clock.advance(HOUR)
    _, shown = (await attendances(room.host)).attendances
    assert shown.last_leave_time.ToDatetime(UTC) == after(440)
    assert shown.duration.seconds == 330
    assert await refusal(attendances(ann)) == "NOT_HOST"


async def test_attendances_are_paged_while_more_come(room: Room) -> None:
    for number in range(5):
        room.clock.advance(1)
        await room.connects(await room.comes(str(number)))
    names, token = [], ""
    while True:
        page = await attendances(room.host, 2, token)
        names += [each.display_name for each in page.attendances]
        if not (token := page.next_page_token):
            break
        room.clock.advance(1)
        await room.connects(await room.comes("late"))
        if len(names) >= 4:
            break
    assert names == ["0", "1", "2", "3"]
    for nonsense in ("nonsense", "WyJ4IiwieSJd"):
        assert await refusal(attendances(room.host, 2, nonsense)) == "PAGE_TOKEN_INVALID"


async def test_how_the_server_was_used(room: Room) -> None:
    ann = await room.comes("Ann")
    for each in (room.host, ann):
        await room.connects(each)
    room.clock.advance(HOUR)
    await room.connects(ann, left=True)
    room.clock.advance(HOUR)
    told = await statistics(room)
    assert (told.meeting_count, told.participant_count, told.active_user_count) == (1, 2, 2)
    assert (told.live_meeting_count, told.live_participant_count) == (1, 1)
    assert told.participant_time.seconds == 3 * HOUR
    assert told.end_time.ToDatetime(UTC) == after(2 * HOUR)
    assert told.start_time.ToDatetime(UTC) == after(2 * HOUR) - timedelta(days=30)
    part = await statistics(room, start_time=HOUR / 2, end_time=1.5 * HOUR)
    assert part.participant_time.seconds == 1.5 * HOUR
    assert part.participant_count == 0
    ahead = await statistics(room, start_time=HOUR, end_time=4 * HOUR)
    assert ahead.participant_time.seconds == HOUR
    await room.host.person.end(room.meeting)
    over = await statistics(room)
    assert (over.live_meeting_count, over.live_participant_count) == (0, 0)


async def test_statistics_are_for_admins_and_of_a_span_of_time(room: Room) -> None:
    assert await refusal(statistics(room, "user")) == "PERMISSION_DENIED"
    year = 366 * 24 * HOUR
    assert await refusal(statistics(room, start_time=0, end_time=0)) == "TIME_RANGE_INVALID"
    assert await refusal(statistics(room, start_time=HOUR, end_time=0)) == "TIME_RANGE_INVALID"
    assert await refusal(statistics(room, start_time=0, end_time=year + 1)) == "TIME_RANGE_INVALID"
    assert (await statistics(room, start_time=0, end_time=year)).participant_count == 0
    admin = Person(room.stand.channel, credentials(room.stand.key, "admin"))
    request = report_pb2.GetStatisticsRequest()
    request.end_time.FromDatetime(BEGIN.replace(year=1))
    somebody = Somebody(admin, "", room.meeting)
    call = somebody.reports.GetStatistics(request, metadata=admin.metadata)
    assert await refusal(call) == "TIME_RANGE_INVALID"
    request.end_time.seconds = 10**17
    call = somebody.reports.GetStatistics(request, metadata=admin.metadata)
    assert await refusal(call) == "TIME_RANGE_INVALID"
