"""What rooms are still to be told, in Postgres: added with what happened, in one transaction, and taken in order.

Whoever adds events holds the meeting's row lock, so that the positions of one meeting's events are committed in their
order. Whoever takes them holds an advisory lock of that meeting, so that one process tells it at a time. What was added
together is told together, under one id, so that signaling leaves out what is told twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select

from chassis.db import Database
from services.meeting.room.tables import EventRow
from services.meeting.store import MeetingTransaction

STALE = timedelta(hours=1)
"""After so long nobody can take up a conversation of then: who joins anew reads how things stand."""
EXPIRED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """A ServerMessage, serialized, for one participant by name, or for all (empty)."""

    payload: bytes
    participant: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a meeting is to be told next, and the id by which it is known when it is told again."""

    meeting: str
    batch: UUID
    events: Sequence[RoomEvent]


def tell_room(transaction: MeetingTransaction, events: Iterable[RoomEvent], now: datetime) -> None:
    """Have a meeting's room told, if this transaction is committed; at most 256 events."""
    meeting, batch = transaction.meeting, uuid4()
    transaction.session.add_all(
        EventRow(
            meeting_id=meeting.id,
            batch=batch,
            meeting_code=meeting.code,
            participant=event.participant,
            payload=event.payload,
            create_time=now,
        )
        for event in events
    )


class RoomEvents:
    """The events that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def meetings(self, limit: int) -> list[UUID]:
        """List meetings that wait to be told something."""
        query = select(EventRow.meeting_id).group_by(EventRow.meeting_id)
        query = query.order_by(func.min(EventRow.position)).limit(limit)
        async with self._database.begin() as session:
            return list((await session.execute(query)).scalars())

    @asynccontextmanager
    async def taken(self, meeting_id: UUID) -> AsyncIterator[Waiting | None]:
        """Take a meeting's oldest batch; it is forgotten if the block ends well.

        Gives None where there is none, or another process has it.
        """
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(str(meeting_id), 0))
        mine = EventRow.meeting_id == meeting_id
        oldest = select(EventRow.batch).where(mine).order_by(EventRow.position).limit(1)
        query = select(EventRow).where(mine & (EventRow.batch == oldest.scalar_subquery()))
        async with self._database.begin() as session:
            if not (await session.execute(select(lock))).scalar_one():
                yield None
                return
            rows = (await session.execute(query.order_by(EventRow.position))).scalars().all()
            if not rows:
                yield None
                return
            events = [RoomEvent(row.payload, row.participant) for row in rows]
            yield Waiting(f"meetings/{rows[0].meeting_code}", rows[0].batch, events)
            for row in rows:
                await session.delete(row)

    async def expire(self, now: datetime) -> int:
        """Forget some of what is stale; returns how many."""
        old = select(EventRow.position).where(EventRow.create_time <= now - STALE)
        old = old.limit(EXPIRED_AT_ONCE).with_for_update(skip_locked=True)
        statement = delete(EventRow).where(EventRow.position.in_(old))
        async with self._database.begin() as session:
            return len((await session.execute(statement.returning(EventRow.position))).all())


__all__ = ["RoomEvent", "RoomEvents", "Waiting", "tell_room"]
