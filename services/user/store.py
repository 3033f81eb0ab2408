"""Accounts, sessions and signing keys in Postgres."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, LargeBinary, String, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import Database
from services.user.domain import (
    MAX_SESSIONS,
    EmailTaken,
    EtagMismatch,
    Role,
    Session,
    User,
    UsernameTaken,
    UserNotFound,
)

KEY_LOCK = 1


class Base(DeclarativeBase):
    """The tables of parley_user."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class UserRow(Base):
    """An account."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    display_name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(256))
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    revision: Mapped[int]


class SessionRow(Base):
    """A session; its row goes when it ends, which a trigger notes in `ended_sessions`."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime]
    refresh_time: Mapped[datetime]
    expire_time: Mapped[datetime]
    user_agent: Mapped[str] = mapped_column(String(256))
    address: Mapped[str] = mapped_column(String(64))


class SigningKeyRow(Base):
    """A key that signs access tokens: the newest signs, the others still verify."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(32), primary_key=True)
    private_pem: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime]


class Store:
    """What the user service keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_user(self, user: User, password_hash: str) -> None:
        """Add an account. Raises UsernameTaken, EmailTaken."""
        try:
            async with self._database.begin() as session:
                session.add(_to_row(user, password_hash))
        except IntegrityError as error:
            raise _taken(error) from None

    async def user(self, user_id: UUID) -> User:
        """Read an account. Raises UserNotFound."""
        async with self._database.begin() as session:
            return _to_user(await _user_row(session, user_id))

    async def change_user(self, user: User) -> None:
        """Write an account's new profile over the revision before it. Raises EtagMismatch, EmailTaken."""
        values = {
            "email": user.email,
            "display_name": user.display_name,
            "update_time": user.update_time,
            "revision": user.revision,
        }
        where = (UserRow.id == user.id) & (UserRow.revision == user.revision - 1)
        try:
            async with self._database.begin() as session:
                done = await session.execute(
                    update(UserRow).where(where).values(values).returning(UserRow.id)
                )
                if done.scalar_one_or_none() is None:
                    raise EtagMismatch
        except IntegrityError as error:
            raise _taken(error) from None

    async def credentials(self, username_or_email: str) -> tuple[User, str] | None:
        """Find an account and its password hash by username or e-mail address; None if there is none."""
        wanted = username_or_email.lower()
        async with self._database.begin() as session:
            where = (UserRow.username == wanted) | (UserRow.email == wanted)
            row = (await session.execute(select(UserRow).where(where))).scalars().first()
            return None if row is None else (_to_user(row), row.password_hash)

    async def change_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Keep a password's hash in newer parameters."""
        async with self._database.begin() as session:
            values = {"password_hash": password_hash}
            await session.execute(update(UserRow).where(UserRow.id == user_id).values(values))

    async def add_session(self, new: Session) -> None:
        """Add a session. Those of the account that are too many end, the ones longest out of use first."""
        oldest = select(SessionRow.id).where(SessionRow.user_id == new.user_id)
        oldest = oldest.order_by(SessionRow.refresh_time.desc()).offset(MAX_SESSIONS)
        async with self._database.begin() as session:
            session.add(SessionRow(**{name: getattr(new, name) for name in SESSION_FIELDS}))
            await session.flush()
            await session.execute(delete(SessionRow).where(SessionRow.id.in_(oldest)))

    async def rotate(self, old: Session, new: Session) -> bool:
        """Put the new secret in place of the old one; False if somebody was faster."""
        where = (SessionRow.id == old.id) & (SessionRow.secret_hash == old.secret_hash)
        values = {
            name: getattr(new, name) for name in ("secret_hash", "refresh_time", "expire_time")
        }
        async with self._database.begin() as session:
            done = await session.execute(
                update(SessionRow).where(where).values(values).returning(SessionRow.id)
            )
            return done.scalar_one_or_none() is not None

    async def session(self, session_id: UUID) -> Session | None:
        """Read a session; None if it is over."""
        async with self._database.begin() as session:
            row = await session.get(SessionRow, session_id)
            return None if row is None else to_session(row)

    async def end_session(self, session_id: UUID) -> None:
        """End a session, if it is not over yet."""
        async with self._database.begin() as session:
            await session.execute(delete(SessionRow).where(SessionRow.id == session_id))

    async def signing_keys(self, fresh: SigningKeyRow) -> list[SigningKeyRow]:
        """Read the signing keys, the newest first; where there is none yet, keep `fresh`."""
        async with self._database.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": KEY_LOCK})
            newest = select(SigningKeyRow).order_by(SigningKeyRow.create_time.desc())
            rows = list((await session.execute(newest)).scalars())
            if not rows:
                session.add(fresh)
                rows = [fresh]
            return rows


SESSION_FIELDS = tuple(field.name for field in fields(Session))


def to_session(row: SessionRow) -> Session:
    """Read a row."""
    return Session(**{name: getattr(row, name) for name in SESSION_FIELDS})


async def _user_row(session: AsyncSession, user_id: UUID) -> UserRow:
    if (row := await session.get(UserRow, user_id)) is None:
        raise UserNotFound
    return row


def _to_row(user: User, password_hash: str) -> UserRow:
    return UserRow(
        id=user.id,
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        role=user.role.value,
        password_hash=password_hash,
        create_time=user.create_time,
        update_time=user.update_time,
        revision=user.revision,
    )


def _to_user(row: UserRow) -> User:
    return User(
        id=row.id,
        username=row.username,
        email=row.email,
        display_name=row.display_name,
        role=Role(row.role),
        create_time=row.create_time,
        update_time=row.update_time,
        revision=row.revision,
    )


def _taken(error: IntegrityError) -> UsernameTaken | EmailTaken:
    return EmailTaken() if "users_email" in str(error.orig) else UsernameTaken()
