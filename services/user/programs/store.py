"""API keys in Postgres. One that is revoked stays for a day, so that revoking it twice succeeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ForeignKey,
    LargeBinary,
    String,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.accounts.rules import Account
from services.user.accounts.store import to_account
from services.user.audit import AuditEvent, note
from services.user.domain import UserNotFound
from services.user.programs.rules import REMEMBERED, USE_STEP, ApiKey, ApiKeyInvalid, ApiKeyNotFound
from services.user.store import Base, UserRow

Check = Callable[[Account, int], None]
"""Raises unless an account, which has so many keys, may have one more."""


class ApiKeyRow(Base):
    """A key."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    display_name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime | None]
    last_use_time: Mapped[datetime | None]
    revoke_time: Mapped[datetime | None]


class ApiKeyStore:
    """The keys of all accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey, check: Check, event: AuditEvent) -> None:
        """Add a key. Raises UserNotFound and what `check` does."""
        async with self._database.begin() as session:
            owner = await session.get(UserRow, key.user_id, with_for_update=True)
            if owner is None:
                raise UserNotFound
            old = ApiKeyRow.revoke_time < key.create_time - REMEMBERED
            await session.execute(delete(ApiKeyRow).where((ApiKeyRow.user_id == key.user_id) & old))
            living = select(func.count()).select_from(ApiKeyRow).where(_living(key.user_id))
            check(to_account(owner), (await session.execute(living)).scalar_one())
            session.add(ApiKeyRow(**{**asdict(key), "scopes": list(key.scopes)}))
            note(session, event)

    async def page(
        self, user_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[ApiKey]:
        """List an account's keys, newest first, from below `before`."""
        where = _living(user_id)
        if before is not None:
            where &= tuple_(ApiKeyRow.create_time, ApiKeyRow.id) < before
        query = select(ApiKeyRow).where(where)
        query = query.order_by(ApiKeyRow.create_time.desc(), ApiKeyRow.id.desc()).limit(limit)
        async with self._database.begin() as session:
            return [_to_key(row) for row in (await session.execute(query)).scalars()]

    async def revoke(self, user_id: UUID, key_id: UUID, now: datetime, event: AuditEvent) -> None:
        """Revoke a key; once more changes nothing. Raises ApiKeyNotFound."""
        async with self._database.begin() as session:
            row = await session.get(ApiKeyRow, key_id, with_for_update=True)
            if row is None or row.user_id != user_id:
                raise ApiKeyNotFound
            if row.revoke_time is None:
                row.revoke_time = now
                note(session, event)

    async def used(self, secret_hash: bytes, now: datetime) -> tuple[ApiKey, Account]:
        """Find a key that works by its secret's hash, and note that it is in use. Raises ApiKeyInvalid."""
        query = select(ApiKeyRow, UserRow).join(UserRow, UserRow.id == ApiKeyRow.user_id)
        async with self._database.begin() as session:
            found = await session.execute(query.where(ApiKeyRow.secret_hash == secret_hash))
            if (rows := found.one_or_none()) is None:
                raise ApiKeyInvalid
            key, account = _to_key(rows[0]), to_account(rows[1])
            key.check_usable(account, now)
            await _note_use(session, key, now)
            return key, account


async def _note_use(session: AsyncSession, key: ApiKey, now: datetime) -> None:
    """Write the hour, once an hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if key.last_use_time is None or hour - key.last_use_time >= USE_STEP:
        await session.execute(
            update(ApiKeyRow).where(ApiKeyRow.id == key.id).values(last_use_time=hour)
        )


def _living(user_id: UUID) -> ColumnElement[bool]:
    return (ApiKeyRow.user_id == user_id) & ApiKeyRow.revoke_time.is_(None)


def _to_key(row: ApiKeyRow) -> ApiKey:
    values = {field.name: getattr(row, field.name) for field in fields(ApiKey)}
    return ApiKey(**{**values, "scopes": tuple(row.scopes)})


__all__ = ["ApiKeyRow", "ApiKeyStore"]
