"""The log of events in Postgres: numbered one after the other, read from a number on, and kept for KEPT.

Why events get their numbers after they are committed: a number that is drawn when an event is written is committed later
than a higher one whenever the transactions end in the other order, and whoever has read up to the higher one never sees
it. So events are written without a number (`event_record`), with no lock but their meeting's, and then numbered by one
process at a time, which holds the log's row: numbers become visible in their order, and a number is a place that one can
go on from. Within a meeting numbers are in the order of what happened, since all who write hold the meeting's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, exists, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from services.meeting.events.tables import DeliveryRow, LoggedRow, LogRow, NewsRow, WebhookRow

KEPT = timedelta(days=30)
NUMBERED_AT_ONCE = 500
SWEPT_AT_ONCE = 1_000

_NUMBER = text("""
WITH taken AS (
  DELETE FROM event_news
  WHERE position IN (SELECT position FROM event_news ORDER BY position LIMIT :limit)
  RETURNING position, host_id, meeting_id, type, payload, create_time
)
INSERT INTO events (sequence, host_id, meeting_id, type, payload, create_time)
SELECT :last + row_number() OVER (ORDER BY position), host_id, meeting_id, type, payload, create_time
FROM taken
RETURNING host_id
""")


@dataclass(frozen=True, slots=True)
class Logged:
    """An event, by its number; `payload` is a MeetingEvent without its cursor."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """The last number that was given, and the last that was swept."""

    last: int
    swept: int


class EventLog:
    """Numbers events, and reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def number(self, now: datetime) -> int:
        """Give numbers to some events that have none; returns to how many. 0 where another process is at it."""
        async with self._database.begin() as session:
            if not (await session.execute(select(exists().select_from(NewsRow)))).scalar():
                return 0
            locked = select(LogRow).with_for_update(skip_locked=True)
            if (log := (await session.execute(locked)).scalar_one_or_none()) is None:
                return 0
            values = {"last": log.last_sequence, "limit": NUMBERED_AT_ONCE}
            hosts = (await session.execute(_NUMBER, values)).scalars().all()
            log.last_sequence += len(hosts)
            await _wake(session, hosts, now)
            return len(hosts)

    async def bounds(self) -> Bounds:
        """Tell which numbers there are."""
        query = select(LogRow.last_sequence, LogRow.swept_sequence)
        async with self._database.begin() as session:
            return Bounds(*(await session.execute(query)).one())

    async def page(
        self, host_id: UUID, after: int, limit: int, meeting_id: UUID | None = None
    ) -> Sequence[Logged]:
        """List a host's events, in order, from above a number; of one meeting alone if it is named."""
        where = (LoggedRow.host_id == host_id) & (LoggedRow.sequence > after)
        if meeting_id is not None:
            where &= LoggedRow.meeting_id == meeting_id
        query = select(LoggedRow.sequence, LoggedRow.payload).where(where)
        async with self._database.begin() as session:
            rows = await session.execute(query.order_by(LoggedRow.sequence).limit(limit))
            return [Logged(*row) for row in rows]

    async def hosts(self, after: int, last: int) -> set[UUID]:
        """Tell to whose meetings something has happened, above one number and up to another."""
        query = select(LoggedRow.host_id).distinct()
        query = query.where(LoggedRow.sequence.between(after + 1, last))
        async with self._database.begin() as session:
            return set((await session.execute(query)).scalars())

    async def sweep(self, now: datetime) -> int:
        """Delete some of what has been kept long enough, with its deliveries; returns how many events."""
        async with self._database.begin() as session:
            locked = select(LogRow).with_for_update()
            log = (await session.execute(locked)).scalar_one()
            query = select(LoggedRow.sequence, LoggedRow.create_time)
            oldest = await session.execute(query.order_by(LoggedRow.sequence).limit(SWEPT_AT_ONCE))
            gone = [sequence for sequence, time in oldest if time <= now - KEPT]
            if not gone:
                return 0
            log.swept_sequence = max(gone)
            for table in (LoggedRow, DeliveryRow):
                upto = table.sequence <= log.swept_sequence
                await session.execute(delete(table).where(upto))
            return len(gone)


async def _wake(session: AsyncSession, hosts: Iterable[UUID], now: datetime) -> None:
    """Have the webhooks of hosts filled. They are locked first: who fills one now may have read the log before us."""
    concerned = WebhookRow.owner_id.in_(set(hosts)) & WebhookRow.pause_time.is_(None)
    locked = select(WebhookRow.id).where(concerned).order_by(WebhookRow.id).with_for_update()
    ids = (await session.execute(locked)).scalars().all()
    idle = WebhookRow.id.in_(ids) & WebhookRow.fill_time.is_(None)
    await session.execute(update(WebhookRow).where(idle).values(fill_time=now))


__all__ = ["KEPT", "Bounds", "EventLog", "Logged"]
