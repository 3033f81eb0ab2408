"""Meetings and participants in Postgres.

What must not race (join at capacity, end and join) takes the meeting's row lock: `locked_meeting` gives a transaction
in which nobody else can change the meeting or who is in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    String,
    bindparam,
    case,
    exists,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.reads import Reads
from services.meeting.audit import AuditEvent
from services.meeting.domain import (
    HERE,
    Meeting,
    MeetingNotFound,
    Participant,
    ParticipantNotFound,
    ParticipantState,
)
from services.meeting.events.happenings import Happening, Kind
from services.meeting.events.record import forget, record
from services.meeting.meeting_filter import MeetingFilter
from services.meeting.permissions import check, present
from services.meeting.roles import Standing, standing
from services.meeting.tables import (
    AuditRow,
    BanRow,
    MeetingRow,
    ParticipantRow,
    SummaryRow,
    meeting_values,
    participant_row,
    to_meeting,
    to_participant,
    write_participant,
)


class MeetingTransaction:
    """A meeting that nobody else can change meanwhile."""

    def __init__(self, session: AsyncSession, row: MeetingRow) -> None:
        self.session = session
        self._row = row
        self._rows: dict[UUID, ParticipantRow] = {}
        self.meeting = to_meeting(row)

    async def latest_of(self, user_id: UUID) -> Participant | None:
        """Find the participant that a user has here, or had last."""
        by_state = case(
            {ParticipantState.CONNECTED.value: 0, ParticipantState.JOINING.value: 1},
            value=ParticipantRow.state,
            else_=2,
        )
        query = select(ParticipantRow).where(_own(self.meeting, user_id))
        query = query.order_by(by_state, ParticipantRow.join_time.desc()).limit(1)
        row = (await self.session.execute(query)).scalar_one_or_none()
        return None if row is None else to_participant(row)

    async def standing(self, user_id: UUID) -> Standing:
        """Tell how somebody stands to the meeting; who was banned from it is a stranger."""
        return await _standing(self.session, self.meeting, user_id)

    async def is_banned(self, user_id: UUID) -> bool:
        """Tell whether somebody is kept out of the meeting for good."""
        return await _is_banned(self.session, self.meeting, user_id)

    async def actor(self, user_id: UUID, method: str) -> tuple[Participant, Standing]:
        """Find the participant by whom somebody calls a method of PERMISSIONS that takes being there, and how they stand.

        Raises MeetingEnded, NotParticipant, NotPresenter, NotHost.
        """
        self.meeting.check_open()
        standing = await self.standing(user_id)
        check(standing, method, self.meeting)
        return present(self.meeting, await self.latest_of(user_id)), standing

    async def present(self) -> list[Participant]:
        """Read those who are joining or connected."""
        return await _participants(self.session, _here(self.meeting.id))

    async def has_joined(self) -> bool:
        """Tell whether anybody has ever got a ticket."""
        where = (ParticipantRow.meeting_id == self.meeting.id) & _HAS_BEEN
        return bool((await self.session.execute(select(exists().where(where)))).scalar())

    def audit(self, events: Iterable[AuditEvent]) -> None:
        """Have events put into the audit log, if this transaction is committed."""
        self.session.add_all(AuditRow(**asdict(event)) for event in events)

    async def participant(self, participant_id: UUID) -> Participant:
        """Read a participant of this meeting. Raises ParticipantNotFound."""
        row = await self.session.get(ParticipantRow, participant_id)
        if row is None or row.meeting_id != self.meeting.id:
            raise ParticipantNotFound
        return to_participant(row)

    def add(self, participant: Participant, request_id: UUID | None) -> None:
        """Add a participant."""
        self.session.add(participant_row(participant, request_id))

    def keep(self, rows: Iterable[ParticipantRow]) -> list[ParticipantRow]:
        """Keep rows that were read, so that changing them does not read them again."""
        found = list(rows)
        self._rows.update((row.id, row) for row in found)
        return found

    async def change(self, participant: Participant) -> ParticipantRow:
        """Write a participant's new state into its row."""
        if (row := self._rows.get(participant.id)) is None:
            row = await self.session.get_one(ParticipantRow, participant.id)
        write_participant(row, participant)
        return row

    async def delete_meeting(self) -> None:
        """Delete the meeting, with all that is kept of it."""
        await forget(self.session, self.meeting.id)
        await self.session.delete(self._row)

    async def request_summary(self, now: datetime, due: datetime) -> None:
        """Have the meeting summarised, from `due` on."""
        wanted = {"request_time": now, "due_time": due, "attempts": 0}
        statement = insert(SummaryRow).values(meeting_id=self.meeting.id, **wanted)
        await self.session.execute(
            statement.on_conflict_do_update(index_elements=["meeting_id"], set_=wanted)
        )

    def change_meeting(self, meeting: Meeting) -> None:
        """Write the meeting's new state."""
        for name, value in meeting_values(meeting).items():
            setattr(self._row, name, value)
        self.meeting = meeting


