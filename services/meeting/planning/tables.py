"""The tables of what is planned: schedules, invitations, letters on their way, and feeds."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Date, DateTime, ForeignKey, SmallInteger, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.meeting.tables import Base


class ScheduleRow(Base):
    """When a meeting is. `begin` and `exceptions` are on the wall clock; `start_time` and `end_time` are made of them."""

    __tablename__ = "schedules"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    begin: Mapped[datetime] = mapped_column(DateTime(timezone=False))
    fold: Mapped[int] = mapped_column(SmallInteger)
    time_zone: Mapped[str] = mapped_column(String(64))
    duration_seconds: Mapped[int]
    recurrence: Mapped[str] = mapped_column(String(256))
    exceptions: Mapped[list[str]] = mapped_column(JSONB)
    sequence: Mapped[int]
    update_time: Mapped[datetime]
    start_time: Mapped[datetime]
    end_time: Mapped[datetime | None]


class InvitationRow(Base):
    """Somebody is asked to come."""

    __tablename__ = "invitations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(2))
    words: Mapped[str] = mapped_column(String(1000))
    state: Mapped[str] = mapped_column(String(16))
    create_time: Mapped[datetime]


class LetterRow(Base):
    """A letter that is still to be sent, be the invitation or the meeting gone; `is_out` while somebody is sending it."""

    __tablename__ = "letters"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    invitation_id: Mapped[UUID]
    email: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    calendar: Mapped[bytes]
    method: Mapped[str] = mapped_column(String(16))
    create_time: Mapped[datetime]
    attempts: Mapped[int]
    is_out: Mapped[bool]
    due_time: Mapped[datetime]


class LetterCountRow(Base):
    """How many letters an account has caused on a day."""

    __tablename__ = "letter_counts"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    count: Mapped[int]


class FeedRow(Base):
    """An account's calendar feed, by the SHA-256 of its secret."""

    __tablename__ = "calendar_feeds"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    create_time: Mapped[datetime]


__all__ = ["FeedRow", "InvitationRow", "LetterCountRow", "LetterRow", "ScheduleRow"]
