"""How all access tokens of an account end at once: in the transaction of what ends them."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.user.sessions.store import EndedSessionRow
from services.user.store import SessionRow

_KEYS = sa.table("api_keys", sa.column("id", sa.Uuid), sa.column("user_id", sa.Uuid))
_TRANSACTION = sa.text("pg_current_xact_id()::text::bigint")


async def end_all(session: AsyncSession, user_id: UUID) -> None:
    """End a user's sessions, which a trigger notes, and the tokens that their API keys were traded for."""
    await session.execute(sa.delete(SessionRow).where(SessionRow.user_id == user_id))
    keys = sa.select(_KEYS.c.id, _KEYS.c.user_id).where(_KEYS.c.user_id == user_id)
    ended = insert(EndedSessionRow).from_select(["session_id", "user_id"], keys)
    again = {"end_time": sa.func.now(), "transaction": _TRANSACTION}
    await session.execute(ended.on_conflict_do_update(index_elements=["session_id"], set_=again))


__all__ = ["end_all"]
