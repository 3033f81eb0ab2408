"""Those who race for a meeting leave it in a lawful state: on real Postgres, through the store's own locks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from chassis import db, reads
from chassis.migration.__main__ import migrate
from services.meeting.app import MIGRATIONS
from services.meeting.domain import (
    Meeting,
    MeetingEnded,
    MeetingFull,
    MeetingState,
    Participant,
    ParticipantState,
    admit,
    new_code,
)
from services.meeting.store import Store
from tests.conftest import DatabaseFactory

TICKET = timedelta(minutes=10)


async def a_meeting(store: Store, capacity: int) -> Meeting:
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
    )
    return await store.add_meeting(meeting, None)


async def join(store: Store, code: str) -> bool:
    now, user = datetime.now(UTC), uuid4()
    try:
        async with store.locked_meeting(code) as transaction:
            meeting = transaction.meeting
            role = admit(meeting, await transaction.present(), user, "", now, TICKET)
            participant = Participant(
                id=uuid4(),
                meeting_id=meeting.id,
                meeting_code=code,
                user_id=user,
                display_name="Racer",
                role=role,
                state=ParticipantState.JOINING,
                join_time=now,
            )
            transaction.add(participant, None)
    except (MeetingFull, MeetingEnded):
        return False
    return True


async def end(store: Store, meeting: Meeting) -> None:
    now = datetime.now(UTC)
    async with store.locked_meeting(meeting.code) as transaction:
        transaction.change_meeting(transaction.meeting.ended(meeting.host_id, now))
        for participant in await transaction.present():
            await transaction.change(participant.left(now))


async def test_no_more_join_than_there_are_places(database: DatabaseFactory) -> None:
    url = database("meeting")
    async with db.connected(url, MIGRATIONS) as opened, reads.connected(url) as reading:
        store = Store(opened, reading)
        meeting = await a_meeting(store, capacity=5)
        joined = await asyncio.gather(*(join(store, meeting.code) for _ in range(20)))
        assert sum(joined) == 5


async def test_nobody_stays_in_a_meeting_that_ends_meanwhile(database: DatabaseFactory) -> None:
    url = database("meeting")
    async with db.connected(url, MIGRATIONS) as opened, reads.connected(url) as reading:
        store = Store(opened, reading)
        meeting = await a_meeting(store, capacity=100)
        racers = [join(store, meeting.code) for _ in range(10)]
        await asyncio.gather(*racers[:5], end(store, meeting), *racers[5:])
        async with store.locked_meeting(meeting.code) as transaction:
            assert transaction.meeting.state is MeetingState.ENDED
            assert await transaction.present() == []


async def test_several_processes_may_migrate_at_once(database: DatabaseFactory) -> None:
    url = database("meeting")
    await asyncio.gather(*(asyncio.to_thread(migrate, url, MIGRATIONS) for _ in range(4)))
