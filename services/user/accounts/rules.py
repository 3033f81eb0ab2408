"""The rules of administering accounts: bans, roles, and that somebody is left to administer. Pure: no I/O, no proto."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from chassis.errors import FailedPrecondition
from services.user.domain import Role, User


class LastAdmin(FailedPrecondition):
    """Nobody else is both admin and free to sign in. Make somebody else admin first."""

    reason = "LAST_ADMIN"
    message = "Nobody would be left to administer this server: make somebody else admin first."


class AccountState(Enum):
    """Whether an account may sign in."""

    ACTIVE = "active"
    BANNED = "banned"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as admins see it."""

    user: User
    service_account: bool = False
    email_verified: bool = False
    totp_enabled: bool = False
    ban_time: datetime | None = None
    ban_reason: str = ""
    last_sign_in_time: datetime | None = None

    @property
    def administers(self) -> bool:
        """Whether it is a person who is admin and can sign in: programs don't count."""
        is_admin = self.user.role is Role.ADMIN
        return is_admin and self.ban_time is None and not self.service_account

    def state(self, *, must_verify: bool) -> AccountState:
        """Tell whether it may sign in; `must_verify`: only with a proven address."""
        if self.ban_time is not None:
            return AccountState.BANNED
        if must_verify and not self.email_verified and not self.service_account:
            return AccountState.UNVERIFIED
        return AccountState.ACTIVE


Rule = Callable[[Account, int], Account]
"""Changes an account, knowing how many others administer."""


def ban(reason: str, now: datetime) -> Rule:
    """Ban it; one that is banned stays so, for the newest reason. Raises LastAdmin."""

    def rule(account: Account, others: int) -> Account:
        _check_left(account, others)
        return replace(account, ban_time=account.ban_time or now, ban_reason=reason)

    return rule


def unban(account: Account, _others: int) -> Account:
    """Lift its ban, if there is one."""
    return replace(account, ban_time=None, ban_reason="")


def give(role: Role, now: datetime) -> Rule:
    """Give it a role. Raises LastAdmin."""

    def rule(account: Account, others: int) -> Account:
        if role is account.user.role:
            return account
        if role is not Role.ADMIN:
            _check_left(account, others)
        revision = account.user.revision + 1
        user = replace(account.user, role=role, update_time=now, revision=revision)
        return replace(account, user=user)

    return rule


def check_deletable(account: Account, others: int) -> None:
    """See that it may go. Raises LastAdmin."""
    _check_left(account, others)


def _check_left(account: Account, others: int) -> None:
    if account.administers and others == 0:
        raise LastAdmin(user=f"users/{account.user.id}")


__all__ = [
    "Account",
    "AccountState",
    "LastAdmin",
    "Rule",
    "ban",
    "check_deletable",
    "give",
    "unban",
]
