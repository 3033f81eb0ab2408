"""A meeting that recurs ends for now, and takes place again until its last time: over gRPC on real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from parley.meeting.v1 import (
    breakout_pb2,
    breakout_pb2_grpc,
    meeting_pb2,
    schedule_pb2,
    schedule_pb2_grpc,
)

from chassis.clock import ManualClock
from services.meeting.gathering import HOST_AWAY
from services.meeting.gathering_store import DESERTED
from services.meeting.transcripts.summary import SETTLING
from tests.conftest import DatabaseFactory
from tests.meeting_stand import BEGIN, PATIENCE_SECONDS, Stand, refusal, said
from tests.webhook_stand import Keeper, Receiver, a_receiver, a_stand
from tests.wire.meeting.test_summaries import first_and_last, made

SCHEDULED, ACTIVE, ENDED = (
    meeting_pb2.MEETING_STATE_SCHEDULED,
    meeting_pb2.MEETING_STATE_ACTIVE,
    meeting_pb2.MEETING_STATE_ENDED,
)
WEEK = timedelta(weeks=1).total_seconds()


@pytest.fixture
async def there(
    database: DatabaseFactory, tmp_path: Path
) -> AsyncIterator[tuple[Stand, ManualClock]]:
    async with a_stand(database, tmp_path) as it:
        it[0].neighbours.summarise = first_and_last
        yield it


@pytest.fixture
def ann(there: tuple[Stand, ManualClock]) -> Keeper:
    return Keeper.at(*there)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as it:
        yield it


async def plan(host: Keeper, recurrence: str = "FREQ=WEEKLY;COUNT=2") -> str:
    """Plan a meeting that begins now."""
    schedule = schedule_pb2.Schedule(time_zone="UTC", recurrence=recurrence)
    schedule.start_time.FromDatetime(BEGIN)
    request = schedule_pb2.ScheduleMeetingRequest(
        meeting=meeting_pb2.Meeting(title="Weekly"), schedule=schedule
    )
    stub: Any = schedule_pb2_grpc.ScheduleServiceStub(host.person.channel)
    answer = await stub.ScheduleMeeting(request, metadata=host.person.metadata)
    return str(answer.meeting.name)


async def get(host: Keeper, meeting: str) -> Any:
    request = meeting_pb2.GetMeetingRequest(name=meeting)
    return await host.meetings.GetMeeting(request, metadata=host.person.metadata)


async def end(who: Keeper, meeting: str, *, for_good: bool = False) -> Any:
    request = meeting_pb2.EndMeetingRequest(name=meeting, for_good=for_good)
    return await who.meetings.EndMeeting(request, metadata=who.person.metadata)


async def held(host: Keeper, meeting: str) -> str:
    """Have its host be there; returns the host's participant."""
    participant = await host.person.join(meeting)
    await host.connect(participant)
    return participant


async def role_of(host: Keeper, participant: str) -> int:
    request = meeting_pb2.ListParticipantsRequest(parent=participant.partition("/participants/")[0])
    listed = await host.meetings.ListParticipants(request, metadata=host.person.metadata)
    (role,) = (each.role for each in listed.participants if each.name == participant)
    return int(role)


async def until_it_is(host: Keeper, meeting: str, state: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await get(host, meeting)).state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_it_ends_for_now_and_after_its_last_time_for_good(
    there: tuple[Stand, ManualClock], ann: Keeper, receiver: Receiver
) -> None:
    stand, clock = there
    webhook = (await ann.add(receiver.uri)).webhook.name
    meeting = await plan(ann)
    participant = await held(ann, meeting)
    lock = meeting_pb2.LockMeetingRequest(name=meeting)
    await ann.meetings.LockMeeting(lock, metadata=ann.person.metadata)
    for _ in range(2):
        ended = await end(ann, meeting)
        assert (ended.state, ended.locked, ended.participant_count) == (SCHEDULED, False, 0)
    told = [each.message.WhichOneof("message") for each in stand.neighbours.events]
    assert told.count("meeting_ended") == 1
    assert await refusal(ann.connect(participant)) == "PARTICIPANT_GONE"
    await receiver.until(6)
    await ann.at_rest(webhook)  # what is on its way when a lease runs out is delivered again
    clock.advance(WEEK)
    await held(ann, meeting)
    again = await get(ann, meeting)
    assert again.state == ACTIVE
    assert again.start_time.ToDatetime(UTC) == clock.now()
    assert (await end(ann, meeting)).state == ENDED
    assert await refusal(ann.person.join(meeting)) == "MEETING_ENDED"
    await receiver.until(10)
    one_time = ["STARTED", "PARTICIPANT_JOINED", "PARTICIPANT_LEFT", "ENDED"]
    expected = ["CREATED", *2 * one_time]
    assert [each for each in receiver.types() if each != "UPDATED"] == expected


