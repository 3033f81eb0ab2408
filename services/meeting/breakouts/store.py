"""Breakout rooms in Postgres. What changes them holds the lock of the meeting that they belong to, then those of rooms.

Nobody takes the lock of a meeting while they hold that of a room. Who joins a room holds its lock, and looks at their seat
with a lock of its own, so that a move that comes at the same time sees them in the room, or they see the move.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chassis.db import Database
from services.meeting.breakouts.rules import STRAY, Breakout, Breakouts, Seat
from services.meeting.breakouts.tables import BreakoutRow, OpeningRow, SeatRow
from services.meeting.domain import HERE, OVER, Meeting, MeetingState, Participant, ParticipantRole
from services.meeting.gathering import HOST_AWAY
from services.meeting.store import MeetingTransaction
from services.meeting.tables import MeetingRow, ParticipantRow, meeting_values, to_participant

AT_ONCE = 100
PEOPLE = 5_000


class Openings:
    """The breakout rooms of a meeting that nobody else can change meanwhile."""

    def __init__(self, transaction: MeetingTransaction) -> None:
        self._transaction = transaction
        self._session = transaction.session
        self._meeting = transaction.meeting

    async def answer(self, user_id: UUID, request_id: UUID) -> bytes | None:
        """Find what an earlier call with the same request id was answered."""
        query = select(OpeningRow.answer).where(
            (OpeningRow.meeting_id == self._meeting.id)
            & (OpeningRow.user_id == user_id)
            & (OpeningRow.request_id == request_id)
        )
        return (await self._session.execute(query)).scalar_one_or_none()

    async def count(self) -> int:
        """Count the breakout rooms that the meeting has had."""
        query = select(func.count()).where(MeetingRow.parent_id == self._meeting.id)
        return (await self._session.execute(query)).scalar_one()

    async def current(self, now: datetime) -> Breakouts | None:
        """Read the rooms that are open; None where there are none."""
        return await _current(self._session, self._meeting.id, now)

    async def people(self, ids: Iterable[UUID]) -> dict[UUID, Participant]:
        """Find participants of the meeting, be they gone, by their ids; who had a ticket and was not taken out."""
        where = (ParticipantRow.meeting_id == self._meeting.id) & ParticipantRow.id.in_(list(ids))
        query = select(ParticipantRow).where(
            where & ParticipantRow.admit_time.is_not(None) & ~ParticipantRow.is_removed
        )
        rows = (await self._session.execute(query)).scalars()
        return {row.id: to_participant(row) for row in rows}

    async def devices(self, breakouts: Breakouts, users: Iterable[UUID]) -> list[Participant]:
        """List some users' participants that are in the meeting, or in its breakout rooms."""
        meetings = [self._meeting.id, *(each.id for each in breakouts.rooms)]
        is_theirs = ParticipantRow.user_id.in_(list(users)) & _IS_HERE
        query = select(ParticipantRow).where(ParticipantRow.meeting_id.in_(meetings) & is_theirs)
        return [to_participant(row) for row in (await self._session.execute(query)).scalars()]

    async def open(
        self,
        breakouts: Breakouts,
        rooms: Iterable[Meeting],
        user_id: UUID,
        request_id: UUID | None,
        answer: bytes,
    ) -> None:
        """Add rooms, which an account has opened, and what it was answered."""
        opening = OpeningRow(
            id=breakouts.opening_id,
            meeting_id=self._meeting.id,
            user_id=user_id,
            request_id=request_id,
            free_movement=breakouts.free_movement,
            open_time=breakouts.now,
            close_time=breakouts.close_time,
            answer=answer,
        )
        self._session.add_all([opening, *(MeetingRow(**meeting_values(each)) for each in rooms)])
        await self._session.flush()
        self._session.add_all(
            BreakoutRow(id=each.id, opening_id=breakouts.opening_id, position=position)
            for position, each in enumerate(breakouts.rooms)
        )
        await self._session.flush()

    async def write(self, breakouts: Breakouts) -> None:
        """Write what has changed."""
        if breakouts.moved:
            values = [
                {
                    "meeting_id": self._meeting.id,
                    "user_id": each.user_id,
                    "participant_id": each.participant_id,
                    "breakout_id": each.breakout_id,
                    "move_time": each.move_time,
                }
                for each in sorted(breakouts.moved.values(), key=lambda seat: seat.user_id)
            ]
            statement = insert(SeatRow).values(values)
            changed = {name: statement.excluded[name] for name in _SEAT}
            await self._session.execute(
                statement.on_conflict_do_update(
                    index_elements=["meeting_id", "user_id"], set_=changed
                )
            )
        ending = {"end_time": breakouts.now} if breakouts.is_closed else {}
        where = OpeningRow.id == breakouts.opening_id
        await self._session.execute(
            update(OpeningRow).where(where).values(close_time=breakouts.close_time, **ending)
        )

    async def rooms(self, breakouts: Breakouts) -> list[MeetingTransaction]:
        """Lock the rooms, too; in one order, so that nobody waits for each other."""
        ids = [each.id for each in breakouts.rooms]
        query = select(MeetingRow).where(MeetingRow.id.in_(ids)).order_by(MeetingRow.id)
        rows = (await self._session.execute(query.with_for_update())).scalars()
        return [MeetingTransaction(self._session, row) for row in rows]


