"""The rules of meetings: what state they are in, and who may join. Pure: no I/O, no proto.

A meeting is SCHEDULED until somebody connects, then ACTIVE, and ENDED for good; one that nobody is in can be CANCELLED for
good. One that recurs is SCHEDULED again when it ends, as long as there is a time to come. A participant is JOINING until its ticket is used, then CONNECTED, and LEFT for good: whoever comes
back is a new participant. A JOINING participant holds a place until its ticket expires. Where there is a lobby, a
participant is WAITING before, until it is admitted or DENIED for good. `gathering.py` has what concerns several people.
"""

from __future__ import annotations

import secrets
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
from services.meeting.grants import Grants
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
    """The meeting is over or called off, for good. Start another."""

    reason = "MEETING_ENDED"
    message = "The meeting is over."


class MeetingLocked(FailedPrecondition):
    """The host lets nobody new in. Ask the host."""

    reason = "MEETING_LOCKED"
    message = "The meeting is locked."


class MeetingActive(FailedPrecondition):
    """Somebody has joined the meeting, and this can be done only before, or, deleting, after its end."""

    reason = "MEETING_ACTIVE"
    message = "Somebody has joined the meeting already."


class EtagMismatch(Aborted):
    """The meeting changed since the etag was read. Read it again and decide anew."""

    reason = "ETAG_MISMATCH"


class ParticipantGone(FailedPrecondition):
    """The participant has left, was turned away, or let its ticket expire. Whose it is joins again for a new one."""

    reason = "PARTICIPANT_GONE"
    message = "The participant has left this meeting, and has to join again."


class WrongPasscode(PermissionDenied):
    """The meeting has a passcode, and this is not it."""

    reason = "WRONG_PASSCODE"
    message = "The passcode is wrong."


class NotHost(PermissionDenied):
    """Only the meeting's host may do this, or a co-host where the method says so and nobody above them is concerned."""

    reason = "NOT_HOST"
    message = "Only a host may do this."


class NotPresenter(PermissionDenied):
    """Only hosts, co-hosts and presenters may ask the room, and close what others have asked."""

    reason = "NOT_PRESENTER"
    message = "Only hosts and presenters may do this."


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
    CANCELLED = "cancelled"


OVER = (MeetingState.ENDED, MeetingState.CANCELLED)


class ParticipantState(Enum):
    """Where a participant is."""

    JOINING = "joining"
    CONNECTED = "connected"
    LEFT = "left"
    WAITING = "waiting"
    DENIED = "denied"


HERE = (ParticipantState.JOINING, ParticipantState.CONNECTED)
"""In the meeting, or on the way with a ticket."""


