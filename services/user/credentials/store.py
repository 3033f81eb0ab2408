"""Passwords, links and second factors in Postgres; secrets of second factors are sealed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import Database
from chassis.idempotency import Seal
from services.user.audit import did, note
from services.user.credentials.rules import MAX_LINKS, Link, LinkInvalid, Purpose
from services.user.credentials.totp import Factor
from services.user.store import Base, UserRow


class LinkRow(Base):
    """A link that was sent and not used; the token itself is nowhere but in the mail."""

    __tablename__ = "links"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    email: Mapped[str] = mapped_column(String(254))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime]


class TotpRow(Base):
    """A second factor, turned on or only begun."""

    __tablename__ = "totp"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)
    enabled: Mapped[bool]
    last_step: Mapped[int] = mapped_column(BigInteger)


class RecoveryCodeRow(Base):
    """A recovery code that was not used yet."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class CredentialStore:
    """What accounts sign in with."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def password_hash(self, user_id: UUID) -> str | None:
        """Read the hash of a password; None where there is no account, or none that has one."""
        query = select(UserRow.password_hash).where(UserRow.id == user_id)
        async with self._database.begin() as session:
            return (await session.execute(query)).scalar_one_or_none() or None

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        """Put a new password in place of the old, whose links to set a new one are of no use any more."""
        async with self._database.begin() as session:
            values = {"password_hash": password_hash}
            await session.execute(update(UserRow).where(UserRow.id == user_id).values(values))
            stale = (LinkRow.user_id == user_id) & (LinkRow.purpose == Purpose.RESET.value)
            await session.execute(delete(LinkRow).where(stale))

    async def mailbox(self, email: str) -> UUID | None:
        """Find the account of a person by its e-mail address; banned ones have none."""
        query = select(UserRow.id).where(UserRow.email == email.lower(), UserRow.ban_time.is_(None))
        async with self._database.begin() as session:
            return (await session.execute(query)).scalar_one_or_none()

    async def is_verified(self, user_id: UUID) -> bool:
        """Tell whether an account's e-mail address is proven."""
        query = select(UserRow.email_verified).where(UserRow.id == user_id)
        async with self._database.begin() as session:
            return bool((await session.execute(query)).scalar_one_or_none())

    async def set_verified(self, user_id: UUID, email: str) -> bool:
        """Note that an address is proven; False if the account has another one by now."""
        where = (UserRow.id == user_id) & (UserRow.email == email)
        async with self._database.begin() as session:
            done = update(UserRow).where(where).values(email_verified=True).returning(UserRow.id)
            return (await session.execute(done)).scalar_one_or_none() is not None

    async def add_link(self, link: Link, now: datetime) -> bool:
        """Keep a link that will be sent; False if the account has as many as may be good at once."""
        same = (LinkRow.user_id == link.user_id) & (LinkRow.purpose == link.purpose.value)
        count = select(func.count()).where(same & (LinkRow.expire_time > now))
        owner = select(UserRow.id).where(UserRow.id == link.user_id).with_for_update()
        async with self._database.begin() as session:
            await session.execute(owner)
            if (await session.execute(count)).scalar_one() >= MAX_LINKS:
                return False
            session.add(LinkRow(**{**asdict(link), "purpose": link.purpose.value}))
            return True

    async def use_link(self, token_hash: bytes, purpose: Purpose, now: datetime) -> Link:
        """Take a link, which is of no use from then on. Raises LinkInvalid."""
        where = (LinkRow.token_hash == token_hash) & (LinkRow.purpose == purpose.value)
        where &= LinkRow.expire_time > now
        async with self._database.begin() as session:
            taken = await session.execute(delete(LinkRow).where(where).returning(LinkRow))
            if (row := taken.scalar_one_or_none()) is None:
                raise LinkInvalid
            return Link(
                row.token_hash, row.user_id, purpose, row.email, row.create_time, row.expire_time
            )

    async def has_link(self, token_hash: bytes, purpose: Purpose, now: datetime) -> bool:
        """Tell whether a link is good, without taking it."""
        query = select(LinkRow.user_id).where(
            LinkRow.token_hash == token_hash,
            LinkRow.purpose == purpose.value,
            LinkRow.expire_time > now,
        )
        async with self._database.begin() as session:
            return (await session.execute(query)).scalar_one_or_none() is not None

    async def factor(self, user_id: UUID) -> Factor | None:
        """Read an account's second factor; None if there is none, not even begun."""
        async with self._database.begin() as session:
            if (row := await session.get(TotpRow, user_id)) is None:
                return None
            secret = self._seal.decrypt(row.sealed_secret).decode()
            return Factor(secret, row.enabled, row.last_step)

    async def begin_factor(self, user_id: UUID, factor: Factor) -> bool:
        """Keep a second factor that is not turned on; False if there is one that is."""
        values = {
            "sealed_secret": self._seal.encrypt(factor.secret.encode()),
            "enabled": False,
            "last_step": factor.last_step,
        }
        begun = insert(TotpRow).values(user_id=user_id, **values)
        replaced = begun.on_conflict_do_update(
            index_elements=["user_id"], set_=values, where=~TotpRow.enabled
        )
        async with self._database.begin() as session:
            done = await session.execute(replaced.returning(TotpRow.user_id))
            return done.scalar_one_or_none() is not None

    async def take_step(self, user_id: UUID, step: int, *, enable: bool = False) -> bool:
        """Note that a half minute's code was used; False if that one, or a later one, was before."""
        where = (TotpRow.user_id == user_id) & (TotpRow.last_step < step)
        values = {"last_step": step, **({"enabled": True} if enable else {})}
        if enable:
            where &= ~TotpRow.enabled
        async with self._database.begin() as session:
            done = update(TotpRow).where(where).values(values).returning(TotpRow.user_id)
            return (await session.execute(done)).scalar_one_or_none() is not None

    async def remove_factor(self, user_id: UUID) -> None:
        """Take an account's second factor away."""
        async with self._database.begin() as session:
            for kind in (TotpRow, RecoveryCodeRow):
                await session.execute(delete(kind).where(kind.user_id == user_id))

    async def set_recovery_codes(self, user_id: UUID, hashes: Iterable[bytes]) -> None:
        """Put new recovery codes in place of the old."""
        async with self._database.begin() as session:
            await session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
            session.add_all(RecoveryCodeRow(user_id=user_id, code_hash=each) for each in hashes)

    async def has_recovery_code(self, user_id: UUID, code_hash: bytes) -> bool:
        """Tell whether a recovery code is good, without taking it."""
        async with self._database.begin() as session:
            return await session.get(RecoveryCodeRow, (user_id, code_hash)) is not None

    async def use_recovery_code(self, user_id: UUID, code_hash: bytes) -> bool:
        """Take a recovery code; False if there is no such one."""
        where = (RecoveryCodeRow.user_id == user_id) & (RecoveryCodeRow.code_hash == code_hash)
        async with self._database.begin() as session:
            done = delete(RecoveryCodeRow).where(where).returning(RecoveryCodeRow.user_id)
            return (await session.execute(done)).scalar_one_or_none() is not None

    async def audit(self, user_id: UUID, action: str, now: datetime) -> None:
        """Note in the audit log what somebody did to their own account."""
        name = f"users/{user_id}"
        async with self._database.begin() as session:
            note(session, did(name, action, name, now))


__all__ = ["CredentialStore"]
