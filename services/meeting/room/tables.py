"""The tables of what people do beside talking: chat, polls, notes, and the events that their rooms wait for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.meeting.tables import Base


class EventRow(Base):
    """Something that a room has not been told of yet. Whoever adds one holds the lock of its meeting.

    So positions of one meeting are committed in their order. What is told together is a batch; `payload` is a
    ServerMessage.
    """

    __tablename__ = "event_outbox"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    batch: Mapped[UUID]
    meeting_code: Mapped[str] = mapped_column(String(12))
    participant: Mapped[str] = mapped_column(String(128))
    payload: Mapped[bytes]
    create_time: Mapped[datetime]


class ChatRow(Base):
    """A message. `position` counts those of its meeting, from 1, in order of writing."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        UniqueConstraint("meeting_id", "position"),
        UniqueConstraint("meeting_id", "sender_user_id", "request_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    position: Mapped[int]
    sender_id: Mapped[UUID]
    sender_user_id: Mapped[UUID]
    sender_display_name: Mapped[str] = mapped_column(String(64))
    recipient_id: Mapped[UUID | None]
    recipient_user_id: Mapped[UUID | None]
    text: Mapped[str] = mapped_column(String(4000))
    reply_to: Mapped[UUID | None]
    media: Mapped[list[str]] = mapped_column(JSONB)
    create_time: Mapped[datetime]
    edit_time: Mapped[datetime | None]
    delete_time: Mapped[datetime | None]
    request_id: Mapped[UUID | None]


class PollRow(Base):
    """A poll. `position` counts those of its meeting, from 1."""

    __tablename__ = "polls"
    __table_args__ = (
        UniqueConstraint("meeting_id", "position"),
        UniqueConstraint("meeting_id", "creator_user_id", "request_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    position: Mapped[int]
    question: Mapped[str] = mapped_column(String(300))
    choices: Mapped[list[str]] = mapped_column(JSONB)
    counts: Mapped[list[int]] = mapped_column(JSONB)
    voter_count: Mapped[int]
    multiple: Mapped[bool]
    anonymous: Mapped[bool]
    live_results: Mapped[bool]
    creator_id: Mapped[UUID]
    creator_user_id: Mapped[UUID]
    create_time: Mapped[datetime]
    close_time: Mapped[datetime | None]
    request_id: Mapped[UUID | None]


class VoteRow(Base):
    """An account's answer to a poll."""

    __tablename__ = "poll_votes"

    poll_id: Mapped[UUID] = mapped_column(
        ForeignKey("polls.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    participant_id: Mapped[UUID]
    choices: Mapped[list[int]] = mapped_column(JSONB)


class NotesRow(Base):
    """A meeting's notes: the document as one Yjs update, and the text that it comes to."""

    __tablename__ = "notes"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    document: Mapped[bytes]
    text: Mapped[str] = mapped_column(Text)
    revision: Mapped[int]
    update_time: Mapped[datetime]


__all__ = ["ChatRow", "EventRow", "NotesRow", "PollRow", "VoteRow"]