async def test_its_host_alone_ends_all_its_times(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    bob, clock = Keeper.at(*there), there[1]
    meeting = await plan(ann, "FREQ=WEEKLY")
    away, standing_in = await held(ann, meeting), await held(bob, meeting)
    await ann.connect(away, left=True)
    clock.advance(HOST_AWAY.total_seconds())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await role_of(ann, standing_in) != meeting_pb2.PARTICIPANT_ROLE_HOST:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await refusal(end(bob, meeting, for_good=True)) == "NOT_HOST"
    assert (await end(bob, meeting)).state == SCHEDULED
    for _ in range(2):
        assert (await end(ann, meeting, for_good=True)).state == ENDED


async def test_whom_nobody_ends_it_ends_by_itself_when_all_have_left(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    _, clock = there
    weekly, once = await plan(ann, "FREQ=WEEKLY"), await ann.person.create()
    last = await plan(ann, "FREQ=WEEKLY;COUNT=1")
    for meeting in (weekly, once, last):
        await ann.connect(await held(ann, meeting), left=True)
    clock.advance(DESERTED.total_seconds() - 1)
    bob = await ann.person.join(weekly)
    clock.advance(2)
    await ann.connect(bob, left=True)
    clock.advance(DESERTED.total_seconds())
    await until_it_is(ann, weekly, SCHEDULED)
    await until_it_is(ann, last, SCHEDULED)
    await held(ann, last)  # its last time was but interrupted
    assert (await get(ann, once)).state == ACTIVE


async def test_its_breakout_rooms_end_with_it_and_nobody_is_brought_back(
    ann: Keeper,
) -> None:
    meeting = await plan(ann, "FREQ=WEEKLY")
    mine = await held(ann, meeting)
    stub: Any = breakout_pb2_grpc.BreakoutServiceStub(ann.person.channel)
    request = breakout_pb2.OpenBreakoutsRequest(parent=meeting)
    request.breakouts.add(title="One", participants=[mine])
    opened = await stub.OpenBreakouts(request, metadata=ann.person.metadata)
    (room,) = (each.meeting for each in opened.breakouts)
    await held(ann, room)
    assert (await end(ann, meeting)).state == SCHEDULED
    await until_it_is(ann, room, ENDED)
    assert (await get(ann, meeting)).state == SCHEDULED
    listing = breakout_pb2.ListBreakoutsRequest(parent=meeting)
    assert not (await stub.ListBreakouts(listing, metadata=ann.person.metadata)).breakouts


async def test_each_time_is_summarised_by_itself(
    there: tuple[Stand, ManualClock], ann: Keeper
) -> None:
    stand, clock = there
    meeting = await plan(ann, "FREQ=WEEKLY")
    await ann.person.switch(meeting, captions=True, transcript=True, summary=True)
    for text in ("We begin in May", "We begin in June"):
        participant = await held(ann, meeting)
        await ann.person.agree(participant, transcript=True)
        await stand.record(said(participant, text, clock.now()))
        await end(ann, meeting)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := await made(ann.person, meeting, clock)).topics[-1].text != text:
                clock.advance(SETTLING.total_seconds())
                await asyncio.sleep(0.1)
        assert [each.text for each in found.topics] == [text]
        clock.advance(WEEK)
    assert await ann.person.transcript(meeting) == ["We begin in May", "We begin in June"]
