"""The rules of meetings: what state they are in, and who may join. Pure: no I/O, no proto.

A meeting is SCHEDULED until somebody connects, then ACTIVE, and ENDED for good. A participant is JOINING until its
ticket is used, then CONNECTED, and LEFT for good: whoever comes back is a new participant. A JOINING participant holds
a place until its ticket expires.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from chassis.errors import (
    Aborted,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from services.meeting.settings import Consent, MeetingEncrypted, Settings

DEFAULT_CAPACITY = 100
LETTERS = "abcdefghijkmnopqrstuvwxyz"
"""No l, which looks like I: 25 letters in ten places are 2 ** 46 codes."""


class MeetingNotFound(NotFound):
    """There is no meeting with this code. Check the code; it is three letters, four, and three."""

    reason = "MEETING_NOT_FOUND"
    message = "There is no meeting with this code."


class ParticipantNotFound(NotFound):
    """There is no such participant, or it is not the caller's own."""

    reason = "PARTICIPANT_NOT_FOUND"
    message = "There is no such participant."


class MeetingEnded(FailedPrecondition):
    """The meeting is over, for good. Start another."""

    reason = "MEETING_ENDED"
    message = "The meeting is over."


class MeetingLocked(FailedPrecondition):
    """The host lets nobody new in. Ask the host."""

    reason = "MEETING_LOCKED"
    message = "The meeting is locked."


class MeetingActive(FailedPrecondition):
    """Somebody has joined the meeting, and this can be changed only before. Make another meeting."""

    reason = "MEETING_ACTIVE"
    message = "Somebody has joined the meeting already."


class EtagMismatch(Aborted):
    """The meeting changed since the etag was read. Read it again and decide anew."""

    reason = "ETAG_MISMATCH"


class ParticipantGone(FailedPrecondition):
    """The participant has left. Join again for a new ticket."""

    reason = "PARTICIPANT_GONE"
    message = "You have left this meeting: join again."


class WrongPasscode(PermissionDenied):
    """The meeting has a passcode, and this is not it."""

    reason = "WRONG_PASSCODE"
    message = "The passcode is wrong."


class NotHost(PermissionDenied):
    """Only the meeting's host may do this."""

    reason = "NOT_HOST"
    message = "Only the host may do this."


class NotParticipant(PermissionDenied):
    """Only those who have joined the meeting may see this."""

    reason = "NOT_PARTICIPANT"
    message = "Only those who have joined may see this."


class TranscriptNotFound(NotFound):
    """Nothing is kept of what was said in this meeting, or nothing any more."""

    reason = "TRANSCRIPT_NOT_FOUND"
    message = "No transcript is kept of this meeting."


class TranscriptOff(FailedPrecondition):
    """The host wants neither transcript nor summary, or the meeting is over: nothing is recorded."""

    reason = "TRANSCRIPT_OFF"
    message = "What is said in this meeting is not kept."


class SummaryNotFound(NotFound):
    """There is no summary of this meeting: it is not made yet, nothing was kept that it could be made of, or it is deleted."""

    reason = "SUMMARY_NOT_FOUND"
    message = "There is no summary of this meeting."


class SummaryOff(FailedPrecondition):
    """The host wants no summary of this meeting."""

    reason = "SUMMARY_OFF"
    message = "Summaries are off in this meeting."


class MeetingFull(ResourceExhausted):
    """As many are in the meeting as it takes. Try again when somebody has left."""

    reason = "MEETING_FULL"
    message = "The meeting is full."


