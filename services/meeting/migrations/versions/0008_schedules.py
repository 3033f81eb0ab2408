"""When meetings are, who is invited to them, the letters that are still to be sent, and feeds for calendars."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "schedules",
        _meeting(primary_key=True),
        sa.Column("begin", sa.DateTime, nullable=False),
        sa.Column("fold", sa.SmallInteger, nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("duration_seconds", sa.Integer, nullable=False),
        sa.Column("recurrence", sa.String(256), nullable=False),
        sa.Column("exceptions", JSONB, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
        sa.Column("start_time", MOMENT, nullable=False),
        sa.Column("end_time", MOMENT),
    )
    op.create_index("schedules_end_time", "schedules", ["end_time"])
    _invitations()
    op.create_table(
        "letters",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("invitation_id", sa.Uuid, nullable=False, index=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("calendar", sa.LargeBinary, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("is_out", sa.Boolean, nullable=False),
        sa.Column("due_time", MOMENT, nullable=False, index=True),
    )
    op.create_table(
        "letter_counts",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_table(
        "calendar_feeds",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("create_time", MOMENT, nullable=False),
    )


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid, primary_key=True),
        _meeting(),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("words", sa.String(1000), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
    )
    op.create_index(
        "invitations_email", "invitations", ["meeting_id", sa.text("lower(email)")], unique=True
    )
    op.create_index("invitations_order", "invitations", ["meeting_id", "create_time", "id"])


def _meeting(*, primary_key: bool = False) -> sa.Column[object]:
    meeting = sa.ForeignKey("meetings.id", ondelete="CASCADE")
    return sa.Column("meeting_id", sa.Uuid, meeting, primary_key=primary_key, nullable=False)
