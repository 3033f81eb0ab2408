"""What was said in meetings, and what it came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "transcripts",
        _meeting(primary_key=True),
        sa.Column("segment_count", sa.Integer, nullable=False),
        sa.Column("record_time", moment, nullable=False),
        sa.Column("delete_time", moment),
    )
    op.create_table(
        "transcript_segments",
        sa.Column("id", sa.Uuid, primary_key=True),
        _meeting(),
        sa.Column("participant_id", sa.Uuid, nullable=False),
        sa.Column("display_name", sa.String(64), nullable=False),
        sa.Column("text", sa.String(4000), nullable=False),
        sa.Column("language_code", sa.String(35), nullable=False),
        sa.Column("start_time", moment, nullable=False),
        sa.Column("end_time", moment, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
    )
    op.create_index(
        "transcript_segments_time", "transcript_segments", ["meeting_id", "start_time", "id"]
    )
    op.create_index(
        "transcript_segments_held",
        "transcript_segments",
        ["meeting_id", "start_time"],
        postgresql_where=sa.text("held"),
    )
    op.create_table(
        "summaries",
        _meeting(primary_key=True),
        sa.Column("content", JSONB),
        sa.Column("create_time", moment),
        sa.Column("request_time", moment, nullable=False),
        sa.Column("due_time", moment),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    is_due = sa.text("due_time IS NOT NULL")
    op.create_index("summaries_due", "summaries", ["due_time"], postgresql_where=is_due)


def _meeting(*, primary_key: bool = False) -> sa.Column[object]:
    meeting = sa.ForeignKey("meetings.id", ondelete="CASCADE")
    return sa.Column("meeting_id", sa.Uuid, meeting, primary_key=primary_key, nullable=False)