class MeetingState(Enum):
    """Where a meeting is in its life."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"


class ParticipantState(Enum):
    """Where a participant is."""

    JOINING = "joining"
    CONNECTED = "connected"
    LEFT = "left"


class ParticipantRole(Enum):
    """What a participant may do."""

    HOST = "host"
    PARTICIPANT = "participant"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting. `revision` counts its changes, `analysis_revision` those of what is analysed in it, and of whom."""

    id: UUID
    code: str
    title: str
    description: str
    host_id: UUID
    state: MeetingState
    passcode: str
    capacity: int
    locked: bool
    voice_activity: bool
    create_time: datetime
    update_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 1
    end_to_end_encrypted: bool = False
    settings: Settings = field(default_factory=Settings)
    analysis_revision: int = 0

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}`."""
        return f"meetings/{self.code}"

    @property
    def etag(self) -> str:
        """Opaque version, of the meeting and of its settings."""
        return f'"{self.revision}"'

    def started(self, now: datetime) -> Meeting:
        """Somebody has connected. Raises MeetingEnded."""
        if self.state is MeetingState.ENDED:
            raise MeetingEnded(meeting=self.name)
        if self.state is MeetingState.ACTIVE:
            return self
        return self._changed(now, state=MeetingState.ACTIVE, start_time=now)

    def ended(self, by: UUID, now: datetime) -> Meeting:
        """End it; ending twice changes nothing. Raises NotHost."""
        if by != self.host_id:
            raise NotHost(meeting=self.name)
        if self.state is MeetingState.ENDED:
            return self
        return self._changed(now, state=MeetingState.ENDED, end_time=now)

    def check_configurable(self, by: UUID, etag: str) -> None:
        """See that its settings may be changed. Raises NotHost, MeetingEnded, EtagMismatch (not for an empty etag)."""
        if by != self.host_id:
            raise NotHost(meeting=self.name)
        if self.state is MeetingState.ENDED:
            raise MeetingEnded(meeting=self.name)
        if etag and etag != self.etag:
            raise EtagMismatch(meeting=self.name)

    def configured(
        self, now: datetime, settings: Settings, *, encrypted: bool, joined: bool
    ) -> Meeting:
        """Change its settings. `joined`: somebody has a ticket, which says whether it is encrypted end to end.

        Raises MeetingActive; MeetingEncrypted where the server is to hear what it can't.
        """
        if encrypted and settings.listens:
            raise MeetingEncrypted(meeting=self.name)
        if encrypted != self.end_to_end_encrypted and joined:
            raise MeetingActive(meeting=self.name)
        if (encrypted, settings) == (self.end_to_end_encrypted, self.settings):
            return self
        return self._changed(now, end_to_end_encrypted=encrypted, settings=settings).reanalysed()

    def reanalysed(self) -> Meeting:
        """What is analysed, or of whom, is another now."""
        return replace(self, analysis_revision=self.analysis_revision + 1)

    def _changed(self, now: datetime, **values: object) -> Meeting:
        return replace(self, update_time=now, revision=self.revision + 1, **values)  # type: ignore[arg-type]  # replace() takes any field


@dataclass(frozen=True, slots=True)
class Participant:
    """Someone's presence in a meeting."""

    id: UUID
    meeting_id: UUID
    meeting_code: str
    user_id: UUID
    display_name: str
    role: ParticipantRole
    state: ParticipantState
    join_time: datetime
    leave_time: datetime | None = None
    consent: Consent = field(default_factory=Consent)
    connect_time: datetime | None = None
    """When its ticket was first used."""

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/participants/{id}`."""
        return f"meetings/{self.meeting_code}/participants/{self.id}"

    def connected(self, now: datetime) -> Participant:
        """Its ticket was used. Raises ParticipantGone."""
        if self.state is ParticipantState.LEFT:
            raise ParticipantGone(participant=self.name)
        came = self.connect_time or now
        return replace(self, state=ParticipantState.CONNECTED, connect_time=came)

    def left(self, now: datetime) -> Participant:
        """It is gone; leaving twice changes nothing."""
        if self.state is ParticipantState.LEFT:
            return self
        return replace(self, state=ParticipantState.LEFT, leave_time=now)

    def holds_place(self, now: datetime, ticket_lifetime: timedelta) -> bool:
        """Tell whether it counts against the capacity."""
        if self.state is ParticipantState.JOINING:
            return now < self.join_time + ticket_lifetime
        return self.state is ParticipantState.CONNECTED


def new_code() -> str:
    """Make a meeting code that can't be guessed, `abc-defg-hij`."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(10))
    return f"{letters[:3]}-{letters[3:7]}-{letters[7:]}"


def admit(
    meeting: Meeting,
    present: Iterable[Participant],
    user_id: UUID,
    passcode: str,
    now: datetime,
    ticket_lifetime: timedelta,
) -> ParticipantRole:
    """Decide whether a user may join, and as what.

    Raises MeetingEnded, WrongPasscode, MeetingLocked, MeetingFull. The host needs no passcode and passes the lock.
    """
    if meeting.state is MeetingState.ENDED:
        raise MeetingEnded(meeting=meeting.name)
    is_host = user_id == meeting.host_id
    is_right = hmac.compare_digest(meeting.passcode.encode(), passcode.encode())
    if meeting.passcode and not is_host and not is_right:
        raise WrongPasscode(meeting=meeting.name)
    if meeting.locked and not is_host:
        raise MeetingLocked(meeting=meeting.name)
    taken = sum(participant.holds_place(now, ticket_lifetime) for participant in present)
    if taken >= meeting.capacity:
        raise MeetingFull(meeting=meeting.name, capacity=str(meeting.capacity))
    return ParticipantRole.HOST if is_host else ParticipantRole.PARTICIPANT
