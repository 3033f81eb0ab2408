"""Who somebody is at the OpenID Connect providers, in Postgres.

An account is linked to a provider's subject by a rule that an address alone can't bend: both the provider and we must
have proof that it is theirs. Else whoever signs up first with somebody's address would have their account.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from services.user.audit import did, note
from services.user.domain import EmailTaken, Role, User
from services.user.sessions.providers import Claims, usernames
from services.user.store import Base, UserRow, to_row, to_user

ATTEMPTS = 3


class IdentityRow(Base):
    """That a provider's `subject` is an account."""

    __tablename__ = "identities"

    provider: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    create_time: Mapped[datetime]


class IdentityStore:
    """Finds, links and makes the accounts of those who sign in by a provider."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, provider: str, claims: Claims, now: datetime) -> User:
        """Give the account of a provider's subject, made or linked at the first time. Raises EmailTaken."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._account(provider, claims, now)
            except IntegrityError:  # somebody else was as fast: with this subject, or a name
                continue
        return await self._account(provider, claims, now)

    async def _account(self, provider: str, claims: Claims, now: datetime) -> User:
        async with self._database.begin() as session:
            linked = select(UserRow).join(IdentityRow, IdentityRow.user_id == UserRow.id)
            linked = linked.where(
                (IdentityRow.provider == provider) & (IdentityRow.subject == claims.subject)
            )
            if (row := (await session.execute(linked)).scalar_one_or_none()) is not None:
                return to_user(row)
            row = await _of_address(session, claims)
            if row is None:
                row = await _made(session, claims, now)
            identity = IdentityRow(provider=provider, subject=claims.subject, create_time=now)
            identity.user_id = row.id
            session.add(identity)
            name, details = f"users/{row.id}", {"provider": provider}
            note(session, did(name, "identity.link", name, now, details))
            return to_user(row)


async def _of_address(session: AsyncSession, claims: Claims) -> UserRow | None:
    """Find whose address it is, if both sides have proof of that. Raises EmailTaken where not both have."""
    if not claims.email:
        return None
    found = await session.execute(
        select(UserRow).where(UserRow.email == claims.email).with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is not None and not (row.email_verified and claims.email_verified):
        raise EmailTaken
    return row


async def _made(session: AsyncSession, claims: Claims, now: datetime) -> UserRow:
    """Make an account that has no password."""
    wished, unique = usernames(claims)
    taken = await session.execute(select(UserRow.id).where(UserRow.username == wished))
    username = wished if taken.scalar_one_or_none() is None else unique
    user = User(
        id=uuid4(),
        username=username,
        email=claims.email,
        display_name=claims.display_name or username,
        role=Role.USER,
        create_time=now,
        update_time=now,
    )
    row = to_row(user, password_hash="")
    row.email_verified = claims.email_verified
    session.add(row)
    await session.flush()
    return row


__all__ = ["IdentityRow", "IdentityStore"]
