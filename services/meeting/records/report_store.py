"""Reports out of what Postgres keeps of participants."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from chassis.db import Database
from services.meeting.domain import Meeting
from services.meeting.records.report import Attendance, Span, Statistics

Position = tuple[datetime, UUID]
"""Where an account is among those who attended: when it first joined, and its id."""

# Times that overlap, of several devices, count once: they are merged as ranges.
_ATTENDANCES = text("""
WITH attended AS (
  SELECT user_id,
    min(connect_time) AS first_join_time,
    CASE WHEN bool_or(leave_time IS NULL) THEN NULL ELSE max(leave_time) END AS last_leave_time,
    count(*) AS visit_count,
    (array_agg(display_name ORDER BY connect_time DESC, id))[1] AS display_name,
    range_agg(tstzrange(connect_time, greatest(connect_time, coalesce(leave_time, :now)))) AS times
  FROM participants
  WHERE (meeting_id = :meeting_id OR meeting_id IN (SELECT id FROM meetings WHERE parent_id = :meeting_id))
    AND connect_time IS NOT NULL
  GROUP BY user_id
)
SELECT user_id, display_name, first_join_time, last_leave_time, visit_count,
  coalesce((SELECT sum(upper(each) - lower(each)) FROM unnest(times) AS each), interval '0') AS duration
FROM attended
WHERE CAST(:after_time AS timestamptz) IS NULL OR (first_join_time, user_id) > (:after_time, CAST(:after_id AS uuid))
ORDER BY first_join_time, user_id
LIMIT :limit
""")

_STATISTICS = text("""
SELECT count(DISTINCT coalesce(parent_id, meetings.id)) AS meeting_count,
  count(*) AS participant_count,
  count(DISTINCT user_id) AS active_user_count
FROM participants JOIN meetings ON meetings.id = meeting_id
WHERE connect_time >= :start AND connect_time < :end
""")

_TIME = text("""
SELECT coalesce(sum(least(coalesce(leave_time, :now), :end) - greatest(connect_time, :start)), interval '0')
FROM participants
WHERE connect_time < least(CAST(:now AS timestamptz), :end) AND coalesce(leave_time, :now) > :start
""")

_LIVE = text("""
SELECT count(DISTINCT coalesce(parent_id, meetings.id)) AS meeting_count, count(*) AS participant_count
FROM participants JOIN meetings ON meetings.id = meeting_id
WHERE participants.state = 'connected'
""")


class ReportStore:
    """Reads reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attendances(
        self, meeting: Meeting, now: datetime, after: Position | None, limit: int
    ) -> list[Attendance]:
        """List who attended, in order of first joining, from above `after`."""
        time, identifier = after or (None, None)
        values = {"now": now, "meeting_id": meeting.id, "limit": limit}
        values |= {"after_time": time, "after_id": identifier}
        async with self._database.begin() as session:
            return [_attendance(row) for row in await session.execute(_ATTENDANCES, values)]

    async def statistics(self, span: Span, now: datetime) -> Statistics:
        """Count what was in a span of time, and what is now."""
        values = {"start": span.start_time, "end": span.end_time}
        async with self._database.begin() as session:
            then = (await session.execute(_STATISTICS, values)).one()
            time: timedelta = (await session.execute(_TIME, {**values, "now": now})).scalar_one()
            live = (await session.execute(_LIVE)).one()
        return Statistics(
            span=span,
            meeting_count=then.meeting_count,
            live_meeting_count=live.meeting_count,
            participant_count=then.participant_count,
            live_participant_count=live.participant_count,
            active_user_count=then.active_user_count,
            participant_time=time,
        )


def _attendance(row: Row[Any]) -> Attendance:
    return Attendance(
        user_id=row.user_id,
        display_name=row.display_name,
        first_join_time=row.first_join_time,
        last_leave_time=row.last_leave_time,
        duration=row.duration,
        visit_count=row.visit_count,
    )


__all__ = ["Position", "ReportStore"]
