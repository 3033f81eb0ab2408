"""Schedules and feeds in Postgres. What changes a schedule holds the meeting's lock."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.idempotency import RequestIdReused
from services.meeting.audit import AuditEvent
from services.meeting.domain import Meeting, MeetingNotFound, MeetingState
from services.meeting.planning.schedule import (
    MARGIN,
    MAX_SCHEDULES,
    CalendarFeedNotFound,
    NotScheduled,
    Plan,
    Schedule,
    Scheduled,
    TooManySchedules,
)
from services.meeting.planning.tables import FeedRow, ScheduleRow
from services.meeting.store import MeetingTransaction, Store
from services.meeting.tables import AuditRow, MeetingRow, ParticipantRow, to_meeting

READ_AT_ONCE = 2 * MAX_SCHEDULES
FEED_LIMIT = 500
FEED_PAST = timedelta(days=90)
"""For so long a feed has what is over."""


class ScheduleStore:
    """What is kept of when meetings are."""

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database

    async def add(
        self, meeting: Meeting, schedule: Schedule, request_id: UUID | None, now: datetime
    ) -> Scheduled:
        """Add a meeting with its time, or give what an earlier call with the same request id made.

        Raises TooManySchedules, RequestIdReused (a meeting without a time was made by it).
        """
        async with self._database.together() as session:
            kept = await self._store.add_meeting(meeting, request_id)
            if kept.id != meeting.id:
                if (row := await session.get(ScheduleRow, kept.id)) is None:
                    raise RequestIdReused
                return Scheduled(kept, _schedule(row))
            await _check_room(session, meeting.host_id, now)
            session.add(ScheduleRow(meeting_id=meeting.id, **_values(schedule)))
            await session.flush()
        return Scheduled(meeting, schedule)

    async def get(self, code: str) -> Scheduled:
        """Read when a meeting is. Raises MeetingNotFound, NotScheduled."""
        query = select(MeetingRow, ScheduleRow).where(MeetingRow.code == code)
        query = query.join(ScheduleRow, ScheduleRow.meeting_id == MeetingRow.id, isouter=True)
        async with self._database.begin() as session:
            found = (await session.execute(query)).one_or_none()
        if found is None:
            raise MeetingNotFound(meeting=f"meetings/{code}")
        meeting, row = found
        if row is None:
            raise NotScheduled(meeting=f"meetings/{code}")
        return Scheduled(to_meeting(meeting), _schedule(row))

    async def between(self, user_id: UUID, since: datetime, before: datetime) -> list[Scheduled]:
        """List those of a user's meetings, hosted or joined, that may be within a window."""
        where = ScheduleRow.start_time < before + MARGIN
        where &= _not_over_by(since - MARGIN)
        where &= MeetingRow.state != MeetingState.CANCELLED.value
        query = _of(user_id).where(where)
        query = query.order_by(ScheduleRow.start_time, ScheduleRow.meeting_id).limit(READ_AT_ONCE)
        async with self._database.begin() as session:
            return [_scheduled(row) for row in await session.execute(query)]

    async def renew_feed(self, user_id: UUID, now: datetime, event: AuditEvent) -> str:
        """Give a user's feed a new secret; returns it."""
        secret = secrets.token_urlsafe(32)
        values = {"digest": _digest(secret), "create_time": now}
        statement = insert(FeedRow).values(user_id=user_id, **values)
        statement = statement.on_conflict_do_update(index_elements=["user_id"], set_=values)
        async with self._database.begin() as session:
            await session.execute(statement)
            session.add(_audited(event))
        return secret

    async def feed(self, secret: str, now: datetime) -> list[Scheduled]:
        """Read what is in a feed: what is to come, or was lately, the latest first. Raises CalendarFeedNotFound."""
        async with self._database.begin() as session:
            found = select(FeedRow.user_id).where(FeedRow.digest == _digest(secret))
            if (user_id := (await session.execute(found)).scalar_one_or_none()) is None:
                raise CalendarFeedNotFound
            query = _of(user_id).where(_not_over_by(now - FEED_PAST))
            query = query.order_by(ScheduleRow.start_time.desc(), ScheduleRow.meeting_id)
            return [_scheduled(row) for row in await session.execute(query.limit(FEED_LIMIT))]


