"""What is kept goes when its time is up, and not before; summaries that are due are made once: real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from chassis import db, reads
from chassis.clock import ManualClock
from chassis.idempotency import Answers
from services.meeting.app import MIGRATIONS
from services.meeting.domain import Meeting, Participant
from services.meeting.domain import ParticipantRole as Role
from services.meeting.domain import ParticipantState as At
from services.meeting.records.retention import Retention
from services.meeting.room.chat_store import ChatStore
from services.meeting.room.poll_store import PollStore
from services.meeting.settings import Settings
from services.meeting.store import Store
from services.meeting.tables import SegmentRow
from services.meeting.transcripts.store import SEGMENTS_AT_ONCE, TranscriptStore
from services.meeting.transcripts.summary import ABANDONED, PATIENCE, Summary
from services.meeting.transcripts.summary_store import LEASE, SummaryStore
from services.meeting.transcripts.transcript import Segment
from tests.conftest import DatabaseFactory
from tests.meetings import NOW, a_meeting

DAY = 86_400
NOTHING = Summary("", (), (), (), "stand@1")


@dataclass
class Stores:
    """The stores of one process, and another's on the same database."""

    database: db.Database
    store: Store
    clock: ManualClock

    def __post_init__(self) -> None:
        self.transcripts, self.summaries = (
            TranscriptStore(self.database),
            SummaryStore(self.database),
        )
        self.retention = Retention(
            self.transcripts,
            ChatStore(self.database),
            PollStore(self.database),
            Answers(self.database),
            self.clock,
        )

    async def meeting(self, **settings: object) -> Meeting:
        wanted = replace(Settings(captions=True), **settings)  # type: ignore[arg-type]  # replace() takes any field
        made = a_meeting(code=uuid4().hex[:12], settings=wanted)
        return await self.store.add_meeting(made, None)

    async def say(self, meeting: Meeting, count: int = 1, *, held: bool = False) -> None:
        now = self.clock.now()
        for begin in range(0, count, 250):
            many = [
                Segment(uuid4(), meeting.name, uuid4(), "Ann", "x", "en", now, now, 1.0, held)
                for _ in range(min(250, count - begin))
            ]
            await self.transcripts.add(meeting, many, now)

    async def end(self, meeting: Meeting, *, summarised: bool = False) -> None:
        now = self.clock.now()
        async with self.store.locked_meeting(meeting.code) as transaction:
            transaction.change_meeting(transaction.meeting.ended(now))
            if summarised:
                await transaction.request_summary(now, now)

    async def left(self, meeting: Meeting) -> int:
        """Tell how many segments there are after a sweep, held or kept."""
        await self.retention.sweep()
        query = select(func.count()).where(SegmentRow.meeting_id == meeting.id)
        async with self.database.begin() as session:
            return int((await session.execute(query)).scalar_one())


@pytest.fixture
async def stores(database: DatabaseFactory) -> AsyncIterator[Stores]:
    url = database("meeting")
    async with db.connected(url, MIGRATIONS) as connected, reads.connected(url) as reading:
        yield Stores(connected, Store(connected, reading), ManualClock(NOW))


async def test_a_transcript_is_kept_after_the_meeting_for_as_long_as_the_host_said(
    stores: Stores,
) -> None:
    default = await stores.meeting(transcript=True)
    short = await stores.meeting(transcript=True, transcript_retention_seconds=3 * DAY)
    for meeting in (default, short):
        await stores.say(meeting)
    stores.clock.advance(DAY / 2)
    for meeting in (default, short):
        await stores.end(meeting)
    stores.clock.advance(3 * DAY - 1)
    assert await stores.left(short) == 1
    stores.clock.advance(1)
    assert await stores.left(short) == 0
    assert await stores.left(default) == 1
    stores.clock.advance(27 * DAY)
    assert await stores.left(default) == 0


async def test_of_a_meeting_that_nobody_ends_each_segment_has_its_own_time(stores: Stores) -> None:
    meeting = await stores.meeting(transcript=True, transcript_retention_seconds=0)
    await stores.say(meeting)
    stores.clock.advance(DAY - 1)
    await stores.say(meeting)
    assert await stores.left(meeting) == 2
    stores.clock.advance(1)
    assert await stores.left(meeting) == 1