class BreakoutStore:
    """What is kept of breakout rooms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, meeting: Meeting, now: datetime) -> Breakouts | None:
        """Read a meeting's rooms that are open; None where there are none."""
        async with self._database.begin() as session:
            return await _current(session, meeting.id, now)

    async def belongs_in(self, meeting: Meeting, user_id: UUID) -> str:
        """Find the code of the meeting, or breakout room, where somebody who is here belongs; empty where it is here."""
        if not meeting.breakouts_open and meeting.parent_id is None:
            return ""
        main = meeting.parent_id or meeting.id
        seat = (SeatRow.meeting_id == main) & (SeatRow.user_id == user_id)
        is_open = MeetingRow.state.not_in(_OVER)
        query = select(MeetingRow.code).join(SeatRow, SeatRow.breakout_id == MeetingRow.id)
        async with self._database.begin() as session:
            code = (await session.execute(query.where(seat & is_open))).scalar_one_or_none()
        belongs = code or meeting.parent_code or meeting.code
        return "" if belongs == meeting.code else belongs

    @asynccontextmanager
    async def due(self, now: datetime) -> AsyncIterator[MeetingTransaction | None]:
        """Take a meeting whose breakout rooms are to close now, which no other process has; None where there is none."""
        query = select(MeetingRow).join(OpeningRow, OpeningRow.meeting_id == MeetingRow.id)
        query = query.where(OpeningRow.end_time.is_(None) & _is_due(now)).limit(1)
        query = query.with_for_update(of=MeetingRow, skip_locked=True)
        async with self._database.begin() as session:
            row = (await session.execute(query)).scalar_one_or_none()
            yield None if row is None else MeetingTransaction(session, row)

    async def closed(self, now: datetime) -> list[str]:
        """Find the codes of rooms that were closed a while ago, or whose meeting is over, and that are still to be ended."""
        main = aliased(MeetingRow)
        query = select(MeetingRow.code).join(main, main.id == MeetingRow.parent_id)
        query = query.join(BreakoutRow, BreakoutRow.id == MeetingRow.id)
        query = query.join(OpeningRow, OpeningRow.id == BreakoutRow.opening_id)
        is_closed = OpeningRow.end_time.is_not(None)
        is_left = (OpeningRow.end_time <= now - STRAY) | main.state.in_(_OVER)
        is_left |= is_closed & (main.state == MeetingState.SCHEDULED.value)
        query = query.where(MeetingRow.state.not_in(_OVER) & is_left).limit(AT_ONCE)
        async with self._database.begin() as session:
            return list((await session.execute(query)).scalars())

    async def strays(self, now: datetime) -> list[Participant]:
        """Find those who have stayed in a room where they do not belong any more."""
        query = select(ParticipantRow).join(MeetingRow, MeetingRow.id == ParticipantRow.meeting_id)
        is_theirs = (SeatRow.meeting_id == MeetingRow.parent_id) & (
            SeatRow.user_id == ParticipantRow.user_id
        )
        query = query.join(SeatRow, is_theirs).where(
            MeetingRow.parent_id.is_not(None)
            & MeetingRow.state.not_in(_OVER)
            & _IS_HERE
            & SeatRow.breakout_id.is_distinct_from(MeetingRow.id)
            & (SeatRow.move_time <= now - STRAY)
        )
        async with self._database.begin() as session:
            rows = (await session.execute(query.limit(AT_ONCE))).scalars()
            return [to_participant(row) for row in rows]


