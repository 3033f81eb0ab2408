"""What was said in meetings, in Postgres: kept in order of time, searched, deleted, and let go when its time is up.

Whoever adds or deletes segments of a meeting holds the lock of its row in `transcripts`, so that what was deleted does
not come back with a batch that media repeats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from services.meeting.audit import AuditEvent
from services.meeting.domain import Meeting, MeetingState
from services.meeting.settings import RETENTION_SECONDS
from services.meeting.tables import AuditRow, MeetingRow, SegmentRow, SummaryRow, TranscriptRow
from services.meeting.transcripts.summary import MAX_LINES, PATIENCE
from services.meeting.transcripts.transcript import MAX_SEGMENTS, Segment

BATCH = 500
MEETINGS_AT_ONCE = 100
SEGMENTS_AT_ONCE = 1_000

Position = tuple[datetime, UUID]
"""Where a segment is among the others: when it began, and its id."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a summary is made of, in order of time, and when what was before it was deleted."""

    segments: Sequence[Segment]
    delete_time: datetime | None


class TranscriptStore:
    """Keeps segments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, meeting: Meeting, segments: Sequence[Segment], now: datetime) -> int:
        """Keep segments; one that is there already changes nothing. Returns how many there was no room for."""
        async with self._database.begin() as session:
            row = await locked_transcript(session, meeting.id, now)
            fresh = [each for each in segments if _is_later(each.end_time, row.delete_time)]
            room = max(0, MAX_SEGMENTS - row.segment_count)
            if kept := fresh[:room]:
                values = [_values(meeting, each) for each in kept]
                statement = insert(SegmentRow).on_conflict_do_nothing().returning(SegmentRow.id)
                added = await session.execute(statement.values(values))
                row.segment_count += len(added.all())
                row.record_time = now
            return len(fresh) - len(kept)

    async def page(
        self,
        meeting: Meeting,
        limit: int,
        after: Position | None = None,
        query: str = "",
        since: datetime | None = None,
    ) -> list[Segment]:
        """List what is kept, in order of time, from above `after`: what contains the query, and began at `since` or later."""
        where = (SegmentRow.meeting_id == meeting.id) & ~SegmentRow.held
        if after is not None:
            where &= tuple_(SegmentRow.start_time, SegmentRow.id) > after
        if query:
            where &= SegmentRow.text.icontains(query, autoescape=True)
        if since is not None:
            where &= SegmentRow.start_time >= since
        order = (SegmentRow.start_time, SegmentRow.id)
        async with self._database.begin() as session:
            rows = await session.execute(_COLUMNS.where(where).order_by(*order).limit(limit))
            return [_segment(meeting, row) for row in rows]

    async def pages(self, meeting: Meeting) -> AsyncIterator[list[Segment]]:
        """Give all that is kept, page by page, none of which is empty."""
        after: Position | None = None
        while page := await self.page(meeting, BATCH, after):
            yield page
            after = page[-1].start_time, page[-1].id

    async def said(self, meeting: Meeting, since: datetime | None = None) -> Said:
        """Read what there is to be summarised, what is only held too; of more than MAX_LINES the longest."""
        where = SegmentRow.meeting_id == meeting.id
        if since is not None:
            where &= SegmentRow.start_time >= since
        longest = (func.char_length(SegmentRow.text).desc(), SegmentRow.start_time)
        async with self._database.begin() as session:
            row = await session.get(TranscriptRow, meeting.id)
            found = await session.execute(_COLUMNS.where(where).order_by(*longest).limit(MAX_LINES))
            segments = sorted(
                (_segment(meeting, each) for each in found), key=lambda it: (it.start_time, it.id)
            )
            return Said(segments, None if row is None else row.delete_time)

    async def first_time(self, meeting: Meeting) -> datetime | None:
        """Tell when the first of what is there was said, held or kept."""
        query = select(func.min(SegmentRow.start_time)).where(SegmentRow.meeting_id == meeting.id)
        async with self._database.begin() as session:
            return (await session.execute(query)).scalar_one_or_none()

    async def kept(self, ids: Iterable[UUID]) -> set[UUID]:
        """Tell which of some segments are kept, so that they may be cited."""
        query = select(SegmentRow.id).where(SegmentRow.id.in_(list(ids)) & ~SegmentRow.held)
        async with self._database.begin() as session:
            return set((await session.execute(query)).scalars())

    async def delete(self, meeting: Meeting, now: datetime, event: AuditEvent) -> None:
        """Delete all that was said, and the summary; what is said from now on is kept as before.

        Where nothing has come since it was deleted, nothing changes.
        """
        async with self._database.begin() as session:
            row = await locked_transcript(session, meeting.id, now)
            segments = delete(SegmentRow).where(SegmentRow.meeting_id == meeting.id)
            summary = delete(SummaryRow).where(SummaryRow.meeting_id == meeting.id)
            gone = [
                *await session.scalars(segments.returning(SegmentRow.meeting_id)),
                *await session.scalars(summary.returning(SummaryRow.meeting_id)),
            ]
            if gone or row.delete_time is None or row.record_time >= row.delete_time:
                row.segment_count, row.delete_time = 0, now
                session.add(AuditRow(**asdict(event)))

    async def let_go(self, now: datetime) -> int:
        """Delete some of what has been kept long enough, or held; returns how many segments."""
        rules = _rules(now)
        query = select(TranscriptRow.meeting_id).join(
            MeetingRow, MeetingRow.id == TranscriptRow.meeting_id
        )
        is_due = or_(*(meeting & _exists_segment(segment) for meeting, segment in rules))
        query = query.where((TranscriptRow.segment_count > 0) & is_due).limit(MEETINGS_AT_ONCE)
        is_over = or_(*(meeting & segment for meeting, segment in rules))
        async with self._database.begin() as session:
            meetings = (await session.execute(query)).scalars().all()
        return sum([await self._let_go_of(each, is_over) for each in meetings])

    async def _let_go_of(self, meeting_id: UUID, is_over: ColumnElement[bool]) -> int:
        locked = select(TranscriptRow).where(TranscriptRow.meeting_id == meeting_id)
        found = select(SegmentRow.id).join(MeetingRow, MeetingRow.id == SegmentRow.meeting_id)
        found = found.where((SegmentRow.meeting_id == meeting_id) & is_over)
        statement = delete(SegmentRow).where(SegmentRow.id.in_(found.limit(SEGMENTS_AT_ONCE)))
        async with self._database.begin() as session:
            rows = await session.execute(locked.with_for_update(skip_locked=True))
            if (row := rows.scalar_one_or_none()) is None:
                return 0
            gone = len((await session.execute(statement.returning(SegmentRow.id))).all())
            row.segment_count -= gone
            return gone


async def locked_transcript(
    session: AsyncSession, meeting_id: UUID, now: datetime
) -> TranscriptRow:
    """Take the lock of a meeting's transcript."""
    new = insert(TranscriptRow).values(meeting_id=meeting_id, segment_count=0, record_time=now)
    await session.execute(new.on_conflict_do_nothing())
    query = select(TranscriptRow).where(TranscriptRow.meeting_id == meeting_id)
    return (await session.execute(query.with_for_update())).scalar_one()


