"""Statements that many wait for: SQLAlchemy writes them, once; psycopg prepares and runs them, several in one round trip.

`run` is for those that have to see, or hold, what a session's transaction does; `reads.py` for reads by themselves.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import RowMaker, namedtuple_row
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Unavailable

_DIALECT = PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # as it is


class Statement:
    """A statement with named parameters (`bindparam`), ready to run: `sql`, and the parameters that are fixed."""

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]  # as all have
        self.sql, self.fixed = str(compiled), dict(compiled.params)
        self._make: RowMaker[Any] | None = None

    def rows(self, cursor: psycopg.AsyncCursor[Any]) -> RowMaker[Any]:
        """Make tuples with the columns as attributes: psycopg's way, but found out once, since the columns stay the same."""
        if cursor.description is None:
            return namedtuple_row(cursor)
        if self._make is None:
            self._make = namedtuple_row(cursor)
        return self._make


async def run(
    session: AsyncSession, statements: list[Statement], **values: object
) -> list[list[Any]]:
    """Run statements one after the other in a session's transaction; returns the rows of each, columns as attributes.

    Each sees what was committed when it begins, so that those after one that waits for a lock see what its holder has
    done. Raises Unavailable.
    """
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)  # for the type alone
    cursors = [driver.cursor(row_factory=each.rows) for each in statements]
    try:
        async with driver.pipeline():
            for cursor, each in zip(cursors, statements, strict=True):
                await cursor.execute(each.sql, {**each.fixed, **values})
        return [await cursor.fetchall() for cursor in cursors]
    except psycopg.OperationalError as error:
        if driver.closed:  # whatever else waits in the pool is as dead
            await connection.invalidate(error)
            await connection.engine.dispose()
        raise Unavailable(text="The database is away: try again.") from error


__all__ = ["Statement", "run"]
