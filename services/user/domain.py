"""The rules of accounts and sessions. Pure: no I/O, no proto.

A session is a chain of refresh tokens of which only the newest is good. Whoever shows an older one has it from
somewhere that it should not be, so the session ends for everyone who holds a part of it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from chassis.errors import (
    Aborted,
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

REFRESH_SECRET_BYTES = 32
MAX_SESSIONS = 100
"""Of one account: with one more, the one that was not refreshed for longest ends."""


class UsernameTaken(AlreadyExists):
    """Someone else has this username. Choose another."""

    reason = "USERNAME_TAKEN"
    message = "This username is taken."


class EmailTaken(AlreadyExists):
    """An account with this e-mail address exists. Sign in to it instead, or use another address."""

    reason = "EMAIL_TAKEN"
    message = "An account with this e-mail address exists."


class WrongCredentials(Unauthenticated):
    """The account does not exist or the password is wrong; which of the two is not told."""

    reason = "WRONG_CREDENTIALS"
    message = "The username or the password is wrong."


class AccountBanned(PermissionDenied):
    """An admin has banned the account: it can't sign in. Ask them to lift the ban."""

    reason = "ACCOUNT_BANNED"
    message = "This account is banned."


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, or its session is over. Sign in again."""

    reason = "REFRESH_TOKEN_INVALID"
    message = "The session is over: sign in again."


class RefreshTokenReused(Unauthenticated):
    """A refresh token was used a second time, so its session was ended to be safe. Sign in again."""

    reason = "REFRESH_TOKEN_REUSED"
    message = "This token was used before, so its session was ended: sign in again."


class SessionNotFound(NotFound):
    """The caller has no such session, or it ended more than a day ago."""

    reason = "SESSION_NOT_FOUND"
    message = "There is no such session."


class UserNotFound(NotFound):
    """There is no account with this name."""

    reason = "USER_NOT_FOUND"
    message = "There is no such user."


class NotYours(PermissionDenied):
    """The thing belongs to somebody else."""

    reason = "NOT_YOURS"
    message = "This belongs to somebody else."


class EtagMismatch(Aborted):
    """The resource changed since the etag was read. Read it again and decide anew."""

    reason = "ETAG_MISMATCH"
    message = "It changed since you read it: read it again."


class TooManySignIns(ResourceExhausted):
    """Too many wrong guesses, or more passwords to check than this server takes at once. Wait as long as RetryInfo says."""

    reason = "TOO_MANY_SIGN_INS"
    message = "Too many sign-ins at once: try again shortly."


class Role(Enum):
    """What an account may do on this server."""

    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """An account. `username` and `email` are in lower case; `revision` counts its changes."""

    id: UUID
    username: str
    email: str
    display_name: str
    role: Role
    create_time: datetime
    update_time: datetime
    revision: int = 1

    @property
    def etag(self) -> str:
        """The opaque version for optimistic locking."""
        return f'"{self.revision}"'


@dataclass(frozen=True, slots=True)
class Session:
    """A session, the hash of its newest refresh secret, and where it was begun."""

    id: UUID
    user_id: UUID
    secret_hash: bytes
    create_time: datetime
    refresh_time: datetime
    expire_time: datetime
    user_agent: str = ""
    address: str = ""

    def rotate(self, secret: str, now: datetime, lifetime: timedelta) -> tuple[Session, str]:
        """Trade the newest secret for a new one.

        Raises RefreshTokenInvalid when the session is over, RefreshTokenReused when the secret is not the newest: the
        caller must then end the session.
        """
        if now >= self.expire_time:
            raise RefreshTokenInvalid
        if not hmac.compare_digest(hash_secret(secret), self.secret_hash):
            raise RefreshTokenReused
        fresh = new_secret()
        rotated = replace(
            self,
            secret_hash=hash_secret(fresh),
            refresh_time=now,
            expire_time=now + lifetime,
        )
        return rotated, fresh


def profile_changed(
    user: User, *, display_name: str | None, email: str | None, etag: str, now: datetime
) -> User:
    """Change a profile; None leaves a field. Raises EtagMismatch, InvalidArgument."""
    if etag and etag != user.etag:
        raise EtagMismatch(user=str(user.id))
    if display_name is not None and not (display_name := display_name.strip()):
        raise InvalidArgument(fields={"user.display_name": "must not be empty"})
    return replace(
        user,
        display_name=user.display_name if display_name is None else display_name,
        email=user.email if email is None else email.lower(),
        update_time=now,
        revision=user.revision + 1,
    )


def new_secret() -> str:
    """Make the secret half of a refresh token."""
    return secrets.token_urlsafe(REFRESH_SECRET_BYTES)


def hash_secret(secret: str) -> bytes:
    """Hash a random secret for keeping (it has too much entropy to need a slow hash)."""
    return hashlib.sha256(secret.encode()).digest()


def refresh_token(session: UUID, secret: str) -> str:
    """Join a session's id and its secret into the token that clients hold."""
    return f"{session}.{secret}"


def parse_refresh_token(token: str) -> tuple[UUID, str]:
    """Take a refresh token apart. Raises RefreshTokenInvalid."""
    session, _, secret = token.partition(".")
    try:
        return UUID(session), secret
    except ValueError:
        raise RefreshTokenInvalid from None
