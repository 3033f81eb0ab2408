"""The tables of breakout rooms; each room is a row of `meetings`, too."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from services.meeting.tables import Base


class OpeningRow(Base):
    """One time that a meeting's breakout rooms were opened, and its answer; `end_time` is None while they are open."""

    __tablename__ = "breakout_openings"
    __table_args__ = (UniqueConstraint("meeting_id", "user_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    user_id: Mapped[UUID]
    request_id: Mapped[UUID | None]
    free_movement: Mapped[bool] = mapped_column(Boolean)
    open_time: Mapped[datetime]
    close_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    answer: Mapped[bytes]


class BreakoutRow(Base):
    """A breakout room, which is the meeting of the same id; `position` counts those of an opening, from 0."""

    __tablename__ = "breakouts"

    id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    opening_id: Mapped[UUID] = mapped_column(ForeignKey("breakout_openings.id", ondelete="CASCADE"))
    position: Mapped[int]


class SeatRow(Base):
    """Where an account belongs: in a breakout room of a meeting, or (None) in the meeting."""

    __tablename__ = "breakout_seats"

    meeting_id: Mapped[UUID] = mapped_column(
        ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    participant_id: Mapped[UUID]
    breakout_id: Mapped[UUID | None] = mapped_column(ForeignKey("meetings.id", ondelete="SET NULL"))
    move_time: Mapped[datetime]


__all__ = ["BreakoutRow", "OpeningRow", "SeatRow"]