async def test_many_go_in_batches_and_make_room(stores: Stores) -> None:
    count = SEGMENTS_AT_ONCE + 300
    meeting = await stores.meeting(transcript=True, transcript_retention_seconds=0)
    await stores.say(meeting, count)
    await stores.end(meeting)
    others = Retention(
        TranscriptStore(stores.database),
        ChatStore(stores.database),
        PollStore(stores.database),
        Answers(stores.database),
        stores.clock,
    )
    await asyncio.gather(others.sweep(), stores.retention.sweep())
    assert await stores.left(meeting) == 0
    said = await stores.transcripts.said(meeting)
    assert not said.segments


async def test_what_a_summary_is_to_be_made_of_stays_until_it_is(stores: Stores) -> None:
    held = await stores.meeting(summary=True)
    kept = await stores.meeting(transcript=True, summary=True, transcript_retention_seconds=0)
    for meeting in (held, kept):
        await stores.say(meeting, held=meeting is held)
        await stores.end(meeting, summarised=True)
        assert await stores.left(meeting) == 1
        claim = await stores.summaries.claim(stores.clock.now())
        assert claim is not None
        assert claim.meeting.id == meeting.id
        assert await stores.left(meeting) == 1
        await stores.summaries.release(claim, None)
        assert await stores.left(meeting) == 0


async def test_nothing_is_held_for_longer_than_a_day(stores: Stores) -> None:
    meeting = await stores.meeting(summary=True)
    await stores.say(meeting, held=True)
    stores.clock.advance(PATIENCE.total_seconds() - 1)
    assert await stores.left(meeting) == 1
    stores.clock.advance(1)
    assert await stores.left(meeting) == 0


async def test_a_summary_is_made_by_one_process_and_by_another_if_that_one_dies(
    stores: Stores,
) -> None:
    meeting = await stores.meeting(summary=True)
    await stores.say(meeting, held=True)
    await stores.end(meeting, summarised=True)
    other, now = SummaryStore(stores.database), stores.clock.now()
    claims = await asyncio.gather(stores.summaries.claim(now), other.claim(now))
    first = next(claim for claim in claims if claim is not None)
    assert None in claims
    second = await other.claim(now + LEASE)
    assert second is not None
    await stores.summaries.release(first, None)  # too late: it is no longer ours
    third = await other.claim(now + 2 * LEASE)
    assert third is not None
    await other.release(third, None)
    assert await other.claim(now + 9 * LEASE) is None


async def test_a_meeting_that_everybody_left_is_summarised_once(stores: Stores) -> None:
    meeting = await stores.meeting(summary=True)
    await stores.say(meeting, held=True)
    ann = await joined(stores, meeting)
    stores.clock.advance(ABANDONED.total_seconds())
    assert await stores.summaries.request_abandoned(stores.clock.now()) == 0  # she is still there
    async with stores.store.locked_meeting(meeting.code) as transaction:
        await transaction.change(ann.left(stores.clock.now()))
    assert await stores.summaries.request_abandoned(stores.clock.now()) == 1
    claim = await stores.summaries.claim(stores.clock.now())
    assert claim is not None
    said = await stores.transcripts.said(meeting)
    assert await stores.summaries.put(meeting, NOTHING, said, stores.clock.now())
    await stores.summaries.release(claim, None)
    stores.clock.advance(60)
    assert await stores.summaries.request_abandoned(stores.clock.now()) == 0
    await stores.say(meeting, held=True)
    stores.clock.advance(ABANDONED.total_seconds())
    assert await stores.summaries.request_abandoned(stores.clock.now()) == 1


async def test_without_the_switch_nobody_asks_for_a_summary(stores: Stores) -> None:
    meeting = await stores.meeting(transcript=True)
    await stores.say(meeting)
    stores.clock.advance(ABANDONED.total_seconds())
    assert await stores.summaries.request_abandoned(stores.clock.now()) == 0


async def joined(stores: Stores, meeting: Meeting) -> Participant:
    person = Participant(
        uuid4(), meeting.id, meeting.code, uuid4(), "Ann", Role.PARTICIPANT, At.CONNECTED, NOW
    )
    async with stores.store.locked_meeting(meeting.code) as transaction:
        transaction.add(person, None)
    return person
