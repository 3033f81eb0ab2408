"""Accounts in Postgres, as admins see and change them.

Whatever may take an admin away holds ADMIN_LOCK, so that of two who demote each other one is refused.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, or_, select, text, true, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from services.user.accounts.erasure import erase_later
from services.user.accounts.rules import Account, AccountState, Rule, check_deletable
from services.user.audit import AuditEvent, note
from services.user.credentials.store import TotpRow
from services.user.domain import Role, User, UserNotFound
from services.user.sessions.endings import end_all
from services.user.store import UserRow, taken, to_row, to_user, verified_address

ADMIN_LOCK = 2


@dataclass(frozen=True, slots=True)
class Search:
    """Which accounts are wanted; what is empty does not matter. `must_verify`: see Account.state."""

    query: str = ""
    state: AccountState | None = None
    must_verify: bool = False


class AccountStore:
    """What admins see and change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, user_id: UUID) -> Account:
        """Read an account. Raises UserNotFound."""
        async with self._database.begin() as session:
            if (row := await session.get(UserRow, user_id)) is None:
                raise UserNotFound
            return to_account(row, await _factors(session, [row.id]))

    async def password_hash(self, user_id: UUID) -> str:
        """Read the hash of an account's password; empty where it has none. Raises UserNotFound."""
        async with self._database.begin() as session:
            if (row := await session.get(UserRow, user_id)) is None:
                raise UserNotFound
            return row.password_hash

    async def page(
        self, search: Search, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Account]:
        """List accounts, newest first, from below `before`."""
        where = _where(search)
        if before is not None:
            where &= tuple_(UserRow.create_time, UserRow.id) < before
        query = select(UserRow).where(where)
        query = query.order_by(UserRow.create_time.desc(), UserRow.id.desc()).limit(limit)
        async with self._database.begin() as session:
            rows = list((await session.execute(query)).scalars())
            factors = await _factors(session, [row.id for row in rows])
            return [to_account(row, factors) for row in rows]

    async def change(self, user_id: UUID, rule: Rule, event: AuditEvent) -> Account:
        """Change an account by a rule; whom it bans is signed out, and their calls end. Raises UserNotFound and what the rule does."""
        async with self._database.begin() as session:
            row, others = await _locked(session, user_id)
            before = to_account(row, await _factors(session, [row.id]))
            after = rule(before, others)
            if after == before:
                return before
            row.role, row.revision = after.user.role.value, after.user.revision
            row.update_time = after.user.update_time
            row.ban_time, row.ban_reason = after.ban_time, after.ban_reason
            if after.ban_time is not None and before.ban_time is None:
                await end_all(session, user_id)
                await erase_later(session, user_id, event.time, only_calls=True)
            note(session, event)
            return after

    async def add_service_account(self, user: User, event: AuditEvent) -> Account:
        """Add an account for a program, which has no password. Raises UsernameTaken."""
        row = to_row(user, password_hash="")
        row.service_account = True
        try:
            async with self._database.begin() as session:
                session.add(row)
                note(session, event)
        except IntegrityError as error:
            raise taken(error) from None
        return Account(user, service_account=True)

    async def delete(self, user_id: UUID, event: AuditEvent) -> None:
        """Delete an account with all that is its own here, and have the rest follow. Raises UserNotFound, LastAdmin."""
        async with self._database.begin() as session:
            row, others = await _locked(session, user_id)
            check_deletable(to_account(row), others)
            await end_all(session, user_id)
            await session.delete(row)
            await erase_later(session, user_id, event.time, verified_email=verified_address(row))
            note(session, event)


async def _locked(session: AsyncSession, user_id: UUID) -> tuple[UserRow, int]:
    """Lock an account, and count those that administer beside it."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADMIN_LOCK})
    row = await session.get(UserRow, user_id, with_for_update=True)
    if row is None:
        raise UserNotFound
    administers = (UserRow.role == Role.ADMIN.value) & UserRow.ban_time.is_(None)
    administers &= ~UserRow.service_account & (UserRow.id != user_id)
    others = select(func.count()).select_from(UserRow).where(administers)
    return row, (await session.execute(others)).scalar_one()


def _where(search: Search) -> ColumnElement[bool]:
    where: ColumnElement[bool] = true()
    if search.query:
        fields = (UserRow.username, UserRow.display_name, UserRow.email)
        where &= or_(*(field.icontains(search.query, autoescape=True) for field in fields))
    if search.state is None:
        return where
    if search.state is AccountState.BANNED:
        return where & UserRow.ban_time.is_not(None)
    unproven: ColumnElement[bool] = false()
    if search.must_verify:
        unproven = ~UserRow.email_verified & ~UserRow.service_account
    wanted = unproven if search.state is AccountState.UNVERIFIED else ~unproven
    return where & UserRow.ban_time.is_(None) & wanted


async def _factors(session: AsyncSession, user_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Tell which of these accounts have a second factor."""
    enabled = select(TotpRow.user_id).where(TotpRow.user_id.in_(user_ids), TotpRow.enabled)
    return frozenset((await session.execute(enabled)).scalars())


def to_account(row: UserRow, factors: Container[UUID] = ()) -> Account:
    """Read an account of its row; `factors` has its id if it has a second factor."""
    return Account(
        to_user(row),
        service_account=row.service_account,
        email_verified=row.email_verified,
        totp_enabled=row.id in factors,
        ban_time=row.ban_time,
        ban_reason=row.ban_reason,
        last_sign_in_time=row.last_sign_in_time,
    )


__all__ = ["AccountStore", "Search", "to_account"]