def _rules(now: datetime) -> list[tuple[ColumnElement[bool], ColumnElement[bool]]]:
    """Which segments, of which meetings, have been here long enough.

    A meeting that nobody ends is taken to be over, of each segment, PATIENCE after it was said. What a summary is still
    to be made of stays until it is, but nothing is held for longer than PATIENCE.
    """
    over = MeetingRow.state == MeetingState.ENDED.value
    is_waited_for = (SummaryRow.meeting_id == MeetingRow.id) & SummaryRow.due_time.is_not(None)
    done = over & ~exists().where(is_waited_for)
    seconds = MeetingRow.settings["transcript_retention_seconds"].as_integer()
    kept_for = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(seconds, RETENTION_SECONDS))
    held, began = and_(SegmentRow.held), SegmentRow.start_time
    return [
        (done & (MeetingRow.end_time + kept_for <= now), ~held),
        (~over, ~held & (began + kept_for <= now - PATIENCE)),
        (done, held),
        (true(), held & (began <= now - PATIENCE)),
    ]


def _exists_segment(where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where((SegmentRow.meeting_id == TranscriptRow.meeting_id) & where)


_FIELDS = (
    "id",
    "participant_id",
    "display_name",
    "text",
    "language_code",
    "start_time",
    "end_time",
    "confidence",
    "held",
)
_COLUMNS = select(*(SegmentRow.__table__.c[name] for name in _FIELDS))


def _values(meeting: Meeting, segment: Segment) -> dict[str, object]:
    return {"meeting_id": meeting.id, **{name: getattr(segment, name) for name in _FIELDS}}


def _segment(meeting: Meeting, row: Row[Any]) -> Segment:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    return Segment(meeting=meeting.name, **values)


def _is_later(time: datetime, delete_time: datetime | None) -> bool:
    return delete_time is None or time > delete_time


__all__ = ["Position", "Said", "TranscriptStore", "locked_transcript"]