class Store:
    """What the meeting service keeps."""

    def __init__(self, database: Database, reads: Reads) -> None:
        self._database = database
        self._by_code = reads.prepare(
            select(*MeetingRow.__table__.c, _connected_count().label("connected")).where(
                MeetingRow.code == bindparam("code", type_=String)
            )
        )

    async def add_meeting(self, meeting: Meeting, request_id: UUID | None) -> Meeting:
        """Add a meeting, or give the one that an earlier call with the same request id made."""
        async with self._database.begin() as session:
            values = {**meeting_values(meeting), "request_id": request_id}
            statement = insert(MeetingRow).values(values)
            if request_id is not None:
                statement = statement.on_conflict_do_nothing(
                    index_elements=["host_id", "request_id"]
                )
            added = await session.execute(statement.returning(MeetingRow.id))
            if added.scalar_one_or_none() is not None:
                await record(session, meeting, [Happening(Kind.CREATED)], meeting.create_time)
                return meeting
            where = (MeetingRow.host_id == meeting.host_id) & (MeetingRow.request_id == request_id)
            return to_meeting((await session.execute(select(MeetingRow).where(where))).scalar_one())

    async def meeting(self, code: str) -> tuple[Meeting, int]:
        """Read a meeting and how many are connected to it. Raises MeetingNotFound."""
        if (row := await self._by_code.one(code=code)) is None:
            raise MeetingNotFound(meeting=f"meetings/{code}")
        return to_meeting(row), row.connected

    async def meetings_of(
        self,
        user_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
        wanted: MeetingFilter,
    ) -> list[tuple[Meeting, int]]:
        """List those meetings of a user's, hosted or joined, that are wanted, newest first, from below `before`."""
        joined = exists().where(
            (ParticipantRow.meeting_id == MeetingRow.id)
            & (ParticipantRow.user_id == user_id)
            & _HAS_BEEN
        )
        query = select(MeetingRow, _connected_count()).where(
            ((MeetingRow.host_id == user_id) | joined) & wanted.condition(user_id)
        )
        query = query.where(MeetingRow.parent_id.is_(None))
        if before is not None:
            query = query.where(tuple_(MeetingRow.create_time, MeetingRow.id) < before)
        query = query.order_by(MeetingRow.create_time.desc(), MeetingRow.id.desc()).limit(limit)
        async with self._database.begin() as session:
            return [(to_meeting(row[0]), row[1]) for row in await session.execute(query)]

    async def participants(
        self,
        meeting_id: UUID,
        after: tuple[datetime, UUID] | None,
        limit: int,
        *,
        with_left: bool,
        waiting: bool = False,
    ) -> list[Participant]:
        """List who is in a meeting in order of joining, from above `after`; or who waits in its lobby."""
        state = ParticipantState.WAITING if waiting else ParticipantState.CONNECTED
        where = ParticipantRow.meeting_id == meeting_id
        where &= _HAS_BEEN if with_left and not waiting else ParticipantRow.state == state.value
        if after is not None:
            where &= tuple_(ParticipantRow.join_time, ParticipantRow.id) > after
        async with self._database.begin() as session:
            return await _participants(session, where, limit)

    async def participants_of(
        self, meeting_id: UUID, ids: Collection[UUID]
    ) -> dict[UUID, Participant]:
        """Find participants of a meeting, be they gone, by their ids; those that there are."""
        where = (ParticipantRow.meeting_id == meeting_id) & ParticipantRow.id.in_(ids)
        async with self._database.begin() as session:
            return {each.id: each for each in await _participants(session, where)}

    async def present_of(self, meeting_id: UUID, user_id: UUID) -> list[Participant]:
        """List a user's participants that are in a meeting."""
        where = _here(meeting_id) & (ParticipantRow.user_id == user_id)
        async with self._database.begin() as session:
            return await _participants(session, where)

    async def permitted(self, code: str, user_id: UUID, method: str) -> tuple[Meeting, int]:
        """Read a meeting, and how many are connected to it, for somebody who may call a method of PERMISSIONS.

        Raises MeetingNotFound, NotParticipant, NotPresenter, NotHost.
        """
        meeting, count = await self.meeting(code)
        check(await self.standing(meeting, user_id), method, meeting)
        return meeting, count

    async def standing(self, meeting: Meeting, user_id: UUID) -> Standing:
        """Tell how somebody stands to a meeting; who was banned from it is a stranger."""
        async with self._database.begin() as session:
            return await _standing(session, meeting, user_id)

    @asynccontextmanager
    async def untold(self, limit: int) -> AsyncIterator[list[AuditEvent]]:
        """Take events that the audit log has not been told of, the oldest first; they are forgotten if the block ends well."""
        async with self._database.begin() as session:
            query = select(AuditRow).order_by(AuditRow.time).limit(limit)
            rows = (await session.execute(query.with_for_update(skip_locked=True))).scalars().all()
            yield [AuditEvent(**{name: getattr(row, name) for name in _AUDIT}) for row in rows]
            for row in rows:
                await session.delete(row)

    @asynccontextmanager
    async def locked_meeting(self, code: str) -> AsyncIterator[MeetingTransaction]:
        """Open a transaction that holds a meeting's row lock. Raises MeetingNotFound."""
        async with self._database.begin() as session:
            query = select(MeetingRow).where(MeetingRow.code == code).with_for_update()
            if (row := (await session.execute(query)).scalar_one_or_none()) is None:
                raise MeetingNotFound(meeting=f"meetings/{code}")
            yield MeetingTransaction(session, row)


