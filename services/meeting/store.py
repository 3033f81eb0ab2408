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
    Meeting,
    MeetingNotFound,
    NotParticipant,
    Participant,
    ParticipantNotFound,
    ParticipantState,
)
from services.meeting.settings import Consent, consent_of, stored
from services.meeting.tables import (
    AuditRow,
    MeetingRow,
    ParticipantRow,
    SummaryRow,
    meeting_values,
    participant_row,
    to_meeting,
    to_participant,
)


class MeetingTransaction:
    """A meeting that nobody else can change meanwhile."""

    def __init__(self, session: AsyncSession, row: MeetingRow) -> None:
        self._session = session
        self._row = row
        self.meeting = to_meeting(row)

    @property
    def session(self) -> AsyncSession:
        """The transaction, for what else is kept of the meeting."""
        return self._session

    async def latest_of(self, user_id: UUID) -> Participant | None:
        """Find the participant that a user has here, or had last."""
        return await _latest_of(self._session, self.meeting.id, user_id)

    async def present(self) -> list[Participant]:
        """Read those who are joining or connected."""
        return await _participants(self._session, _here(self.meeting.id))

    async def has_joined(self) -> bool:
        """Tell whether anybody has ever got a ticket."""
        where = ParticipantRow.meeting_id == self.meeting.id
        return bool((await self._session.execute(select(exists().where(where)))).scalar())

    async def latest_consent(self, user_id: UUID) -> Consent:
        """Read what a user agreed to when they were here last."""
        query = select(ParticipantRow.consent).where(
            (ParticipantRow.meeting_id == self.meeting.id) & (ParticipantRow.user_id == user_id)
        )
        query = query.order_by(ParticipantRow.join_time.desc()).limit(1)
        return consent_of((await self._session.execute(query)).scalar_one_or_none() or {})

    def audit(self, events: Iterable[AuditEvent]) -> None:
        """Have events put into the audit log, if this transaction is committed."""
        self._session.add_all(AuditRow(**asdict(event)) for event in events)

    async def joined_before(self, user_id: UUID, request_id: UUID) -> Participant | None:
        """Find the participant that an earlier call with the same request id made."""
        where = (ParticipantRow.user_id == user_id) & (ParticipantRow.request_id == request_id)
        where &= ParticipantRow.meeting_id == self.meeting.id
        found = await _participants(self._session, where)
        return found[0] if found else None

    async def participant(self, participant_id: UUID) -> Participant:
        """Read a participant of this meeting. Raises ParticipantNotFound."""
        row = await self._session.get(ParticipantRow, participant_id)
        if row is None or row.meeting_id != self.meeting.id:
            raise ParticipantNotFound
        return to_participant(row)

    def add(self, participant: Participant, request_id: UUID | None) -> None:
        """Add a participant."""
        self._session.add(participant_row(participant, request_id))

    async def change(self, participant: Participant) -> None:
        """Write a participant's new state."""
        row = await self._session.get_one(ParticipantRow, participant.id)
        row.state, row.leave_time = participant.state.value, participant.leave_time
        row.consent = stored(participant.consent)
        row.connect_time = participant.connect_time

    async def request_summary(self, now: datetime, due: datetime) -> None:
        """Have the meeting summarised, from `due` on."""
        wanted = {"request_time": now, "due_time": due, "attempts": 0}
        statement = insert(SummaryRow).values(meeting_id=self.meeting.id, **wanted)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=["meeting_id"], set_=wanted)
        )

    def change_meeting(self, meeting: Meeting) -> None:
        """Write the meeting's new state."""
        self._row.state = meeting.state.value
        self._row.start_time, self._row.end_time = meeting.start_time, meeting.end_time
        self._row.update_time, self._row.revision = meeting.update_time, meeting.revision
        self._row.end_to_end_encrypted = meeting.end_to_end_encrypted
        self._row.settings = stored(meeting.settings)
        self._row.analysis_revision = meeting.analysis_revision
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
                return meeting
            where = (MeetingRow.host_id == meeting.host_id) & (MeetingRow.request_id == request_id)
            return to_meeting((await session.execute(select(MeetingRow).where(where))).scalar_one())

    async def meeting(self, code: str) -> tuple[Meeting, int]:
        """Read a meeting and how many are connected to it. Raises MeetingNotFound."""
        if (row := await self._by_code.one(code=code)) is None:
            raise MeetingNotFound(meeting=f"meetings/{code}")
        return to_meeting(row), row.connected

    async def meetings_of(
        self, user_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[tuple[Meeting, int]]:
        """List the meetings that a user hosts or has joined, newest first, from below `before`."""
        joined = exists().where(
            (ParticipantRow.meeting_id == MeetingRow.id) & (ParticipantRow.user_id == user_id)
        )
        query = select(MeetingRow, _connected_count()).where(
            (MeetingRow.host_id == user_id) | joined
        )
        if before is not None:
            query = query.where(tuple_(MeetingRow.create_time, MeetingRow.id) < before)
        query = query.order_by(MeetingRow.create_time.desc(), MeetingRow.id.desc()).limit(limit)
        async with self._database.begin() as session:
            return [(to_meeting(row[0]), row[1]) for row in await session.execute(query)]

    async def participants(
        self, meeting_id: UUID, after: tuple[datetime, UUID] | None, limit: int, *, with_left: bool
    ) -> list[Participant]:
        """List who is in a meeting in order of joining, from above `after`."""
        where = (
            ParticipantRow.meeting_id == meeting_id
            if with_left
            else (ParticipantRow.meeting_id == meeting_id)
            & (ParticipantRow.state == ParticipantState.CONNECTED.value)
        )
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

    async def readable(self, code: str, user_id: UUID) -> Meeting:
        """Read a meeting for somebody who has joined it, or is its host. Raises MeetingNotFound, NotParticipant."""
        meeting, _ = await self.meeting(code)
        if user_id != meeting.host_id and not await self.has_joined(meeting.id, user_id):
            raise NotParticipant(meeting=meeting.name)
        return meeting

    async def latest_of(self, meeting_id: UUID, user_id: UUID) -> Participant | None:
        """Find the participant that a user has in a meeting, or had last."""
        async with self._database.begin() as session:
            return await _latest_of(session, meeting_id, user_id)

    async def has_joined(self, meeting_id: UUID, user_id: UUID) -> bool:
        """Tell whether a user has ever joined a meeting."""
        where = (ParticipantRow.meeting_id == meeting_id) & (ParticipantRow.user_id == user_id)
        async with self._database.begin() as session:
            return bool((await session.execute(select(exists().where(where)))).scalar())

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


def _here(meeting_id: UUID) -> ColumnElement[bool]:
    states = (ParticipantState.JOINING.value, ParticipantState.CONNECTED.value)
    return (ParticipantRow.meeting_id == meeting_id) & ParticipantRow.state.in_(states)


def _connected_count() -> ScalarSelect[int]:
    connected = ParticipantRow.state == ParticipantState.CONNECTED.value
    return (
        select(func.count())
        .where((ParticipantRow.meeting_id == MeetingRow.id) & connected)
        .correlate(MeetingRow)
        .scalar_subquery()
    )


async def _latest_of(session: AsyncSession, meeting_id: UUID, user_id: UUID) -> Participant | None:
    where = (ParticipantRow.meeting_id == meeting_id) & (ParticipantRow.user_id == user_id)
    by_state = case(
        {ParticipantState.CONNECTED.value: 0, ParticipantState.JOINING.value: 1},
        value=ParticipantRow.state,
        else_=2,
    )
    query = select(ParticipantRow).where(where)
    query = query.order_by(by_state, ParticipantRow.join_time.desc()).limit(1)
    row = (await session.execute(query)).scalar_one_or_none()
    return None if row is None else to_participant(row)


async def _participants(
    session: AsyncSession, where: ColumnElement[bool], limit: int = 1000
) -> list[Participant]:
    query = select(ParticipantRow).where(where)
    query = query.order_by(ParticipantRow.join_time, ParticipantRow.id).limit(limit)
    return [to_participant(row) for row in (await session.execute(query)).scalars()]
