"""The audit log in Postgres: what was done, by whom and to what. It only grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, String, select, true, tuple_
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.store import Base


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that was done; `action` is `noun.verb`."""

    id: UUID
    time: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted; what is empty does not matter. `action` may be `noun.*`."""

    actor: str = ""
    subject: str = ""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None


class AuditRow(Base):
    """An event."""

    __tablename__ = "audit_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(65))
    subject: Mapped[str] = mapped_column(String(256))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)


def did(
    actor: str, action: str, subject: str, now: datetime, details: dict[str, str] | None = None
) -> AuditEvent:
    """Say that somebody has just done something."""
    return AuditEvent(uuid4(), now, actor, action, subject, details or {})


def note(session: AsyncSession, event: AuditEvent) -> None:
    """Keep an event together with what it tells of: both are committed, or neither."""
    session.add(AuditRow(**asdict(event)))


class AuditLog:
    """The log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, events: Iterable[AuditEvent]) -> None:
        """Append events; those that are there already change nothing."""
        statement = insert(AuditRow).values([asdict(event) for event in events])
        async with self._database.begin() as session:
            await session.execute(statement.on_conflict_do_nothing())

    async def page(
        self, wanted: Wanted, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[AuditEvent]:
        """Read events, newest first, from below `before`."""
        where = _where(wanted)
        if before is not None:
            where &= tuple_(AuditRow.time, AuditRow.id) < before
        query = select(AuditRow).where(where)
        query = query.order_by(AuditRow.time.desc(), AuditRow.id.desc()).limit(limit)
        names = [field.name for field in fields(AuditEvent)]
        async with self._database.begin() as session:
            rows = (await session.execute(query)).scalars()
            return [AuditEvent(**{name: getattr(row, name) for name in names}) for row in rows]


def _where(wanted: Wanted) -> ColumnElement[bool]:
    where: ColumnElement[bool] = true()
    if wanted.actor:
        where &= AuditRow.actor == wanted.actor
    if wanted.subject:
        where &= AuditRow.subject == wanted.subject
    if wanted.action.endswith(".*"):
        where &= AuditRow.action.startswith(wanted.action[:-1], autoescape=True)
    elif wanted.action:
        where &= AuditRow.action == wanted.action
    if wanted.since is not None:
        where &= AuditRow.time >= wanted.since
    if wanted.until is not None:
        where &= AuditRow.time < wanted.until
    return where


__all__ = ["AuditEvent", "AuditLog", "Wanted", "did", "note"]
