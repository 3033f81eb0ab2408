"""Meetings and participants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "meetings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("code", sa.String(12), nullable=False, unique=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.String(2000), nullable=False),
        sa.Column("host_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("passcode", sa.String(32), nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("voice_activity", sa.Boolean, nullable=False),
        sa.Column("create_time", moment, nullable=False),
        sa.Column("update_time", moment, nullable=False),
        sa.Column("start_time", moment),
        sa.Column("end_time", moment),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("host_id", "request_id", name="meetings_request"),
    )
    op.create_index("meetings_host_newest", "meetings", ["host_id", "create_time", "id"])
    op.create_table(
        "participants",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "meeting_id", sa.Uuid, sa.ForeignKey("meetings.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("meeting_code", sa.String(12), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("display_name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("join_time", moment, nullable=False),
        sa.Column("leave_time", moment),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("meeting_id", "user_id", "request_id", name="participants_request"),
    )
    op.create_index(
        "participants_meeting", "participants", ["meeting_id", "state", "join_time", "id"]
    )
    op.create_index("participants_user", "participants", ["user_id", "meeting_id"])
