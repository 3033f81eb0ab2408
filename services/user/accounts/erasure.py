"""What banned and deleted accounts have left with other services, and its end: a moment later, and until it is done.

The account is banned or goes at once; that its calls are to end, or its files and meetings to go, is kept in the same
transaction. Several processes may do the work at the same time, each for another account.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import String, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis import logs
from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import DomainError
from services.user.neighbours import Neighbours
from services.user.store import Base

PAUSE_SECONDS = 5.0
FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=1)
CLAIM = timedelta(seconds=30)
"""For how long nobody else takes up what somebody has begun with; doing it twice does no harm."""

log = logs.get("user.erasure")


class ErasureRow(Base):
    """An account of which something may be left elsewhere: calls, or, unless `only_calls`, anything."""

    __tablename__ = "erasures"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    due_time: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    only_calls: Mapped[bool]
    verified_email: Mapped[str] = mapped_column(String(254), default="")


async def erase_later(
    session: AsyncSession,
    user_id: UUID,
    now: datetime,
    *,
    verified_email: str = "",
    only_calls: bool = False,
) -> None:
    """Have a user's things deleted everywhere, or their calls ended, if this transaction is committed."""
    wanted = {
        "due_time": now,
        "attempts": 0,
        "only_calls": only_calls,
        "verified_email": verified_email,
    }
    statement = insert(ErasureRow).values(user_id=user_id, **wanted)
    await session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=wanted))


class Erasure:
    """Ends and deletes what is due."""

    def __init__(self, database: Database, neighbours: Neighbours, clock: Clock) -> None:
        self._database = database
        self._neighbours = neighbours
        self._clock = clock
        self._asked = asyncio.Event()

    def wake(self) -> None:
        """Say that something is due."""
        self._asked.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                while await self.one():
                    pass
            except DomainError as error:
                log.warning("erasure waits", reason=error.reason)
            self._asked.clear()
            try:
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def one(self) -> bool:
        """Do what is due of one account; False when nothing is. Raises Unavailable when the database is away."""
        now = self._clock.now()
        if (claimed := await self._claim(now)) is None:
            return False
        user_id, attempts, only_calls, email = claimed
        try:
            await self._neighbours.leave(user_id)
            if not only_calls:
                await self._neighbours.forget(user_id, email)
        except asyncio.CancelledError:
            await self._put_off(user_id, now)  # whoever comes next needs not wait
            raise
        except DomainError as error:
            log.warning("erasure failed", reason=error.reason, attempts=attempts)
            delay = min(FIRST_DELAY * 2 ** min(attempts, 20), LONGEST_DELAY)
            await self._put_off(user_id, now + delay)
            return True
        async with self._database.begin() as session:
            done = (ErasureRow.user_id == user_id) & (ErasureRow.due_time == now + CLAIM)
            await session.execute(delete(ErasureRow).where(done))  # unless it was asked for anew
        return True

    async def _claim(self, now: datetime) -> tuple[UUID, int, bool, str] | None:
        due = select(ErasureRow).where(ErasureRow.due_time <= now).order_by(ErasureRow.due_time)
        async with self._database.begin() as session:
            found = await session.execute(due.limit(1).with_for_update(skip_locked=True))
            if (row := found.scalar_one_or_none()) is None:
                return None
            claimed = (row.user_id, row.attempts, row.only_calls, row.verified_email)
            row.due_time, row.attempts = now + CLAIM, row.attempts + 1
            return claimed

    async def _put_off(self, user_id: UUID, until: datetime) -> None:
        async with self._database.begin() as session:
            await session.execute(
                update(ErasureRow).where(ErasureRow.user_id == user_id).values(due_time=until)
            )


__all__ = ["Erasure", "erase_later"]
