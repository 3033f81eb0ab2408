"""Databases of every revision that there ever was come up to today's with what was in them, and today's code reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.orm import DeclarativeBase, Session

from chassis import db, reads
from chassis.idempotency import ANSWERS
from chassis.migration.__main__ import migrate
from services.media.library import app as library_app
from services.media.library.store import Base as MediaBase
from services.media.library.store import LibraryStore
from services.meeting import app as meeting_app
from services.meeting import parts as meeting_parts  # noqa: F401  # so that all tables are known
from services.meeting.meeting_filter import MeetingFilter
from services.meeting.planning.store import ScheduleStore
from services.meeting.records.person_store import PersonStore
from services.meeting.room.chat_store import ChatStore
from services.meeting.room.poll_store import PollStore
from services.meeting.store import Store as MeetingStore
from services.meeting.tables import Base as MeetingBase
from services.meeting.tables import MeetingRow, ParticipantRow, to_meeting, to_participant
from services.meeting.transcripts.store import TranscriptStore
from services.user import app as user_app
from services.user import housekeeping as _guesses  # noqa: F401  # so that all tables are known
from services.user.accounts.store import AccountStore, Search
from services.user.audit import AuditLog, Wanted
from services.user.store import Base as UserBase
from tests.conftest import DatabaseFactory

MOMENT = datetime(2025, 3, 30, 12, tzinfo=UTC)
ROWS = 3


@dataclass(frozen=True)
class Service:
    """A service with a database. `lawful` is what its columns have where anything of the type would not do."""

    name: str
    migrations: Path
    base: type[DeclarativeBase]
    lawful: Mapping[str, Any]
    read: Callable[[str], Any]
    others: frozenset[str] = frozenset()
    """Tables that have a model in the chassis."""

    def revisions(self) -> list[str]:
        versions = (self.migrations / "versions").glob("[0-9]*.py")
        return sorted(path.name.partition("_")[0] for path in versions)


async def read_meetings(url: str) -> None:
    """Read meetings and what is in them as the service does."""
    async with db.connected(url, meeting_app.MIGRATIONS) as database, reads.connected(url) as fast:
        store = MeetingStore(database, fast)
        async with database.begin() as session:
            meetings = list(
                map(to_meeting, (await session.execute(sa.select(MeetingRow))).scalars())
            )
            people = (await session.execute(sa.select(ParticipantRow))).scalars()
            visitors = list(map(to_participant, people))
        assert (len(meetings), len(visitors)) == (ROWS, ROWS)
        for meeting, visitor in zip(meetings, visitors, strict=True):
            assert (await store.meeting(meeting.code))[0] == meeting
            user = visitor.user_id
            assert await store.meetings_of(meeting.host_id, None, 10, MeetingFilter())
            assert await store.participants(meeting.id, None, 10, with_left=True)
            await ChatStore(database).page(meeting, user, None, 10)
            await PollStore(database).page(meeting, None, 10)
            await TranscriptStore(database).page(meeting, 10)
            assert await _has(PersonStore(database), user)
            await ScheduleStore(store, database).between(meeting.host_id, MOMENT, MOMENT)


async def _has(persons: PersonStore, user: Any) -> int:
    return len([kind async for kind, page in persons.records(user, "") if page])


async def read_accounts(url: str) -> None:
    """Read accounts and the audit log as the service does."""
    async with db.connected(url, user_app.MIGRATIONS) as database:
        assert len(await AccountStore(database).page(Search(), None, 10)) == ROWS
        await AuditLog(database).page(Wanted(), None, 10)


async def read_files(url: str) -> None:
    """Read files as the library does."""
    async with db.connected(url, library_app.MIGRATIONS) as database:
        async with database.begin() as session:
            owners = (
                await session.execute(sa.text("SELECT DISTINCT owner_id FROM media"))
            ).scalars()
        store = LibraryStore(database, 10)
        assert sum([len(await store.page(owner, 10, None)) for owner in owners]) == ROWS


SERVICES = (
    Service(
        "meeting",
        meeting_app.MIGRATIONS,
        MeetingBase,
        {
            "meetings.state": "ended",
            "meetings.code": lambda number: f"abc-defg-hi{'jkl'[number]}",
            "participants.role": "participant",
            "participants.state": "left",
            "participants.former_role": None,
            "participants.grants": None,
            "participants.admit_time": MOMENT,
            "participants.consent": {"transcript": True},
            "audit_outbox.details": {"to": "all"},
            "meetings.settings": {"captions": True},
            "summaries.content": None,
            "schedules.fold": 0,
            "schedules.exceptions": [],
            "schedules.time_zone": "Europe/Berlin",
            "schedules.recurrence": "",
            "invitations.state": "sent",
            "deliveries.state": "pending",
            "polls.choices": ["yes", "no"],
            "polls.counts": [1, 0],
            "meetings.parent_id": None,
            "meetings.parent_code": "",
            "breakout_seats.breakout_id": None,
        },
        read_meetings,
        frozenset({ANSWERS.name}),
    ),
    Service(
        "user",
        user_app.MIGRATIONS,
        UserBase,
        {"users.role": "user", "identities.provider": "work", "links.purpose": "reset"},
        read_accounts,
        frozenset({ANSWERS.name}),
    ),
    Service("media", library_app.MIGRATIONS, MediaBase, {"media.state": "ready"}, read_files),
)
EVERY = [(service, revision) for service in SERVICES for revision in service.revisions()]


def fill(engine: sa.Engine, service: Service) -> None:
    """Put ROWS rows into every table that has none of its own; what refers to others refers to those."""
    tables = sa.MetaData()
    tables.reflect(engine)
    made: dict[str, list[dict[str, Any]]] = {}
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                continue
            made[table.name] = [_row(table, number, service, made) for number in range(ROWS)]
            connection.execute(sa.insert(table), made[table.name])


def _row(
    table: sa.Table, number: int, service: Service, made: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.identity is not None:
            continue
        at = f"{table.name}.{column.name}"
        if at in service.lawful:
            value = service.lawful[at]
            row[column.name] = value(number) if callable(value) else value
        elif column.foreign_keys:
            (other,) = (key.column for key in column.foreign_keys)
            row[column.name] = made[other.table.name][number][other.name]
        elif column.nullable and number == 0:
            row[column.name] = None
        else:
            row[column.name] = _value(column.type, number)
    return row


def _value(kind: sa.types.TypeEngine[Any], number: int) -> Any:
    values: dict[type, Any] = {
        sa.Uuid: uuid4(),
        sa.Boolean: bool(number % 2),
        sa.Float: 0.5,
        sa.Integer: number + 1,
        sa.LargeBinary: bytes([number, 255, 0]),
        sa.DateTime: MOMENT,
        sa.Date: date(2025, 3, 30 - number),
        sa.JSON: [],
        sa.ARRAY: ["x"],
        sa.String: f"x{number}",
    }
    return next(value for type_, value in values.items() if isinstance(kind, type_))


def content(engine: sa.Engine, known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Read tables as text, by the columns that are known, in some order that is the same each time."""
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for name, columns in known.items():
            rows: sa.Result[Any] = connection.execute(
                sa.select(*map(sa.column, columns)).select_from(sa.table(name))
            )
            found[name] = sorted(json.dumps(tuple(row), default=str) for row in rows)
    return found


