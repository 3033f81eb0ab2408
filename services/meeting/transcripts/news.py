"""Tells programs that the transcript of a meeting that has ended is whole: once its last words have settled.

That it is to be told is written down in the transaction in which the meeting ends; whichever process is first tells it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import logs
from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import DomainError
from services.meeting.domain import Meeting, MeetingState
from services.meeting.events.happenings import Happening, Kind
from services.meeting.events.record import record
from services.meeting.events.tables import TranscriptDueRow
from services.meeting.tables import MeetingRow, SegmentRow, to_meeting
from services.meeting.transcripts.summary import SETTLING

AT_ONCE = 50

log = logs.get("meeting.transcript_news")


async def put_due(session: AsyncSession, meeting: Meeting, now: datetime) -> None:
    """Have it told of a meeting that ends now, if a transcript is kept of it."""
    if meeting.state is not MeetingState.CANCELLED and meeting.settings.transcript:
        due = {"meeting_id": meeting.id, "due_time": now + SETTLING}
        await session.execute(insert(TranscriptDueRow).values(due).on_conflict_do_nothing())


class TranscriptNews:
    """Tells what is due."""

    def __init__(self, database: Database, clock: Clock, poll_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            try:
                while await self._tell_next(self._clock.now()):
                    pass
            except DomainError as error:
                log.info("transcripts wait", reason=error.reason)
            await asyncio.sleep(self._poll_seconds)

    async def _tell_next(self, now: datetime) -> bool:
        due = select(TranscriptDueRow.meeting_id).where(TranscriptDueRow.due_time <= now)
        locked = select(MeetingRow).where(MeetingRow.id.in_(due)).limit(1)
        async with self._database.begin() as session:
            found = await session.execute(locked.with_for_update(skip_locked=True))
            if (row := found.scalar_one_or_none()) is None:
                return False
            mine = TranscriptDueRow.meeting_id == row.id
            gone = delete(TranscriptDueRow).where(mine).returning(TranscriptDueRow.meeting_id)
            is_mine = (await session.execute(gone)).one_or_none() is not None
            kept = (SegmentRow.meeting_id == row.id) & ~SegmentRow.held
            if is_mine and (await session.execute(select(exists().where(kept)))).scalar():
                meeting = to_meeting(row)
                told = Happening(Kind.TRANSCRIPT_READY, subject=f"{meeting.name}/transcript")
                await record(session, meeting, [told], now)
            return True


__all__ = ["TranscriptNews", "put_due"]