async def schedule_in(transaction: MeetingTransaction) -> Scheduled | None:
    """Read when a meeting is that is held; None where it has no time."""
    row = await transaction.session.get(ScheduleRow, transaction.meeting.id)
    return None if row is None else Scheduled(transaction.meeting, _schedule(row))


async def takes_place_again(transaction: MeetingTransaction, now: datetime) -> bool:
    """Tell whether a meeting that is held recurs, and has a time to come."""
    scheduled = await schedule_in(transaction)
    return scheduled is not None and scheduled.schedule.plan.recurs_after(now)


async def reschedule(transaction: MeetingTransaction, schedule: Schedule) -> None:
    """Write a schedule as it is now."""
    row = await transaction.session.get_one(ScheduleRow, transaction.meeting.id)
    for name, value in _values(schedule).items():
        setattr(row, name, value)


async def _check_room(session: AsyncSession, host_id: UUID, now: datetime) -> None:
    """See that a host has few enough meetings to come. Raises TooManySchedules."""
    query = select(func.count()).select_from(ScheduleRow)
    query = query.join(MeetingRow, MeetingRow.id == ScheduleRow.meeting_id)
    states = [MeetingState.SCHEDULED.value, MeetingState.ACTIVE.value]
    query = query.where(
        (MeetingRow.host_id == host_id) & MeetingRow.state.in_(states) & _not_over_by(now)
    )
    if (await session.execute(query)).scalar_one() >= MAX_SCHEDULES:
        raise TooManySchedules(limit=str(MAX_SCHEDULES))


def _of(user_id: UUID) -> Any:
    joined = exists().where(
        (ParticipantRow.meeting_id == MeetingRow.id)
        & (ParticipantRow.user_id == user_id)
        & ParticipantRow.admit_time.is_not(None)
    )
    query = select(MeetingRow, ScheduleRow).join(
        ScheduleRow, ScheduleRow.meeting_id == MeetingRow.id
    )
    return query.where((MeetingRow.host_id == user_id) | joined)


def _not_over_by(time: datetime) -> ColumnElement[bool]:
    return or_(ScheduleRow.end_time.is_(None), ScheduleRow.end_time > time)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _audited(event: AuditEvent) -> AuditRow:
    names = ("id", "time", "actor", "action", "subject", "details")
    return AuditRow(**{name: getattr(event, name) for name in names})


def _values(schedule: Schedule) -> dict[str, Any]:
    plan = schedule.plan
    return {
        "begin": plan.begin,
        "fold": plan.begin.fold,
        "time_zone": plan.time_zone,
        "duration_seconds": round(plan.duration.total_seconds()),
        "recurrence": plan.recurrence,
        "exceptions": [each.isoformat() for each in plan.exceptions],
        "sequence": schedule.sequence,
        "update_time": schedule.update_time,
        "start_time": plan.start_time,
        "end_time": plan.end_time,
    }


def _schedule(row: ScheduleRow) -> Schedule:
    plan = Plan(
        begin=row.begin.replace(fold=row.fold),
        time_zone=row.time_zone,
        duration=timedelta(seconds=row.duration_seconds),
        recurrence=row.recurrence,
        exceptions=tuple(map(datetime.fromisoformat, row.exceptions)),
    )
    return Schedule(row.meeting_id, plan, row.update_time, row.sequence)


def _scheduled(row: Any) -> Scheduled:
    meeting, schedule = row
    return Scheduled(to_meeting(meeting), _schedule(schedule))


__all__ = ["ScheduleStore", "reschedule", "schedule_in", "takes_place_again"]
