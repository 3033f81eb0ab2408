"""Accounts and sessions in Postgres."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, LargeBinary, String, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import Database
from services.user.domain import (
    MAX_SESSIONS,
    AccountBanned,
    EmailTaken,
    EtagMismatch,
    Role,
    Session,
    User,
    UsernameTaken,
    UserNotFound,
)


class Base(DeclarativeBase):
    """The tables of parley_user."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class UserRow(Base):
    """An account."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    display_name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(256))
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    revision: Mapped[int]
    service_account: Mapped[bool] = mapped_column(default=False)
    email_verified: Mapped[bool] = mapped_column(default=False)
    ban_time: Mapped[datetime | None]
    ban_reason: Mapped[str] = mapped_column(String(500), default="")
    last_sign_in_time: Mapped[datetime | None]


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


def verified_address(row: UserRow) -> str:
    """Tell the address that an account has proven to be its own; empty: none."""
    return (row.email or "") if row.email_verified else ""


class Store:
    """What the user service keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_user(self, user: User, password_hash: str) -> None:
        """Add an account. Raises UsernameTaken, EmailTaken."""
        try:
            async with self._database.begin() as session:
                session.add(to_row(user, password_hash))
        except IntegrityError as error:
            raise taken(error) from None

    async def user(self, user_id: UUID) -> User:
        """Read an account. Raises UserNotFound."""
        async with self._database.begin() as session:
            return to_user(await _user_row(session, user_id))

    async def change_user(self, user: User) -> None:
        """Write an account's new profile over the revision before it. Raises EtagMismatch, EmailTaken."""
        values = {
            "email": user.email or None,
            "email_verified": UserRow.email_verified & (UserRow.email == user.email),
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
            raise taken(error) from None

    async def credentials(self, username_or_email: str) -> tuple[User, str] | None:
        """Find an account and its password hash by username or e-mail address; None if there is none."""
        wanted = username_or_email.lower()
        async with self._database.begin() as session:
            where = (UserRow.username == wanted) | (UserRow.email == wanted)
            row = (await session.execute(select(UserRow).where(where))).scalars().first()
            return None if row is None else (to_user(row), row.password_hash)

    async def change_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Keep a password's hash in newer parameters."""
        async with self._database.begin() as session:
            values = {"password_hash": password_hash}
            await session.execute(update(UserRow).where(UserRow.id == user_id).values(values))

    async def add_session(self, new: Session) -> None:
        """Add a session. Raises AccountBanned, UserNotFound.

        Those of the account that are too many end, the ones longest out of use first.
        """
        oldest = select(SessionRow.id).where(SessionRow.user_id == new.user_id)
        oldest = oldest.order_by(SessionRow.refresh_time.desc()).offset(MAX_SESSIONS)
        async with self._database.begin() as session:
            await _signed_in(session, new)
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


SESSION_FIELDS = tuple(field.name for field in fields(Session))


def to_session(row: SessionRow) -> Session:
    """Read a row."""
    return Session(**{name: getattr(row, name) for name in SESSION_FIELDS})


async def _signed_in(session: AsyncSession, new: Session) -> None:
    """Note that an account signs in, so that a ban comes either before it or ends this session, too."""
    row = (
        await session.execute(select(UserRow).where(UserRow.id == new.user_id).with_for_update())
    ).scalar_one_or_none()
    if row is None:
        raise UserNotFound
    if row.ban_time is not None:
        raise AccountBanned
    row.last_sign_in_time = new.create_time


async def _user_row(session: AsyncSession, user_id: UUID) -> UserRow:
    if (row := await session.get(UserRow, user_id)) is None:
        raise UserNotFound
    return row


def to_row(user: User, password_hash: str) -> UserRow:
    """Make an account's row; nothing that anybody types has an empty hash."""
    return UserRow(
        id=user.id,
        username=user.username,
        email=user.email or None,
        display_name=user.display_name,
        role=user.role.value,
        password_hash=password_hash,
        create_time=user.create_time,
        update_time=user.update_time,
        revision=user.revision,
    )


def to_user(row: UserRow) -> User:
    """Read an account of its row; who has no address has an empty one."""
    return User(
        id=row.id,
        username=row.username,
        email=row.email or "",
        display_name=row.display_name,
        role=Role(row.role),
        create_time=row.create_time,
        update_time=row.update_time,
        revision=row.revision,
    )


def taken(error: IntegrityError) -> UsernameTaken | EmailTaken:
    """Say which of an account's names somebody else has."""
    return EmailTaken() if "users_email" in str(error.orig) else UsernameTaken()
