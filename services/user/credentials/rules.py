"""The rules of links that are sent by mail, and what can go wrong with passwords, addresses and codes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from chassis.errors import FailedPrecondition, ResourceExhausted, Unauthenticated
from services.user.domain import hash_secret, new_secret

MAX_LINKS = 3
"""Of one kind, to one account, that are good at the same time: more mails are not sent."""


class CodeRequired(Unauthenticated):
    """The password is right, and the account has a second factor. Sign in again, with `one_time_code`."""

    reason = "CODE_REQUIRED"
    message = "The code of your authenticator app is needed, too."


class WrongCode(Unauthenticated):
    """The code is wrong, has run out, or was used before. Wait for the app's next one."""

    reason = "WRONG_CODE"
    message = "The code is wrong, or was used before."


class EmailNotVerified(FailedPrecondition):
    """The server wants e-mail addresses proven before one signs in. A link was sent: open it."""

    reason = "EMAIL_NOT_VERIFIED"
    message = "Open the link that was sent to your e-mail address first."


class EmailVerified(FailedPrecondition):
    """The e-mail address is proven already."""

    reason = "EMAIL_VERIFIED"
    message = "Your e-mail address is proven already."


class LinkInvalid(Unauthenticated):
    """The link was used before, has run out, or its address is no longer the account's. Ask for another."""

    reason = "LINK_INVALID"
    message = "This link is not good any more: ask for another."


class TooManyMails(ResourceExhausted):
    """Several links have been sent, and any of them will do. Ask for more after RetryInfo's delay."""

    reason = "TOO_MANY_MAILS"
    message = "Several mails have been sent already: look for them."


class TotpEnabled(FailedPrecondition):
    """The account has a second factor already. Turn it off first."""

    reason = "TOTP_ENABLED"
    message = "There is a second factor already."


class TotpDisabled(FailedPrecondition):
    """The account has no second factor."""

    reason = "TOTP_DISABLED"
    message = "There is no second factor."


class TotpNotBegun(FailedPrecondition):
    """There is no secret to prove yet. Begin with BeginTotp."""

    reason = "TOTP_NOT_BEGUN"
    message = "Begin with a new secret first."


class Purpose(Enum):
    """What a link is for."""

    RESET = "reset"
    VERIFY = "verify"


LIFETIMES = {Purpose.RESET: timedelta(hours=1), Purpose.VERIFY: timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was sent; whoever has its token has the mailbox of `email`."""

    token_hash: bytes
    user_id: UUID
    purpose: Purpose
    email: str
    create_time: datetime
    expire_time: datetime


def new_link(user_id: UUID, email: str, purpose: Purpose, now: datetime) -> tuple[Link, str]:
    """Make a link, and the token that goes out in it."""
    token = new_secret()
    until = now + LIFETIMES[purpose]
    return Link(hash_secret(token), user_id, purpose, email, now, until), token


__all__ = [
    "LIFETIMES",
    "MAX_LINKS",
    "CodeRequired",
    "EmailNotVerified",
    "EmailVerified",
    "Link",
    "LinkInvalid",
    "Purpose",
    "TooManyMails",
    "TotpDisabled",
    "TotpEnabled",
    "TotpNotBegun",
    "WrongCode",
    "new_link",
]
