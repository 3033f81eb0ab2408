"""Summaries, and those that are still to be made, in Postgres.

A summary that is due is claimed by one process at a time, for LEASE; should that process die, another claims it then.
Whoever took longer than that has lost its claim, and changes nothing any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.db import Database
from services.meeting.domain import Meeting, MeetingState, ParticipantState, SummaryNotFound
from services.meeting.events.happenings import Happening, Kind
from services.meeting.events.record import record
from services.meeting.tables import (
    MeetingRow,
    ParticipantRow,
    SummaryRow,
    TranscriptRow,
    to_meeting,
)
from services.meeting.transcripts.store import Said, locked_transcript
from services.meeting.transcripts.summary import ABANDONED, PATIENCE, Summary, summary_of

LEASE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Claim:
    """A summary that is ours to make: of which meeting, wanted since when, and at which attempt."""

    meeting: Meeting
    request_time: datetime
    attempt: int


class SummaryStore:
    """Keeps summaries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, meeting: Meeting) -> tuple[Summary, datetime]:
        """Read a summary, and when it was made. Raises SummaryNotFound."""
        async with self._database.begin() as session:
            row = await session.get(SummaryRow, meeting.id)
        if row is None or row.content is None or row.create_time is None:
            raise SummaryNotFound(meeting=meeting.name)
        return summary_of(row.content), row.create_time

    async def put(self, meeting: Meeting, summary: Summary, made_of: Said, now: datetime) -> bool:
        """Keep a summary, unless what it was made of has been deleted meanwhile; tells whether it is kept."""
        made = {"content": summary.stored(), "create_time": now}
        new = {"meeting_id": meeting.id, "request_time": now, "attempts": 0}
        statement = insert(SummaryRow).values({**new, **made})
        locked = select(MeetingRow).where(MeetingRow.id == meeting.id).with_for_update()
        async with self._database.begin() as session:
            if (its := (await session.execute(locked)).scalar_one_or_none()) is None:
                return False
            row = await locked_transcript(session, meeting.id, now)
            if row.delete_time != made_of.delete_time:
                return False
            await session.execute(
                statement.on_conflict_do_update(index_elements=["meeting_id"], set_=made)
            )
            told = Happening(Kind.SUMMARY_READY, subject=f"{meeting.name}/summary")
            await record(session, to_meeting(its), [told], now)
            return True

    async def claim(self, now: datetime) -> Claim | None:
        """Claim the summary that has been due for longest, if there is one."""
        query = select(SummaryRow, MeetingRow).join(
            MeetingRow, MeetingRow.id == SummaryRow.meeting_id
        )
        query = query.where(SummaryRow.due_time <= now).order_by(SummaryRow.due_time).limit(1)
        query = query.with_for_update(of=SummaryRow, skip_locked=True)
        async with self._database.begin() as session:
            if (found := (await session.execute(query)).one_or_none()) is None:
                return None
            row, meeting = found
            row.due_time = now + LEASE
            row.attempts += 1
            return Claim(to_meeting(meeting), row.request_time, row.attempts)

    async def release(self, claim: Claim, due: datetime | None) -> None:
        """Have it tried again at `due`; None: it is done, or given up."""
        where = (SummaryRow.meeting_id == claim.meeting.id) & (SummaryRow.attempts == claim.attempt)
        where &= SummaryRow.request_time == claim.request_time
        async with self._database.begin() as session:
            await session.execute(update(SummaryRow).where(where).values(due_time=due))

    async def request_abandoned(self, now: datetime) -> int:
        """Have meetings summarised that everybody has left and nobody has ended; returns how many."""
        quiet = TranscriptRow.record_time.between(now - PATIENCE, now - ABANDONED)
        wanted = MeetingRow.settings["summary"].as_boolean()
        is_here = ParticipantRow.state == ParticipantState.CONNECTED.value
        is_open = MeetingRow.state == MeetingState.ACTIVE.value
        known = or_(
            SummaryRow.due_time.is_not(None), SummaryRow.request_time > TranscriptRow.record_time
        )
        query = (
            select(MeetingRow.id, literal(now), literal(now), literal(0))
            .join(TranscriptRow, TranscriptRow.meeting_id == MeetingRow.id)
            .where(and_(quiet, wanted, is_open, TranscriptRow.segment_count > 0))
            .where(~exists().where(and_(SummaryRow.meeting_id == MeetingRow.id, known)))
            .where(~exists().where(and_(ParticipantRow.meeting_id == MeetingRow.id, is_here)))
        )
        names = ["meeting_id", "request_time", "due_time", "attempts"]
        statement = insert(SummaryRow).from_select(names, query)
        again = {"request_time": now, "due_time": now, "attempts": 0}
        statement = statement.on_conflict_do_update(index_elements=["meeting_id"], set_=again)
        async with self._database.begin() as session:
            made = await session.execute(statement.returning(SummaryRow.meeting_id))
            return len(made.all())


__all__ = ["Claim", "SummaryStore"]
