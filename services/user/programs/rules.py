"""The rules of API keys: how programs act for an account. Pure: no I/O, no proto.

A key is traded for access tokens that live for less than a minute, so that one that is revoked soon works nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from chassis.scopes import ADMIN
from services.user.accounts.rules import Account
from services.user.domain import NotYours, Role

MAX_KEYS = 50
"""Of one account."""
PREFIX = "pk_"
SECRET_BYTES = 32
USE_STEP = timedelta(hours=1)
REMEMBERED = timedelta(days=1)
"""How long it is known that a key was revoked."""


class ApiKeyInvalid(Unauthenticated):
    """The API key is unknown, revoked or expired, or its account is banned. Make another."""

    reason = "API_KEY_INVALID"
    message = "The API key is not valid."


class ApiKeyNotFound(NotFound):
    """The account has no such API key, or it was revoked more than a day ago."""

    reason = "API_KEY_NOT_FOUND"
    message = "There is no such API key."


class ScopeNotYours(PermissionDenied):
    """A key can't do more than its account: the admin scope is for keys of admins."""

    reason = "SCOPE_NOT_YOURS"
    message = "The account may not do itself what this key should."


class TooManyApiKeys(ResourceExhausted):
    """An account has at most 50 API keys. Revoke one that is not in use."""

    reason = "TOO_MANY_API_KEYS"
    message = "The account has as many API keys as it may have: revoke one."


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key; its secret is known to its holder alone. `last_use_time` is to the hour."""

    id: UUID
    user_id: UUID
    secret_hash: bytes
    display_name: str
    scopes: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None = None
    last_use_time: datetime | None = None
    revoke_time: datetime | None = None

    def check_usable(self, account: Account, now: datetime) -> None:
        """Raise ApiKeyInvalid when it works no more."""
        over = self.expire_time is not None and now >= self.expire_time
        if over or self.revoke_time is not None or account.ban_time is not None:
            raise ApiKeyInvalid

    def token_lifetime(self, now: datetime, longest: timedelta) -> timedelta:
        """Say how long a token may live that it is traded for."""
        return longest if self.expire_time is None else min(longest, self.expire_time - now)


def check_manages(caller: UUID, role: str, owner: Account) -> None:
    """See that somebody may look after an account's keys: their own, or as admin a program's. Raises NotYours."""
    if caller == owner.user.id:
        return
    if role != Role.ADMIN.value or not owner.service_account:
        raise NotYours


def check_new(
    owner: Account,
    scopes: Collection[str],
    expire_time: datetime | None,
    now: datetime,
    count: int,
) -> None:
    """See that a key may be made, beside `count` others. Raises ScopeNotYours, TooManyApiKeys, InvalidArgument."""
    if ADMIN in scopes and owner.user.role is not Role.ADMIN:
        raise ScopeNotYours(scope=ADMIN)
    if expire_time is not None and expire_time <= now:
        raise InvalidArgument(fields={"api_key.expire_time": "must be in the future"})
    if count >= MAX_KEYS:
        raise TooManyApiKeys(limit=str(MAX_KEYS))


def new_api_secret() -> str:
    """Make a key's secret: `pk_`, by which scanners know it, and 43 characters."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


__all__ = [
    "MAX_KEYS",
    "REMEMBERED",
    "USE_STEP",
    "ApiKey",
    "ApiKeyInvalid",
    "ApiKeyNotFound",
    "ScopeNotYours",
    "TooManyApiKeys",
    "check_manages",
    "check_new",
    "new_api_secret",
]