_AUDIT = [field.name for field in fields(AuditEvent)]
_HAS_BEEN = ParticipantRow.admit_time.is_not(None)
_IS_HERE = ParticipantRow.state.in_([state.value for state in HERE])


def _here(meeting_id: UUID) -> ColumnElement[bool]:
    return (ParticipantRow.meeting_id == meeting_id) & _IS_HERE


def _connected_count() -> ScalarSelect[int]:
    connected = ParticipantRow.state == ParticipantState.CONNECTED.value
    return (
        select(func.count())
        .where((ParticipantRow.meeting_id == MeetingRow.id) & connected)
        .correlate(MeetingRow)
        .scalar_subquery()
    )


def _own(meeting: Meeting, user_id: UUID) -> ColumnElement[bool]:
    return (ParticipantRow.meeting_id == meeting.id) & (ParticipantRow.user_id == user_id)


async def _is_banned(session: AsyncSession, meeting: Meeting, user_id: UUID) -> bool:
    banned = (BanRow.meeting_id == (meeting.parent_id or meeting.id)) & (BanRow.user_id == user_id)
    return bool((await session.execute(select(exists().where(banned)))).scalar())


async def _standing(session: AsyncSession, meeting: Meeting, user_id: UUID) -> Standing:
    if user_id == meeting.host_id:
        return Standing.HOST
    own = _own(meeting, user_id)
    if there := await _participants(session, own & _IS_HERE):
        return standing(meeting, user_id, there)
    if await _is_banned(session, meeting, user_id):
        return Standing.STRANGER
    latest = select(ParticipantRow).where(own).order_by(ParticipantRow.join_time.desc()).limit(1)
    rows = (await session.execute(latest)).scalars()
    has_been = (await session.execute(select(exists().where(own & _HAS_BEEN)))).scalar()
    return standing(meeting, user_id, map(to_participant, rows), has_been=bool(has_been))


async def _participants(
    session: AsyncSession, where: ColumnElement[bool], limit: int = 1000
) -> list[Participant]:
    query = select(ParticipantRow).where(where)
    query = query.order_by(ParticipantRow.join_time, ParticipantRow.id).limit(limit)
    return [to_participant(row) for row in (await session.execute(query)).scalars()]
