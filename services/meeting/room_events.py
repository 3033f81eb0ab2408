"""What rooms are still to be told, in Postgres: added with what happened, in one transaction, and taken in order.

Whoever adds events holds the meeting's row lock, so that the positions of one meeting's events are committed in their
order. Whoever takes them holds an advisory lock of that meeting, so that one process tells it at a time. Signaling leaves
out positions that it has had, so that an event which is taken twice is told once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select

from chassis.db import Database
from services.meeting.room_tables import EventRow
from services.meeting.store import MeetingTransaction

BATCH = 64
BATCH_BYTES = 1024 * 1024
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
    """Events of one meeting that it has not been told of, by their positions, in order."""

    meeting: str
    events: Sequence[tuple[int, RoomEvent]]


def tell_room(transaction: MeetingTransaction, events: Iterable[RoomEvent], now: datetime) -> None:
    """Have a meeting's room told, if this transaction is committed."""
    meeting = transaction.meeting
    transaction.session.add_all(
        EventRow(
            meeting_id=meeting.id,
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
        """Take a meeting's oldest events; they are forgotten if the block ends well.

        Gives None where there are none, or another process has them.
        """
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(str(meeting_id), 0))
        query = select(EventRow).where(EventRow.meeting_id == meeting_id)
        query = query.order_by(EventRow.position).limit(BATCH)
        async with self._database.begin() as session:
            if not (await session.execute(select(lock))).scalar_one():
                yield None
                return
            rows = _bounded((await session.execute(query)).scalars().all())
            if not rows:
                yield None
                return
            events = [(row.position, RoomEvent(row.payload, row.participant)) for row in rows]
            yield Waiting(f"meetings/{rows[0].meeting_code}", events)
            told = (EventRow.meeting_id == meeting_id) & (EventRow.position <= rows[-1].position)
            await session.execute(delete(EventRow).where(told))

    async def expire(self, now: datetime) -> int:
        """Forget some of what is stale; returns how many."""
        old = select(EventRow.position).where(EventRow.create_time <= now - STALE)
        old = old.limit(EXPIRED_AT_ONCE).with_for_update(skip_locked=True)
        statement = delete(EventRow).where(EventRow.position.in_(old))
        async with self._database.begin() as session:
            return len((await session.execute(statement.returning(EventRow.position))).all())


def _bounded(rows: Sequence[EventRow]) -> Sequence[EventRow]:
    """Cut rows off where they get too large for one request; one is always left."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row.payload)
        if number and size > BATCH_BYTES:
            return rows[:number]
    return rows


__all__ = ["RoomEvent", "RoomEvents", "Waiting", "tell_room"]
