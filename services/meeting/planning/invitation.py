"""Invitations: who is asked to come, and how many letters that may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from chassis.errors import NotFound, ResourceExhausted

MAX_INVITATIONS = 500
"""Of a meeting."""
LETTERS_A_DAY = 1000
"""That an account causes."""
RETRIES = (60, 300, 1800, 7200, 21_600, 43_200)
"""Seconds until a letter is tried again that nobody took."""


class InvitationNotFound(NotFound):
    """There is no such invitation, or it was taken back."""

    reason = "INVITATION_NOT_FOUND"
    message = "There is no such invitation."


class TooManyInvitations(ResourceExhausted):
    """The meeting has as many invitations as it may, or the account has caused as many letters as it may in a day."""

    reason = "TOO_MANY_INVITATIONS"
    message = "That would be more letters than may be sent."


class InvitationState(Enum):
    """What became of the mail."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody is asked to come, in a `language`, with `words` of the host's own."""

    id: UUID
    meeting_code: str
    email: str
    language: str
    words: str
    state: InvitationState
    create_time: datetime

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/invitations/{id}`."""
        return f"meetings/{self.meeting_code}/invitations/{self.id}"


def distinct(emails: list[str]) -> list[str]:
    """Leave out addresses that are there already but for their case."""
    found: dict[str, str] = {}
    for each in emails:
        found.setdefault(each.lower(), each)
    return list(found.values())


def tried_again(attempts: int) -> timedelta | None:
    """Say when a letter is tried again that was tried so often; None: no more."""
    return timedelta(seconds=RETRIES[attempts - 1]) if attempts <= len(RETRIES) else None


__all__ = [
    "LETTERS_A_DAY",
    "MAX_INVITATIONS",
    "Invitation",
    "InvitationNotFound",
    "InvitationState",
    "TooManyInvitations",
    "distinct",
    "tried_again",
]