class ParticipantRole(Enum):
    """What a participant may do, the most first; `roles.py` says what."""

    HOST = "host"
    COHOST = "cohost"
    PRESENTER = "presenter"
    PARTICIPANT = "participant"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting. `revision` counts its changes, `analysis_revision` those of what is analysed in it, and of whom.

    `start_time` is when it was started last. `host_away_time` is since when no host has been there, of one that had a host before. Of a breakout room, `parent_id`
    and `parent_code` are those of the meeting that it belongs to.
    """

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
    host_away_time: datetime | None = None
    parent_id: UUID | None = None
    parent_code: str = ""
    breakouts_open: bool = False

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}`."""
        return f"meetings/{self.code}"

    @property
    def etag(self) -> str:
        """Opaque version, of the meeting and of its settings."""
        return f'"{self.revision}"'

    @property
    def is_over(self) -> bool:
        """Tell whether nobody can join it any more."""
        return self.state in OVER

    def check_open(self, etag: str = "") -> None:
        """See that it may be changed. Raises MeetingEnded, EtagMismatch (not for an empty etag)."""
        if self.is_over:
            raise MeetingEnded(meeting=self.name)
        if etag and etag != self.etag:
            raise EtagMismatch(meeting=self.name)

    def started(self, now: datetime) -> Meeting:
        """Somebody has connected. Raises MeetingEnded."""
        self.check_open()
        if self.state is MeetingState.ACTIVE:
            return self
        return self._changed(now, state=MeetingState.ACTIVE, start_time=now)

    def ended(self, now: datetime) -> Meeting:
        """End it; what is over stays as it is."""
        if self.is_over:
            return self
        return self._changed(now, state=MeetingState.ENDED, end_time=now, host_away_time=None)

    def rested(self, now: datetime) -> Meeting:
        """It is over for now, and will take place again; what nobody has joined, or is over for good, stays as it is."""
        if self.state is not MeetingState.ACTIVE:
            return self
        state = MeetingState.SCHEDULED
        return self._changed(now, state=state, locked=False, host_away_time=None)

    def has_ended_since(self, before: Meeting) -> bool:
        """Tell whether it is over, for good or for now, and was not before."""
        is_at_rest = self.state is MeetingState.SCHEDULED and before.state is MeetingState.ACTIVE
        return is_at_rest or (self.is_over and not before.is_over)

    def cancelled(self, now: datetime) -> Meeting:
        """Call it off; twice changes nothing. Raises MeetingActive."""
        if self.state is MeetingState.CANCELLED:
            return self
        if self.state is not MeetingState.SCHEDULED:
            raise MeetingActive(meeting=self.name)
        return self._changed(now, state=MeetingState.CANCELLED, end_time=now)

    def check_deletable(self) -> None:
        """See that it is over. Raises MeetingActive."""
        if not self.is_over:
            raise MeetingActive(text="End or cancel the meeting first.", meeting=self.name)

    def changed(self, now: datetime, **values: object) -> Meeting:
        """Change what hosts may change of it; what is as it was is no change."""
        if all(getattr(self, name) == value for name, value in values.items()):
            return self
        after = self._changed(now, **values)
        is_analysed = after.voice_activity != self.voice_activity
        return after.reanalysed() if is_analysed else after

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
    """Someone's presence in a meeting.

    `grants` is what they may do where a host has said so, `former_role` what they were before they stood in for the host.
    `admit_time` is when they got a ticket, `connect_time` when it was first used, `seen_time` when they were last known to
    wait in the lobby.
    """

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
    grants: Grants | None = None
    former_role: ParticipantRole | None = None
    admit_time: datetime | None = None
    seen_time: datetime | None = None
    is_removed: bool = False

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/participants/{id}`."""
        return f"meetings/{self.meeting_code}/participants/{self.id}"

    @property
    def is_here(self) -> bool:
        """Tell whether it is in the meeting, or on its way with a ticket."""
        return self.state in HERE

    @property
    def is_gone(self) -> bool:
        """Tell whether it can't come in any more."""
        return self.state in (ParticipantState.LEFT, ParticipantState.DENIED)

    def admitted(self, now: datetime) -> Participant:
        """It gets a ticket, and with it a place; who has one keeps it. Raises ParticipantGone."""
        if self.is_gone:
            raise ParticipantGone(participant=self.name)
        if self.is_here:
            return self
        state = ParticipantState.JOINING
        return replace(self, state=state, join_time=now, admit_time=now, seen_time=None)

    def connected(self, now: datetime) -> Participant:
        """Its ticket was used. Raises ParticipantGone."""
        if not self.is_here:
            raise ParticipantGone(participant=self.name)
        came = self.connect_time or now
        return replace(self, state=ParticipantState.CONNECTED, connect_time=came)

    def left(self, now: datetime) -> Participant:
        """It is gone; leaving twice changes nothing."""
        if self.is_gone:
            return self
        return replace(self, state=ParticipantState.LEFT, leave_time=now)

    def holds_place(self, now: datetime, ticket_lifetime: timedelta) -> bool:
        """Tell whether it counts against the capacity."""
        if self.state is ParticipantState.JOINING:
            return now < (self.admit_time or self.join_time) + ticket_lifetime
        return self.state is ParticipantState.CONNECTED


def new_code() -> str:
    """Make a meeting code that can't be guessed, `abc-defg-hij`."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(10))
    return f"{letters[:3]}-{letters[3:7]}-{letters[7:]}"
