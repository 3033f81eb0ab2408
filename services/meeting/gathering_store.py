"""Gatherings in Postgres: read under the meeting's lock, changed by the rules, written as far as they have changed.

In the same transaction it is noted of whom signaling and media are to be told (`notices.py` tells them, and goes on with
it after a crash), and whoever watches the lobby is woken, by any process (`LISTEN`), when it is committed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.clock import Clock
from chassis.db import Database
from services.meeting.breakouts.closing import close_all
from services.meeting.breakouts.store import hand_over_rooms, people_beside
from services.meeting.domain import (
    Meeting,
    MeetingState,
    Participant,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.events.record import record
from services.meeting.gathering import HOST_AWAY, Gathering, runs
from services.meeting.joining.door import Comer, Seen, at_the_door
from services.meeting.joining.lobby import WAITING_LEASE
from services.meeting.planning.tables import ScheduleRow
from services.meeting.store import MeetingTransaction, Store
from services.meeting.tables import BanRow, MeetingRow, ParticipantRow, to_participant
from services.meeting.transcripts.news import put_due

LOBBY_CHANNEL = "meeting_lobby"
DESERTED = timedelta(minutes=5)
"""After how long without anybody a meeting that recurs is over for now."""
TELLINGS = 2
"""At once, and once more for who was just connecting, with what held before."""
PEOPLE = 5_000
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be told, once a gathering is written."""

    people: bool = False
    meeting: bool = False
    lobby: bool = False
    analysis: bool = False


class Opened:
    """A gathering in its transaction; `outcome` is there when it is written."""

    def __init__(self, transaction: MeetingTransaction, gathering: Gathering) -> None:
        self.transaction = transaction
        self.gathering = gathering
        self.request_ids: dict[UUID, UUID | None] = {}
        self.outcome = Outcome()