async def people_beside(transaction: MeetingTransaction, now: datetime) -> list[Participant]:
    """List who is in a meeting's breakout rooms, and hosts who have just left them."""
    if not transaction.meeting.breakouts_open:
        return []
    rooms = select(MeetingRow.id).where(MeetingRow.parent_id == transaction.meeting.id)
    was_host = (ParticipantRow.role == ParticipantRole.HOST.value) & (
        ParticipantRow.leave_time > now - HOST_AWAY
    )
    query = select(ParticipantRow).where(ParticipantRow.meeting_id.in_(rooms))
    query = query.where(_IS_HERE | was_host).limit(PEOPLE)
    return [to_participant(row) for row in (await transaction.session.execute(query)).scalars()]


async def hand_over_rooms(transaction: MeetingTransaction) -> None:
    """Have a meeting's breakout rooms hosted by who hosts the meeting."""
    mine = MeetingRow.parent_id == transaction.meeting.id
    values = {"host_id": transaction.meeting.host_id}
    await transaction.session.execute(update(MeetingRow).where(mine).values(values))


async def _current(session: AsyncSession, meeting_id: UUID, now: datetime) -> Breakouts | None:
    is_open = (OpeningRow.meeting_id == meeting_id) & OpeningRow.end_time.is_(None)
    opening = (await session.execute(select(OpeningRow).where(is_open))).scalar_one_or_none()
    if opening is None:
        return None
    query = select(MeetingRow.id, MeetingRow.code, MeetingRow.title)
    query = query.join(BreakoutRow, BreakoutRow.id == MeetingRow.id)
    query = query.where(
        (BreakoutRow.opening_id == opening.id) & MeetingRow.state.not_in(_OVER)
    ).order_by(BreakoutRow.position)
    rooms = [Breakout(row.id, row.code, row.title) for row in await session.execute(query)]
    seats = select(SeatRow).where(SeatRow.meeting_id == meeting_id)
    return Breakouts(
        opening.id,
        rooms,
        [_seat(row) for row in (await session.execute(seats)).scalars()],
        free_movement=opening.free_movement,
        close_time=opening.close_time,
        now=now,
    )


_SEAT = ("participant_id", "breakout_id", "move_time")
_OVER = [state.value for state in OVER]
_IS_HERE = ParticipantRow.state.in_([state.value for state in HERE])


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Tell of a meeting whether its rooms' time is over, it is itself, or no host has been anywhere for long."""
    is_hostless = (MeetingRow.host_away_time <= now - HOST_AWAY) & ~exists(_hosts_beside(now))
    return or_(OpeningRow.close_time <= now, MeetingRow.state.in_(_OVER), is_hostless)


def _hosts_beside(now: datetime) -> Select[UUID]:
    room = aliased(MeetingRow)
    was_there = ParticipantRow.leave_time > now - HOST_AWAY
    query = select(ParticipantRow.id).join(room, room.id == ParticipantRow.meeting_id)
    return query.where(
        and_(
            room.parent_id == MeetingRow.id,
            ParticipantRow.role == ParticipantRole.HOST.value,
            _IS_HERE | was_there,
        )
    ).correlate(MeetingRow)


def _seat(row: SeatRow) -> Seat:
    return Seat(row.user_id, row.participant_id, row.breakout_id, row.move_time)


__all__ = ["BreakoutStore", "Openings", "hand_over_rooms", "people_beside"]
