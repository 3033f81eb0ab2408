"""The tables of parley_meeting, and their rows as the domain has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    SmallInteger,
    String,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.meeting.domain import (
    Meeting,
    MeetingState,
    Participant,
    ParticipantRole,
    ParticipantState,
)
from services.meeting.grants import grants_of, kept
from services.meeting.settings import consent_of, settings_of, stored


class Base(DeclarativeBase):
    """What all tables have in common."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class MeetingRow(Base):
    """A meeting."""

    __tablename__ = "meetings"
    __table_args__ = (UniqueConstraint("host_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(2000))
    host_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(String(16))
    passcode: Mapped[str] = mapped_column(String(32))
    capacity: Mapped[int]
    locked: Mapped[bool] = mapped_column(Boolean)
    voice_activity: Mapped[bool] = mapped_column(Boolean)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    revision: Mapped[int]
    request_id: Mapped[UUID | None]
    end_to_end_encrypted: Mapped[bool] = mapped_column(Boolean)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    analysis_revision: Mapped[int] = mapped_column(BigInteger)
    host_away_time: Mapped[datetime | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    parent_code: Mapped[str] = mapped_column(String(12))
    breakouts_open: Mapped[bool]


class ParticipantRow(Base):
    """A participant. `tell_count` is how often signaling and media are still to be told of it, from `tell_time` on."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("meeting_id", "user_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    meeting_code: Mapped[str] = mapped_column(String(12))
    user_id: Mapped[UUID]
    display_name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    join_time: Mapped[datetime]
    leave_time: Mapped[datetime | None]
    request_id: Mapped[UUID | None]
    consent: Mapped[dict[str, Any]] = mapped_column(JSONB)
    connect_time: Mapped[datetime | None]
    grants: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    former_role: Mapped[str | None] = mapped_column(String(16))
    admit_time: Mapped[datetime | None]
    seen_time: Mapped[datetime | None]
    is_removed: Mapped[bool]
    tell_count: Mapped[int] = mapped_column(SmallInteger)
    tell_time: Mapped[datetime | None]


class BanRow(Base):
    """A user who is kept out of a meeting for good."""

    __tablename__ = "bans"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    create_time: Mapped[datetime]


class AuditRow(Base):
    """Something that the audit log has not been told of yet."""

    __tablename__ = "audit_outbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(65))
    subject: Mapped[str] = mapped_column(String(256))
    details: Mapped[dict[str, str]] = mapped_column(JSONB)


class TranscriptRow(Base):
    """What is kept of a meeting's words: how many segments, held ones too, when the last came, when all were deleted.

    Whoever adds or deletes segments holds its lock.
    """

    __tablename__ = "transcripts"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    segment_count: Mapped[int]
    record_time: Mapped[datetime]
    delete_time: Mapped[datetime | None]


class SegmentRow(Base):
    """Something that somebody said."""

    __tablename__ = "transcript_segments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    participant_id: Mapped[UUID]
    display_name: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(String(4000))
    language_code: Mapped[str] = mapped_column(String(35))
    start_time: Mapped[datetime]
    end_time: Mapped[datetime]
    confidence: Mapped[float]
    held: Mapped[bool]


class SummaryRow(Base):
    """A summary, once `content` is there; it is to be made, or made anew, at `due_time`."""

    __tablename__ = "summaries"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    create_time: Mapped[datetime | None]
    request_time: Mapped[datetime]
    due_time: Mapped[datetime | None]
    attempts: Mapped[int]


_MEETING_FIELDS = (
    "id",
    "code",
    "title",
    "description",
    "host_id",
    "passcode",
    "capacity",
    "locked",
    "voice_activity",
    "create_time",
    "update_time",
    "start_time",
    "end_time",
    "revision",
    "end_to_end_encrypted",
    "analysis_revision",
    "host_away_time",
    "parent_id",
    "parent_code",
    "breakouts_open",
)


def meeting_values(meeting: Meeting) -> dict[str, object]:
    """Turn a meeting into the columns of its row."""
    values: dict[str, object] = {name: getattr(meeting, name) for name in _MEETING_FIELDS}
    return {**values, "state": meeting.state.value, "settings": stored(meeting.settings)}


def to_meeting(row: MeetingRow) -> Meeting:
    """Read a meeting from its row."""
    values = {name: getattr(row, name) for name in _MEETING_FIELDS}
    return Meeting(**values, state=MeetingState(row.state), settings=settings_of(row.settings))


def participant_row(participant: Participant, request_id: UUID | None) -> ParticipantRow:
    """Turn a participant into its row."""
    row = ParticipantRow(
        id=participant.id,
        meeting_id=participant.meeting_id,
        meeting_code=participant.meeting_code,
        user_id=participant.user_id,
        display_name=participant.display_name,
        request_id=request_id,
        tell_count=0,
    )
    write_participant(row, participant)
    return row


def write_participant(row: ParticipantRow, participant: Participant) -> None:
    """Write into a row what can change of a participant."""
    former = participant.former_role
    row.role, row.state = participant.role.value, participant.state.value
    row.join_time, row.leave_time = participant.join_time, participant.leave_time
    row.admit_time, row.seen_time = participant.admit_time, participant.seen_time
    row.connect_time = participant.connect_time
    row.consent, row.grants = stored(participant.consent), kept(participant.grants)
    row.former_role = former.value if former else None
    row.is_removed = participant.is_removed


def to_participant(row: ParticipantRow) -> Participant:
    """Read a participant from its row."""
    return Participant(
        id=row.id,
        meeting_id=row.meeting_id,
        meeting_code=row.meeting_code,
        user_id=row.user_id,
        display_name=row.display_name,
        role=ParticipantRole(row.role),
        state=ParticipantState(row.state),
        join_time=row.join_time,
        leave_time=row.leave_time,
        consent=consent_of(row.consent),
        connect_time=row.connect_time,
        grants=grants_of(row.grants),
        former_role=ParticipantRole(row.former_role) if row.former_role else None,
        admit_time=row.admit_time,
        seen_time=row.seen_time,
        is_removed=row.is_removed,
    )


__all__ = [
    "AuditRow",
    "BanRow",
    "Base",
    "MeetingRow",
    "ParticipantRow",
    "SegmentRow",
    "SummaryRow",
    "TranscriptRow",
    "meeting_values",
    "participant_row",
    "to_meeting",
    "to_participant",
    "write_participant",
]
