"""Reads that many wait for: one statement, one round trip, on connections that are always in autocommit.

A transaction through SQLAlchemy's ORM costs three round trips and most of a millisecond of Python. What is read here must
fit into one statement.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import Select

from chassis.errors import Unavailable
from chassis.statements import Statement

POOL_SIZE = 4
"""One event loop keeps no more busy; who waits for a connection waits in order."""
TIMEOUT_SECONDS = 5.0
QUEUE = 1000


class Read:
    """A statement with named parameters (`bindparam`), ready to run."""

    def __init__(self, pool: AsyncConnectionPool, statement: Select[Any]) -> None:
        self._pool = pool
        self._statement = Statement(statement)

    async def one(self, **values: object) -> Any | None:
        """Read the one row, its columns as attributes; None when there is none. Raises Unavailable."""
        try:
            return await self._fetch(values)
        except psycopg.OperationalError:
            await self._pool.check()  # connections to a Postgres that has been restarted since
        try:
            return await self._fetch(values)
        except psycopg.OperationalError as error:
            raise Unavailable(text="The database is away: try again.") from error

    async def _fetch(self, values: dict[str, object]) -> Any | None:
        statement = self._statement
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=statement.rows)
            await cursor.execute(statement.sql, {**statement.fixed, **values})
            return await cursor.fetchone()


class Reads:
    """The connections on which prepared reads run."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    def prepare(self, statement: Select[Any]) -> Read:
        """Make a statement ready to be run many times."""
        return Read(self._pool, statement)


@asynccontextmanager
async def connected(url: str, pool_size: int = POOL_SIZE) -> AsyncIterator[Reads]:
    """Open the connections; `url` is written as SQLAlchemy has it."""
    options = {"autocommit": True, "prepare_threshold": 2}
    pool: AsyncConnectionPool = AsyncConnectionPool(
        url.replace("+psycopg", "", 1),
        kwargs=options,
        min_size=1,
        max_size=pool_size,
        max_waiting=QUEUE,
        timeout=TIMEOUT_SECONDS,
        open=False,
    )
    async with pool:
        yield Reads(pool)


__all__ = ["Read", "Reads", "connected"]
