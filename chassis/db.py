"""Postgres: one bounded pool per process, transactions, and each service's own migrations.

A service's migrations are `services/<svc>/migrations/versions/*.py` (Alembic). They run at start, under an advisory
lock, so that several processes of one service may start at once. A Postgres that is away is `Unavailable`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
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
        self._shared: ContextVar[AsyncSession | None] = ContextVar("shared", default=None)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction: committed when the block ends well, rolled back otherwise. Raises Unavailable.

        Within `together` it is the one that is open there.
        """
        if (shared := self._shared.get()) is not None:
            yield shared
            await shared.flush()  # so that what is refused is refused here
            return
        async with self._begin() as session:
            yield session

    @asynccontextmanager
    async def together(self) -> AsyncIterator[AsyncSession]:
        """Make one transaction of all that this task begins within the block. Raises Unavailable.

        An error that leaves a transaction within must leave the block, too: it is all or nothing.
        """
        async with self._begin() as session:
            before = self._shared.set(session)
            try:
                yield session
            finally:
                self._shared.reset(before)

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncSession]:
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
    await _migrate(url, migrations)
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


async def _migrate(url: str, migrations: Path) -> None:
    """Bring the database up to the newest migration, in a process of its own: Alembic is large, and needed but once."""
    if await _newest(url, migrations):
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chassis.migration",
        str(migrations),
        env={**os.environ, "PARLEY_DATABASE_URL": url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(
            f"The database can't be migrated: {said.decode(errors='replace')[-2000:]}"
        )


async def _newest(url: str, migrations: Path) -> bool:
    """Tell whether the database has had every migration; their files begin with their numbers. Raises OperationalError."""
    last = max(path.name.partition("_")[0] for path in (migrations / "versions").glob("*.py"))
    engine = create_async_engine(
        url, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": TIMEOUT_SECONDS}
    )
    try:
        async with engine.connect() as connection:
            found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            return bool(found == last)
    except ProgrammingError:  # there is no such table yet
        return False
    finally:
        await engine.dispose()


def _unavailable() -> Unavailable:
    return Unavailable(text="The database is away: try again.")


__all__ = ["POOL_SIZE", "Database", "connected"]
