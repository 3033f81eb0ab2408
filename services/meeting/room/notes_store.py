"""Shared notes in Postgres."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from chassis.db import Database
from services.meeting.domain import Meeting
from services.meeting.room.notes import Merged, Notes
from services.meeting.room.tables import NotesRow
from services.meeting.store import MeetingTransaction


class NotesStore:
    """Keeps notes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, meeting: Meeting) -> Notes:
        """Read a meeting's notes; empty ones where nobody has written."""
        query = select(NotesRow).where(NotesRow.meeting_id == meeting.id)
        async with self._database.begin() as session:
            row = (await session.execute(query)).scalar_one_or_none()
        if row is None:
            return Notes()
        return Notes(row.document, row.text, row.revision, row.update_time)


async def put_notes(
    transaction: MeetingTransaction, before: Notes, merged: Merged, now: datetime
) -> bool:
    """Write notes; False when they are others than `before` by now. The caller holds the meeting's lock."""
    session, meeting_id = transaction.session, transaction.meeting.id
    values = {
        "document": merged.document,
        "text": merged.text,
        "revision": before.revision + 1,
        "update_time": now,
    }
    statement = insert(NotesRow).values(meeting_id=meeting_id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["meeting_id"], set_=values, where=NotesRow.revision == before.revision
    )
    written = await session.execute(statement.returning(NotesRow.revision))
    return written.scalar_one_or_none() is not None


__all__ = ["NotesStore", "put_notes"]
