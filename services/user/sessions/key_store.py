"""Signing keys in Postgres; what changes them holds KEY_LOCK, so that processes that start or rotate at once agree."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, String, delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.audit import did, note
from services.user.sessions.keys import PUBLISHED_BEFORE, SigningKey, fresh_key, pending, retired
from services.user.store import Base

KEY_LOCK = 1


class SigningKeyRow(Base):
    """A key that signs access tokens."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(32), primary_key=True)
    private_pem: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime]
    sign_time: Mapped[datetime | None]
    """Empty where a process of an older version has made it: it signs at once."""


class KeyStore:
    """The keys; `longest` is how long a token may live."""

    def __init__(self, database: Database, longest: timedelta) -> None:
        self._database = database
        self._longest = longest

    async def keys(self) -> list[SigningKey]:
        """Read all keys."""
        async with self._database.begin() as session:
            return await _keys(session)

    async def begun(self, now: datetime) -> list[SigningKey]:
        """Read the keys; make the first where there is none yet, and delete those that have retired."""
        async with self._database.begin() as session:
            await _lock(session)
            keys = await _keys(session)
            if not keys:
                keys = [fresh_key(now, sign_time=now)]
                session.add(SigningKeyRow(**asdict(keys[0])))
            gone = retired(keys, now, self._longest)
            await session.execute(delete(SigningKeyRow).where(SigningKeyRow.kid.in_(gone)))
            return [key for key in keys if key.kid not in gone]

    async def rotate(self, actor: str, now: datetime) -> SigningKey:
        """Add a key that will sign; while one waits to, that one is the answer."""
        async with self._database.begin() as session:
            await _lock(session)
            if (waiting := pending(await _keys(session), now)) is not None:
                return waiting
            key = fresh_key(now, now + PUBLISHED_BEFORE)
            session.add(SigningKeyRow(**asdict(key)))
            note(session, did(actor, "signing_key.rotate", f"signingKeys/{key.kid}", now))
            return key


async def _lock(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": KEY_LOCK})


async def _keys(session: AsyncSession) -> list[SigningKey]:
    names = [field.name for field in fields(SigningKey)]
    rows = (await session.execute(select(SigningKeyRow))).scalars()
    return [
        SigningKey(
            **{name: getattr(row, name) for name in names}
            | {"sign_time": row.sign_time or row.create_time}
        )
        for row in rows
    ]


__all__ = ["KeyStore"]
