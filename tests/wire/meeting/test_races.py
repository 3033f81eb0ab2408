"""Those who race for a meeting leave it in a lawful state: on real Postgres, through the store's own locks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from unittest import mock
from uuid import UUID, uuid4

import pytest

from chassis import db, reads
from chassis.clock import SystemClock
from chassis.migration.__main__ import migrate
from services.meeting.app import MIGRATIONS
from services.meeting.domain import (
    Meeting,
    MeetingEnded,
    MeetingFull,
    MeetingState,
    ParticipantGone,
    new_code,
)
from services.meeting.gathering import Crowd
from services.meeting.gathering_store import GatheringStore
from services.meeting.grants import Grants
from services.meeting.joining.door import Comer
from services.meeting.joining.lobby import NotWaiting
from services.meeting.roles import Standing
from services.meeting.settings import Settings
from services.meeting.store import Store
from tests.conftest import DatabaseFactory

TICKET = timedelta(minutes=10)


async def a_meeting(store: Store, capacity: int, settings: Settings | None = None) -> Meeting:
    now = datetime.now(UTC)
    meeting = Meeting(
        id=uuid4(),
        code=new_code(),
        title="Race",
        description="",
        host_id=uuid4(),
        state=MeetingState.SCHEDULED,
        passcode="",
        capacity=capacity,
        locked=False,
        voice_activity=True,
        create_time=now,
        update_time=now,
        settings=settings or Settings(),
    )
    return await store.add_meeting(meeting, None)


async def join(gatherings: GatheringStore, code: str) -> bool:
    try:
        comer = Comer(uuid4(), "Racer")
        async with gatherings.opened_at_the_door(code, comer) as (opened, seen):
            joined = opened.gathering.join(seen.caller)
            opened.request_ids[joined.id] = None
    except (MeetingFull, MeetingEnded):
        return False
    return True


async def end(gatherings: GatheringStore, code: str) -> None:
    async with gatherings.opened(code) as opened:
        gathering = opened.gathering
        gathering.close(gathering.meeting.ended(gathering.now))


@pytest.fixture
async def gatherings(database: DatabaseFactory) -> AsyncIterator[tuple[Store, GatheringStore]]:
    url = database("meeting")
    async with db.connected(url, MIGRATIONS) as opened, reads.connected(url) as reading:
        store = Store(opened, reading)
        yield store, GatheringStore(store, opened, SystemClock(), TICKET)


async def test_no_more_join_than_there_are_places(
    gatherings: tuple[Store, GatheringStore],
) -> None:
    store, opens = gatherings
    meeting = await a_meeting(store, capacity=5)
    joined = await asyncio.gather(*(join(opens, meeting.code) for _ in range(20)))
    assert sum(joined) == 5


async def test_a_door_counts_those_whom_it_does_not_look_at(
    gatherings: tuple[Store, GatheringStore],
) -> None:
    store, opens = gatherings
    meeting = await a_meeting(store, capacity=100)
    for _ in range(3):
        assert await join(opens, meeting.code)
    async with store.locked_meeting(meeting.code) as transaction:
        come, granted, _ = await transaction.present()
    async with opens.opened(meeting.code) as opened:
        opened.gathering.connect(come.id)
        opened.gathering.set_grants(granted.id, Grants(), Standing.HOST)
    comer = Comer(come.user_id, "Racer")
    async with opens.opened_at_the_door(meeting.code, comer) as (opened, seen):
        assert {each.id for each in seen.people} == {come.id, granted.id}
        assert seen.crowd == Crowd(connected=1, places=3)
        assert opened.gathering.connected == 1
        assert seen.caller.past == opened.gathering.people[come.id]
    with mock.patch.object(SystemClock, "now", return_value=datetime.now(UTC) + TICKET):
        async with opens.opened_at_the_door(meeting.code, comer) as (opened, seen):
            assert len(seen.people) == 3, "tickets have run out"
            assert seen.crowd == Crowd(connected=1, places=1)


async def test_nobody_stays_in_a_meeting_that_ends_meanwhile(
    gatherings: tuple[Store, GatheringStore],
) -> None:
    store, opens = gatherings
    meeting = await a_meeting(store, capacity=100)
    racers = [join(opens, meeting.code) for _ in range(10)]
    await asyncio.gather(*racers[:5], end(opens, meeting.code), *racers[5:])
    async with store.locked_meeting(meeting.code) as transaction:
        assert transaction.meeting.state is MeetingState.ENDED
        assert await transaction.present() == []


async def test_who_is_admitted_and_denied_at_once_is_one_of_both(
    gatherings: tuple[Store, GatheringStore],
) -> None:
    store, opens = gatherings
    meeting = await a_meeting(store, capacity=100, settings=Settings(lobby=True))
    await asyncio.gather(*(join(opens, meeting.code) for _ in range(8)))
    waiting = await opens.waiting(meeting.id, 10)
    assert len(waiting) == 8

    async def decide(how: str, name: UUID) -> bool:
        try:
            async with opens.opened(meeting.code, name) as opened:
                getattr(opened.gathering, how)(name)
        except (ParticipantGone, NotWaiting):
            return False
        return True

    for each in waiting:
        admitted, denied = await asyncio.gather(decide("admit", each.id), decide("deny", each.id))
        assert admitted is not denied
        found = (await store.participants_of(meeting.id, [each.id]))[each.id]
        assert found.is_here is admitted


async def test_several_processes_may_migrate_at_once(empty_database: str) -> None:
    await asyncio.gather(
        *(asyncio.to_thread(migrate, empty_database, MIGRATIONS) for _ in range(4))
    )
