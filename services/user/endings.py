"""How all of an account's sessions end at once: in the transaction of what ends them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from services.user.store import SessionRow


async def end_all(session: AsyncSession, user_id: UUID) -> list[UUID]:
    """End a user's sessions; gives their ids, which access tokens carry as `sid`."""
    gone = delete(SessionRow).where(SessionRow.user_id == user_id).returning(SessionRow.id)
    return list((await session.execute(gone)).scalars())


__all__ = ["end_all"]