class GatheringStore:
    """Opens gatherings, and finds those that somebody has to see to."""

    def __init__(
        self, store: Store, database: Database, clock: Clock, ticket_lifetime: timedelta
    ) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._lifetime = ticket_lifetime

    @asynccontextmanager
    async def opened(self, code: str, participant_id: UUID | None = None) -> AsyncIterator[Opened]:
        """Open a gathering, with one who may be gone if they are named. It is written when the block ends well.

        Raises MeetingNotFound.
        """
        async with self._store.locked_meeting(code) as transaction:
            people = await _people(transaction, participant_id)
            beside = await people_beside(transaction, self._clock.now())
            opened = self._open(transaction, people, beside)
            yield opened
            await self._write(opened)

    @asynccontextmanager
    async def opened_at_the_door(
        self, code: str, comer: Comer
    ) -> AsyncIterator[tuple[Opened, Seen]]:
        """Open a gathering for somebody who comes, with what is known of them.

        Raises MeetingNotFound.
        """
        async with self._database.begin() as session:
            now = self._clock.now()
            seen = await at_the_door(session, code, comer, now, self._lifetime)
            transaction, meeting = seen.transaction, seen.transaction.meeting
            if (
                meeting.breakouts_open
            ):  # who is in a room has their place here: the rules look at everybody
                people = await _people(transaction, None)
                beside = await people_beside(transaction, now)
                gathering = Gathering(meeting, people, now, self._lifetime, beside)
            else:
                gathering = Gathering(meeting, seen.people, now, self._lifetime, crowd=seen.crowd)
            opened = Opened(transaction, gathering)
            yield opened, seen
            await self._write(opened)

    @asynccontextmanager
    async def opened_for(self, code: str, participant_id: UUID) -> AsyncIterator[Opened]:
        """Open a gathering for somebody's coming or going; of others it has them alone whom that concerns.

        Raises MeetingNotFound, ParticipantNotFound.
        """
        async with self._store.locked_meeting(code) as transaction:
            person = await transaction.participant(participant_id)
            people = [person]
            if person.role in (ParticipantRole.HOST, ParticipantRole.COHOST) or person.grants:
                people = await _people(transaction, participant_id)
            opened = self._open(transaction, people, ())
            yield opened
            await self._write(opened)

    async def still_waiting(self, participant_id: UUID, now: datetime) -> None:
        """Somebody is known to wait in the lobby."""
        waiting = ParticipantRow.state == ParticipantState.WAITING.value
        where = (ParticipantRow.id == participant_id) & waiting
        async with self._database.begin() as session:
            await session.execute(update(ParticipantRow).where(where).values(seen_time=now))

    async def waiting(self, meeting_id: UUID, limit: int) -> list[Participant]:
        """List who waits in the lobby, in order of coming."""
        where = (ParticipantRow.meeting_id == meeting_id) & (
            ParticipantRow.state == ParticipantState.WAITING.value
        )
        query = select(ParticipantRow).where(where)
        query = query.order_by(ParticipantRow.join_time, ParticipantRow.id).limit(limit)
        async with self._database.begin() as session:
            return [to_participant(row) for row in (await session.execute(query)).scalars()]

    async def running(self, meeting: Meeting) -> list[Participant]:
        """List those connected who run a meeting."""
        roles = (ParticipantRole.HOST.value, ParticipantRole.COHOST.value)
        is_connected = ParticipantRow.state == ParticipantState.CONNECTED.value
        may_run = ParticipantRow.role.in_(roles) | ParticipantRow.grants.is_not(None)
        where = and_(ParticipantRow.meeting_id == meeting.id, is_connected, may_run)
        async with self._database.begin() as session:
            rows = (await session.execute(select(ParticipantRow).where(where))).scalars()
            return runs(map(to_participant, rows), meeting)

    async def untended(self, now: datetime) -> list[str]:
        """Find meetings whose host has been away for long while others are there, or in whose lobby somebody waits no more."""
        here = exists().where(
            (ParticipantRow.meeting_id == MeetingRow.id)
            & (ParticipantRow.state == ParticipantState.CONNECTED.value)
        )
        is_hostless = (
            (MeetingRow.host_away_time <= now - HOST_AWAY)
            & (MeetingRow.state == MeetingState.ACTIVE.value)
            & here
        )
        hostless = select(MeetingRow.code).where(is_hostless).limit(AT_ONCE)
        is_gone = (ParticipantRow.state == ParticipantState.WAITING.value) & (
            ParticipantRow.seen_time <= now - WAITING_LEASE
        )
        left = select(ParticipantRow.meeting_code).where(is_gone).distinct().limit(AT_ONCE)
        async with self._database.begin() as session:
            codes = [*(await session.execute(hostless)).scalars()]
            return [*codes, *(await session.execute(left)).scalars()]

    async def deserted(self, now: datetime) -> list[str]:
        """Find meetings that recur, go on, and have been left by everybody a while ago."""
        since = now - DESERTED
        mine = ParticipantRow.meeting_id == MeetingRow.id
        states = (ParticipantState.CONNECTED.value, ParticipantState.WAITING.value)
        is_there = ParticipantRow.state.in_(states)
        was_there = (ParticipantRow.admit_time > since) | (ParticipantRow.leave_time > since)
        query = select(MeetingRow.code).join(ScheduleRow, ScheduleRow.meeting_id == MeetingRow.id)
        query = query.where(
            (MeetingRow.state == MeetingState.ACTIVE.value)
            & (ScheduleRow.recurrence != "")
            & ~MeetingRow.breakouts_open
            & (MeetingRow.update_time <= since)
            & ~exists().where(mine & (is_there | was_there))
        )
        async with self._database.begin() as session:
            return [*(await session.execute(query.limit(AT_ONCE))).scalars()]

    async def untold(self, now: datetime) -> list[str]:
        """Find meetings of whose people signaling and media are still to be told."""
        is_due = (ParticipantRow.tell_count > 0) & (ParticipantRow.tell_time <= now)
        query = select(ParticipantRow.meeting_code).where(is_due).distinct().limit(AT_ONCE)
        async with self._database.begin() as session:
            return [*(await session.execute(query)).scalars()]

    async def to_tell(
        self, meeting_id: UUID, now: datetime, limit: int
    ) -> list[tuple[Participant, datetime]]:
        """List of whom signaling and media are to be told, each with since when."""
        is_due = (ParticipantRow.tell_count > 0) & (ParticipantRow.tell_time <= now)
        query = select(ParticipantRow).where((ParticipantRow.meeting_id == meeting_id) & is_due)
        query = query.order_by(ParticipantRow.tell_time, ParticipantRow.id).limit(limit)
        async with self._database.begin() as session:
            rows = (await session.execute(query)).scalars()
            return [(to_participant(row), row.tell_time or now) for row in rows]

    async def told(self, told: Collection[tuple[Participant, datetime]], again: datetime) -> None:
        """Signaling and media know of some; once more at `again`, unless that was the last time, or they changed since."""
        if not told:
            return
        same = or_(
            *(
                (ParticipantRow.id == each.id) & (ParticipantRow.tell_time == since)
                for each, since in told
            )
        )
        values = {"tell_count": ParticipantRow.tell_count - 1, "tell_time": again}
        async with self._database.begin() as session:
            await session.execute(
                update(ParticipantRow).where(same & (ParticipantRow.tell_count > 0)).values(values)
            )

    def _open(
        self,
        transaction: MeetingTransaction,
        people: list[Participant],
        beside: Collection[Participant],
    ) -> Opened:
        now, meeting = self._clock.now(), transaction.meeting
        return Opened(transaction, Gathering(meeting, people, now, self._lifetime, beside))

    async def _write(self, opened: Opened) -> None:
        transaction, gathering = opened.transaction, opened.gathering
        before = transaction.meeting
        gathering.settle()
        if gathering.meeting != before:
            transaction.change_meeting(gathering.meeting)
        if (has_ended := gathering.meeting.has_ended_since(before)) and before.breakouts_open:
            await close_all(transaction, gathering.now)
        if gathering.meeting.breakouts_open and gathering.meeting.host_id != before.host_id:
            await hand_over_rooms(transaction)
        is_news = False
        for person, is_told in list(gathering.changed()):
            if person.id in opened.request_ids:
                transaction.add(person, opened.request_ids[person.id])
                continue
            row = await transaction.change(person)
            if is_told:
                row.tell_count, row.tell_time, is_news = TELLINGS, gathering.now, True
        await _ban(transaction, gathering)
        await record(transaction.session, gathering.meeting, gathering.happenings(), gathering.now)
        if has_ended:
            await put_due(transaction.session, gathering.meeting, gathering.now)
        if gathering.is_lobby_changed or has_ended:
            notify = func.pg_notify(LOBBY_CHANNEL, gathering.meeting.code)
            await transaction.session.execute(select(notify))
        opened.outcome = Outcome(
            people=is_news,
            meeting=gathering.is_meeting_changed,
            lobby=gathering.is_lobby_changed,
            analysis=gathering.is_analysis_changed,
        )


async def _people(
    transaction: MeetingTransaction, participant_id: UUID | None
) -> list[Participant]:
    states = (ParticipantState.JOINING, ParticipantState.CONNECTED, ParticipantState.WAITING)
    is_wanted: ColumnElement[bool] = ParticipantRow.state.in_([each.value for each in states])
    if participant_id is not None:
        is_wanted |= ParticipantRow.id == participant_id
    query = select(ParticipantRow).where(
        (ParticipantRow.meeting_id == transaction.meeting.id) & is_wanted
    )
    rows = (await transaction.session.execute(query.limit(PEOPLE))).scalars()
    return [to_participant(row) for row in transaction.keep(rows)]


async def _ban(transaction: MeetingTransaction, gathering: Gathering) -> None:
    for user_id in gathering.banned:
        values = {
            "meeting_id": gathering.meeting.parent_id or gathering.meeting.id,
            "user_id": user_id,
            "create_time": gathering.now,
        }
        statement = insert(BanRow).values(values).on_conflict_do_nothing()
        await transaction.session.execute(statement)


__all__ = ["LOBBY_CHANNEL", "GatheringStore", "Opened", "Outcome"]
