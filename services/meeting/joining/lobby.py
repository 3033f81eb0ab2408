"""The door of a meeting: who is let in at once, who waits, and who stays outside. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from chassis.errors import FailedPrecondition, PermissionDenied, ResourceExhausted
from services.meeting.domain import (
    Meeting,
    MeetingLocked,
    Participant,
    ParticipantRole,
    WrongPasscode,
)
from services.meeting.grants import Grants
from services.meeting.settings import Consent

MAX_WAITING = 200
"""How many a lobby takes."""
WAITING_LEASE = timedelta(seconds=60)
"""Who has not been seen waiting for so long has gone."""


class LobbyFull(ResourceExhausted):
    """As many wait in the lobby as it takes. Try again when the hosts have let some in."""

    reason = "LOBBY_FULL"
    message = "The lobby is full: try again later."


class NotWaiting(FailedPrecondition):
    """The participant is not in the lobby any more: somebody has decided, or it has left."""

    reason = "NOT_WAITING"
    message = "The participant is not in the lobby any more."


class NotAssigned(PermissionDenied):
    """It is a breakout room, and the caller belongs in another or in the meeting. Hosts move themselves first."""

    reason = "BREAKOUT_NOT_ASSIGNED"
    message = "You are not assigned to this breakout room."


class Banned(PermissionDenied):
    """A host has taken the caller out of this meeting for good. Ask the host by other means."""

    reason = "BANNED"
    message = "You were taken out of this meeting for good."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks. `past` is their last presence that had a ticket, `consent` what they agreed to last.

    `is_assigned` tells whether they belong in this breakout room, `is_sent_back` whether they come back from one.
    """

    user_id: UUID
    display_name: str
    passcode: str = ""
    request_id: UUID | None = None
    past: Participant | None = None
    consent: Consent = field(default_factory=Consent)
    is_banned: bool = False
    is_assigned: bool = False
    is_sent_back: bool = False

    @property
    def is_known(self) -> bool:
        """Tell whether a host has let them in before, and has not taken them out since."""
        return self.past is not None and not self.past.is_removed

    @property
    def is_returning(self) -> bool:
        """Tell whether they are on the way back to where they were let in."""
        return self.is_sent_back and self.is_known


def role_at_the_door(meeting: Meeting, caller: Caller) -> ParticipantRole:
    """Say as what somebody comes: as what they were, unless they were taken out."""
    if caller.user_id == meeting.host_id:
        return ParticipantRole.HOST
    if caller.past is None or not caller.is_known:
        return ParticipantRole.PARTICIPANT
    if caller.past.former_role is not None:
        return caller.past.former_role
    was_host = caller.past.role is ParticipantRole.HOST
    return ParticipantRole.COHOST if was_host else caller.past.role


def grants_at_the_door(caller: Caller, role: ParticipantRole) -> Grants | None:
    """Say what a host has said that somebody may do; who was taken out since may not run the meeting any more."""
    if caller.past is None or caller.past.grants is None or role is ParticipantRole.HOST:
        return None
    if caller.is_known:
        return caller.past.grants
    return replace(caller.past.grants, record=False, administer=False)


def check_door(meeting: Meeting, caller: Caller, role: ParticipantRole) -> None:
    """See that somebody may come, be it into the lobby. The host needs no passcode; hosts and co-hosts pass the lock.

    Who comes back from a breakout room needs no passcode, and passes the lock.

    Raises MeetingEnded, Banned, NotAssigned, WrongPasscode, MeetingLocked.
    """
    meeting.check_open()
    is_host = role is ParticipantRole.HOST
    if caller.is_banned and not is_host:
        raise Banned(meeting=meeting.name)
    if meeting.parent_id is not None and not caller.is_assigned:
        raise NotAssigned(meeting=meeting.name)
    is_right = hmac.compare_digest(meeting.passcode.encode(), caller.passcode.encode())
    if caller.is_returning:
        return
    if meeting.passcode and not is_host and not is_right:
        raise WrongPasscode(meeting=meeting.name)
    if meeting.locked and role not in (ParticipantRole.HOST, ParticipantRole.COHOST):
        raise MeetingLocked(meeting=meeting.name)


def has_to_wait(meeting: Meeting, caller: Caller, role: ParticipantRole) -> bool:
    """Tell whether somebody has to wait for a host: who was let in before, or helps to run it, has not."""
    is_awaited = role in (ParticipantRole.HOST, ParticipantRole.COHOST) or caller.is_known
    return meeting.settings.lobby and not is_awaited


__all__ = [
    "MAX_WAITING",
    "WAITING_LEASE",
    "Banned",
    "Caller",
    "LobbyFull",
    "NotAssigned",
    "NotWaiting",
    "check_door",
    "grants_at_the_door",
    "has_to_wait",
    "role_at_the_door",
]
