"""Meetings and participants in Postgres.

What must not race (join at capacity, end and join) takes the meeting's row lock: `locked_meeting` gives a transaction
in which nobody else can change the meeting or who is in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    ForeignKey,
    ScalarSelect,
    String,
    UniqueConstraint,
    bindparam,
    exists,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import Database
from chassis.reads import Reads
from services.meeting.audit import AuditEvent
from services.meeting.domain import (
    Meeting,
    MeetingNotFound,
    MeetingState,
    Participant,
    ParticipantNotFound,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.settings import Consent, consent_of, settings_of, stored


class Base(DeclarativeBase):
    """The tables of parley_meeting."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class MeetingRow(Base):
    """A meeting."""

    __tablename__ = "meetings"
    __table_args__ = (UniqueConstraint("host_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(2000))
    host_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(String(16))
    passcode: Mapped[str] = mapped_column(String(32))
    capacity: Mapped[int]
    locked: Mapped[bool] = mapped_column(Boolean)
    voice_activity: Mapped[bool] = mapped_column(Boolean)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    revision: Mapped[int]
    request_id: Mapped[UUID | None]
    end_to_end_encrypted: Mapped[bool] = mapped_column(Boolean)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    analysis_revision: Mapped[int] = mapped_column(BigInteger)


class ParticipantRow(Base):
    """A participant."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("meeting_id", "user_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    meeting_code: Mapped[str] = mapped_column(String(12))
    user_id: Mapped[UUID]
    display_name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    join_time: Mapped[datetime]
    leave_time: Mapped[datetime | None]
    request_id: Mapped[UUID | None]
    consent: Mapped[dict[str, Any]] = mapped_column(JSONB)


class AuditRow(Base):
    """Something that the audit log has not been told of yet."""

    __tablename__ = "audit_outbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(65))
    subject: Mapped[str] = mapped_column(String(256))
    details: Mapped[dict[str, str]] = mapped_column(JSONB)


class MeetingTransaction:
    """A meeting that nobody else can change meanwhile."""

    def __init__(self, session: AsyncSession, row: MeetingRow) -> None:
        self._session = session
        self._row = row
        self.meeting = _to_meeting(row)

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
        return _to_participant(row)

    def add(self, participant: Participant, request_id: UUID | None) -> None:
        """Add a participant."""
        self._session.add(_participant_row(participant, request_id))

    async def change(self, participant: Participant) -> None:
        """Write a participant's new state."""
        row = await self._session.get_one(ParticipantRow, participant.id)
        row.state, row.leave_time = participant.state.value, participant.leave_time
        row.consent = stored(participant.consent)

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
            values = {**_meeting_values(meeting), "request_id": request_id}
            statement = insert(MeetingRow).values(values)
            if request_id is not None:
                statement = statement.on_conflict_do_nothing(
                    index_elements=["host_id", "request_id"]
                )
            added = await session.execute(statement.returning(MeetingRow.id))
            if added.scalar_one_or_none() is not None:
                return meeting
            where = (MeetingRow.host_id == meeting.host_id) & (MeetingRow.request_id == request_id)
            return _to_meeting(
                (await session.execute(select(MeetingRow).where(where))).scalar_one()
            )

    async def meeting(self, code: str) -> tuple[Meeting, int]:
        """Read a meeting and how many are connected to it. Raises MeetingNotFound."""
        if (row := await self._by_code.one(code=code)) is None:
            raise MeetingNotFound(meeting=f"meetings/{code}")
        return _to_meeting(row), row.connected

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
            return [(_to_meeting(row[0]), row[1]) for row in await session.execute(query)]

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
_MEETING_FIELDS = (
    "id",
    "code",
    "title",
    "description",
    "host_id",
    "passcode",
    "capacity",
    "locked",
    "voice_activity",
    "create_time",
    "update_time",
    "start_time",
    "end_time",
    "revision",
    "end_to_end_encrypted",
    "analysis_revision",
)


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


async def _participants(
    session: AsyncSession, where: ColumnElement[bool], limit: int = 1000
) -> list[Participant]:
    query = select(ParticipantRow).where(where)
    query = query.order_by(ParticipantRow.join_time, ParticipantRow.id).limit(limit)
    return [_to_participant(row) for row in (await session.execute(query)).scalars()]


def _meeting_values(meeting: Meeting) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(meeting, name) for name in _MEETING_FIELDS}
    return {**values, "state": meeting.state.value, "settings": stored(meeting.settings)}


def _to_meeting(row: MeetingRow) -> Meeting:
    values = {name: getattr(row, name) for name in _MEETING_FIELDS}
    return Meeting(**values, state=MeetingState(row.state), settings=settings_of(row.settings))


def _participant_row(participant: Participant, request_id: UUID | None) -> ParticipantRow:
    return ParticipantRow(
        id=participant.id,
        meeting_id=participant.meeting_id,
        meeting_code=participant.meeting_code,
        user_id=participant.user_id,
        display_name=participant.display_name,
        role=participant.role.value,
        state=participant.state.value,
        join_time=participant.join_time,
        leave_time=participant.leave_time,
        request_id=request_id,
        consent=stored(participant.consent),
    )


def _to_participant(row: ParticipantRow) -> Participant:
    return Participant(
        id=row.id,
        meeting_id=row.meeting_id,
        meeting_code=row.meeting_code,
        user_id=row.user_id,
        display_name=row.display_name,
        role=ParticipantRole(row.role),
        state=ParticipantState(row.state),
        join_time=row.join_time,
        leave_time=row.leave_time,
        consent=consent_of(row.consent),
    )
