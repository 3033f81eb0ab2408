"""People's pictures in Postgres: a few kilobytes each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.accounts.avatars import AvatarNotFound
from services.user.domain import UserNotFound
from services.user.store import Base, UserRow


class AvatarRow(Base):
    """A picture."""

    __tablename__ = "avatars"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    picture: Mapped[bytes] = mapped_column(LargeBinary)
    update_time: Mapped[datetime]


class AvatarStore:
    """The pictures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user_id: UUID, picture: bytes, now: datetime) -> None:
        """Keep a user's picture in place of the one before. Raises UserNotFound."""
        values = {"picture": picture, "update_time": now}
        statement = insert(AvatarRow).values(user_id=user_id, **values)
        async with self._database.begin() as session:
            if await session.get(UserRow, user_id, with_for_update={"key_share": True}) is None:
                raise UserNotFound
            await session.execute(
                statement.on_conflict_do_update(
                    index_elements=["user_id"], set_=values, where=AvatarRow.picture != picture
                )
            )

    async def get(self, user_id: UUID) -> bytes:
        """Read a user's picture. Raises UserNotFound, AvatarNotFound."""
        async with self._database.begin() as session:
            if (row := await session.get(AvatarRow, user_id)) is not None:
                return row.picture
            if await session.get(UserRow, user_id) is None:
                raise UserNotFound
            raise AvatarNotFound

    async def remove(self, user_id: UUID) -> None:
        """Remove a user's picture, if there is one."""
        async with self._database.begin() as session:
            await session.execute(delete(AvatarRow).where(AvatarRow.user_id == user_id))


__all__ = ["AvatarRow", "AvatarStore"]
