"""Sessions as their owners see them, and those that have ended, in Postgres.

A session ends by its row being deleted, whoever does that; a trigger then notes it in `ended_sessions`, in the same
transaction. Those who follow what ends read by transactions, not by time: an answer ends before the oldest transaction
that is still under way, so that nothing is missed that is committed later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, FetchedValue, delete, func, select, text, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from chassis.paging import PageTokenInvalid, decode, encode
from chassis.revocations import EndedSession, News
from services.user.domain import Session, SessionNotFound
from services.user.store import Base, SessionRow, to_session

NEWS_LIMIT = 5000
KEPT = timedelta(days=1)
"""How long it is known that a session has ended."""


class EndedSessionRow(Base):
    """A session that has ended."""

    __tablename__ = "ended_sessions"

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    end_time: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    transaction: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())


class SessionStore:
    """Lists and ends sessions; `token_lifetime` is an access token's."""

    def __init__(self, database: Database, token_lifetime: timedelta) -> None:
        self._database = database
        self._token_lifetime = token_lifetime

    async def page(
        self, user_id: UUID, now: datetime, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Session]:
        """List a user's sessions, newest first, from below `before`."""
        query = select(SessionRow).where(
            (SessionRow.user_id == user_id) & (SessionRow.expire_time > now)
        )
        if before is not None:
            query = query.where(tuple_(SessionRow.create_time, SessionRow.id) < before)
        query = query.order_by(SessionRow.create_time.desc(), SessionRow.id.desc()).limit(limit)
        async with self._database.begin() as session:
            return [to_session(row) for row in (await session.execute(query)).scalars()]

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """End a user's session; False if it has ended before. Raises SessionNotFound."""
        where = (SessionRow.user_id == user_id) & (SessionRow.id == session_id)
        async with self._database.begin() as session:
            done = await session.execute(delete(SessionRow).where(where).returning(SessionRow.id))
            if done.scalar_one_or_none() is not None:
                return True
            ended = await session.get(EndedSessionRow, session_id)
            if ended is None or ended.user_id != user_id:
                raise SessionNotFound
            return False

    async def end_all(self, user_id: UUID, keep: UUID | None = None) -> int:
        """End a user's sessions, but for one that may be kept; returns how many."""
        where = SessionRow.user_id == user_id
        if keep is not None:
            where &= SessionRow.id != keep
        async with self._database.begin() as session:
            done = await session.execute(delete(SessionRow).where(where).returning(SessionRow.id))
            return len(done.scalars().all())

    async def ended_since(self, token: str, limit: int = NEWS_LIMIT) -> News:
        """Tell which sessions have ended since a token was given (a chassis.revocations.Source). Raises PageTokenInvalid."""
        horizon, amid = _read(token)
        recent = EndedSessionRow.end_time > func.now() - self._token_lifetime
        query = select(EndedSessionRow).where(recent).order_by(*_POSITION).limit(limit)
        async with self._database.begin() as session:
            now: int = (await session.execute(_HORIZON)).scalar_one()
            if horizon > now:  # another database gave the token
                horizon, amid = 0, None
            where = tuple_(*_POSITION) > (amid or (horizon, _FIRST))
            rows = (await session.execute(query.where(where))).scalars().all()
        more = len(rows) == limit
        last = (str(rows[-1].transaction), str(rows[-1].session_id)) if more else ()
        upto = str(horizon if amid else now)
        return News([self._ended(row) for row in rows], encode((upto, *last)), more)

    def _ended(self, row: EndedSessionRow) -> EndedSession:
        expires = row.end_time + self._token_lifetime
        return EndedSession(str(row.session_id), expires.timestamp())


_POSITION = (EndedSessionRow.transaction, EndedSessionRow.session_id)
_HORIZON = select(text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))
_FIRST = UUID(int=0)


def _read(token: str) -> tuple[int, tuple[int, UUID] | None]:
    """Read the horizon of an answer, and, where there was more than it had, its last row."""
    try:
        match decode(token):
            case ():
                return 0, None
            case (horizon,):
                return int(horizon), None
            case (horizon, transaction, session_id):
                return int(horizon), (int(transaction), UUID(session_id))
    except ValueError:
        pass
    raise PageTokenInvalid


__all__ = ["SessionStore"]
