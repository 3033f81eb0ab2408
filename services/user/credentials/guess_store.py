"""Guesses, and where accounts have signed in before, in Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.credentials.guessing import Counter, Guesses
from services.user.domain import TooManySignIns
from services.user.store import Base

KNOWN_PLACES = 20
"""Of one account; the one longest out of use is forgotten first."""


class GuessesRow(Base):
    """A counter that stands above nothing."""

    __tablename__ = "guesses"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    count: Mapped[int]
    last_time: Mapped[datetime]


class KnownPlaceRow(Base):
    """A network from which an account has signed in, as a digest."""

    __tablename__ = "known_places"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    last_time: Mapped[datetime]


class GuessStore:
    """Counts guesses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charge(self, counters: Sequence[Counter], now: datetime) -> None:
        """Count a guess on every counter, or on none. Raises TooManySignIns with how long to wait."""
        rules = {counter.key: counter.rule for counter in counters}
        ordered = sorted(rules)  # two that lock the same rows lock them in the same order
        fresh = [{"key": key, "count": 0, "last_time": now} for key in ordered]
        async with self._database.begin() as session:
            await session.execute(insert(GuessesRow).values(fresh).on_conflict_do_nothing())
            query = select(GuessesRow).where(GuessesRow.key.in_(ordered)).order_by(GuessesRow.key)
            rows = (await session.execute(query.with_for_update())).scalars().all()
            waits = [_guesses(row).wait(rules[row.key], now) for row in rows]
            if (longest := max(waits)) > timedelta(0):
                seconds = longest.total_seconds()
                raise TooManySignIns(
                    text=f"Too many wrong guesses: try again in {round(seconds) or 1} s.",
                    retry_after=seconds,
                )
            for row in rows:
                charged = _guesses(row).charged(now)
                row.count, row.last_time = charged.count, charged.last

    async def forgive(self, own: Counter, *shared: Counter) -> None:
        """Take a guess back that was right: its own counter begins anew, shared ones count one less."""
        keys = [counter.key for counter in shared]
        less = update(GuessesRow).where(GuessesRow.key.in_(keys) & (GuessesRow.count > 0))
        async with self._database.begin() as session:
            await session.execute(delete(GuessesRow).where(GuessesRow.key == own.key))
            await session.execute(less.values(count=GuessesRow.count - 1))

    async def is_known(self, user_id: UUID, network: str) -> bool:
        """Tell whether an account has signed in from a network before."""
        async with self._database.begin() as session:
            return await session.get(KnownPlaceRow, (user_id, _place(network))) is not None

    async def remember(self, user_id: UUID, network: str, now: datetime) -> None:
        """Keep that an account has signed in from a network."""
        if not network:
            return
        values = {"user_id": user_id, "place": _place(network), "last_time": now}
        known = insert(KnownPlaceRow).values(values)
        known = known.on_conflict_do_update(
            index_elements=["user_id", "place"], set_={"last_time": now}
        )
        too_many = select(KnownPlaceRow.place).where(KnownPlaceRow.user_id == user_id)
        too_many = too_many.order_by(KnownPlaceRow.last_time.desc()).offset(KNOWN_PLACES)
        where = (KnownPlaceRow.user_id == user_id) & KnownPlaceRow.place.in_(too_many)
        async with self._database.begin() as session:
            await session.execute(known)
            await session.execute(delete(KnownPlaceRow).where(where))


def _guesses(row: GuessesRow) -> Guesses:
    return Guesses(row.count, row.last_time)


def _place(network: str) -> bytes:
    return hashlib.blake2b(network.encode(), digest_size=16).digest()


__all__ = ["GuessStore"]
