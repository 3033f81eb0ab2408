"""What has run out is deleted, a bounded number of rows at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_

from chassis import logs
from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import DomainError
from chassis.idempotency import Answers
from services.user.credentials.guess_store import GuessesRow
from services.user.credentials.guessing import FORGOTTEN
from services.user.credentials.store import LinkRow
from services.user.sessions.store import KEPT, EndedSessionRow
from services.user.store import SessionRow

EVERY_SECONDS = 60.0
AT_ONCE = 1000

_RUNS_OUT: tuple[tuple[Any, timedelta], ...] = (
    (SessionRow.expire_time, timedelta(0)),
    (EndedSessionRow.end_time, KEPT),
    (GuessesRow.last_time, FORGOTTEN),
    (LinkRow.expire_time, timedelta(0)),
)
"""From when on a row is of no use: a moment of it, and how long after."""

log = logs.get("user.housekeeping")


class Housekeeping:
    """Deletes what has run out."""

    def __init__(self, database: Database, answers: Answers, clock: Clock) -> None:
        self._database = database
        self._answers = answers
        self._clock = clock

    async def run(self) -> None:
        """Delete again and again, for ever."""
        while True:
            try:
                while await self.sweep():
                    pass
            except DomainError as error:
                log.info("what has run out stays for now", reason=error.reason)
            await asyncio.sleep(EVERY_SECONDS)

    async def sweep(self) -> bool:
        """Delete some; returns whether there may be more."""
        now = self._clock.now()
        counts = [await self._delete(moment, now - after) for moment, after in _RUNS_OUT]
        counts.append(await self._answers.prune())
        return max(counts) >= AT_ONCE

    async def _delete(self, moment: Any, before: datetime) -> int:
        table = moment.class_.__table__
        key = tuple_(*table.primary_key)
        old = select(*table.primary_key).where(moment < before).limit(AT_ONCE)
        async with self._database.begin() as session:
            gone = delete(table).where(key.in_(old)).returning(*table.primary_key)
            return len((await session.execute(gone)).all())


__all__ = ["Housekeeping"]
