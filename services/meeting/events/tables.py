"""The tables of what programs are told: the log of events, webhooks, and what is on its way to them.

None of them but `deliveries`, of their webhook, refers to another by a foreign key: numbering events waits for nobody's
lock of a meeting. What is kept of a meeting goes with it by `event_record.forget`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, SmallInteger, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.meeting.tables import Base


class NewsRow(Base):
    """An event that has no number yet. Whoever adds one holds the lock of its meeting.

    So positions of one meeting are committed in their order; those of different meetings need not be. `payload` is a
    MeetingEvent without its cursor.
    """

    __tablename__ = "event_news"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    host_id: Mapped[UUID]
    meeting_id: Mapped[UUID]
    type: Mapped[int] = mapped_column(SmallInteger)
    payload: Mapped[bytes]
    create_time: Mapped[datetime]


class LoggedRow(Base):
    """An event of the log. Numbers are committed in their order, without gaps."""

    __tablename__ = "events"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    host_id: Mapped[UUID]
    meeting_id: Mapped[UUID]
    type: Mapped[int] = mapped_column(SmallInteger)
    payload: Mapped[bytes]
    create_time: Mapped[datetime]


class LogRow(Base):
    """The log: the last number given, and the last that was swept. Whoever gives numbers holds the one row's lock."""

    __tablename__ = "event_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    swept_sequence: Mapped[int] = mapped_column(BigInteger)


class WebhookRow(Base):
    """A webhook. Up to `position` its events are in `deliveries`; at `fill_time` it is looked for more.

    `secret` is sealed. `failing_since` is when the first attempt after the last that went well failed. Whoever adds
    deliveries, or says how one went, holds its lock.
    """

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("owner_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    uri: Mapped[str] = mapped_column(String(1024))
    secret: Mapped[bytes]
    types: Mapped[list[int]] = mapped_column(JSONB)
    position: Mapped[int] = mapped_column(BigInteger)
    delivered_sequence: Mapped[int | None] = mapped_column(BigInteger)
    fill_time: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    pause_time: Mapped[datetime | None]
    create_time: Mapped[datetime]
    request_id: Mapped[UUID | None]


class DeliveryRow(Base):
    """An event for a webhook. Of those pending of one meeting the first alone has a `due_time`: the others wait for it.

    While it is being tried, `lease` says by whom, and `due_time` is when that one is taken to be dead.
    """

    __tablename__ = "deliveries"

    webhook_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    meeting_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(String(16))
    attempt_count: Mapped[int]
    http_status: Mapped[int]
    attempt_time: Mapped[datetime | None]
    due_time: Mapped[datetime | None]
    lease: Mapped[UUID | None]
    create_time: Mapped[datetime]


class TranscriptDueRow(Base):
    """A meeting that has ended, and at `due_time` of which it is told that its transcript is whole."""

    __tablename__ = "transcripts_due"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    due_time: Mapped[datetime]


__all__ = ["DeliveryRow", "LogRow", "LoggedRow", "NewsRow", "TranscriptDueRow", "WebhookRow"]
