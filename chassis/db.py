"""Postgres: one bounded pool per process, transactions, and each service's own migrations.

A service's migrations are `services/<svc>/migrations/versions/*.py` (Alembic). They run at start, under an advisory
lock, so that several processes of one service may start at once. A Postgres that is away is `Unavailable`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import alembic.command
import sqlalchemy
from alembic.config import Config as AlembicConfig
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from chassis.errors import Unavailable

POOL_SIZE = 10
TIMEOUT_SECONDS = 5
"""How long to wait for a connection, and for a connection's turn in the pool."""


class Database:
    """A service's database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction: committed when the block ends well, rolled back otherwise. Raises Unavailable."""
        try:
            async with self._sessions.begin() as session:
                yield session
        except (OperationalError, sqlalchemy.exc.TimeoutError) as error:
            raise _unavailable() from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _unavailable() from error
            raise

    async def ping(self) -> None:
        """Return if Postgres answers. Raises Unavailable."""
        async with self.begin() as session:
            await session.execute(text("SELECT 1"))


@asynccontextmanager
async def connected(
    url: str, migrations: Path, pool_size: int = POOL_SIZE
) -> AsyncIterator[Database]:
    """Bring the database up to the newest migration, then open it. Raises OperationalError when it is away."""
    await asyncio.to_thread(migrate, url, migrations)
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=TIMEOUT_SECONDS,
        pool_pre_ping=False,
        pool_recycle=1800,
        connect_args={"connect_timeout": TIMEOUT_SECONDS, "prepare_threshold": 2},
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def migrate(url: str, migrations: Path) -> None:
    """Run the migrations that the database lacks, one process at a time (chassis/migration/env.py)."""
    options = AlembicConfig(attributes={})
    options.set_main_option("script_location", str(Path(__file__).parent / "migration"))
    options.set_main_option("version_locations", str(migrations / "versions"))
    options.set_main_option("path_separator", "newline")
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": TIMEOUT_SECONDS}
    )
    try:
        with engine.begin() as connection:
            lock = zlib.crc32(b"parley.migrations")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
            options.attributes["connection"] = connection
            alembic.command.upgrade(options, "head")
    finally:
        engine.dispose()


def _unavailable() -> Unavailable:
    return Unavailable(text="The database is away: try again.")


__all__ = ["POOL_SIZE", "Database", "connected", "migrate"]