def columns_of(engine: sa.Engine) -> dict[str, list[str]]:
    look = sa.inspect(engine)
    names = set(look.get_table_names()) - {"alembic_version"}
    return {name: [column["name"] for column in look.get_columns(name)] for name in names}


@pytest.fixture
def engine_of() -> Iterator[Callable[[str], sa.Engine]]:
    engines: list[sa.Engine] = []

    def make(url: str) -> sa.Engine:
        engines.append(sa.create_engine(url, poolclass=sa.NullPool))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ("service", "revision"),
    EVERY,
    ids=[f"{service.name}-{revision}" for service, revision in EVERY],
)
def test_what_was_kept_is_there_and_read(
    empty_database: str,
    engine_of: Callable[[str], sa.Engine],
    service: Service,
    revision: str,
) -> None:
    migrate(empty_database, service.migrations, revision)
    engine = engine_of(empty_database)
    fill(engine, service)
    known = columns_of(engine)
    before = content(engine, known)
    migrate(empty_database, service.migrations)
    assert content(engine, known) == before
    with Session(engine) as session:
        for mapper in service.base.registry.mappers:
            rows = session.execute(sa.select(mapper.class_)).scalars().all()
            if mapper.local_table.description in known:
                assert rows, f"{mapper.class_.__name__} reads what was kept"
    asyncio.run(service.read(empty_database))


@pytest.mark.parametrize("service", SERVICES, ids=[service.name for service in SERVICES])
def test_models_are_what_migrations_make(
    database: DatabaseFactory, engine_of: Callable[[str], sa.Engine], service: Service
) -> None:
    """Columns, their types, keys and what refers to what; indexes, which only make queries faster, migrations alone have."""

    def compared(_: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        return kind != "index" and not (kind == "table" and name in service.others)

    with engine_of(database(service.name)).connect() as connection:
        options = {"include_object": compared, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, service.base.metadata) == []
