"""What people do beside talking: chat, polls, shared notes, and what their rooms are still to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables, and when participants came into the call: of those before, when they got their tickets."""
    _outbox()
    _chat()
    _polls()
    _notes()
    op.add_column("participants", sa.Column("connect_time", MOMENT))
    op.execute(
        "UPDATE participants SET connect_time = join_time WHERE state IN ('connected', 'left')"
    )
    op.create_index("participants_connect_time", "participants", ["connect_time"])


def _outbox() -> None:
    op.create_table(
        "event_outbox",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _meeting(),
        sa.Column("batch", sa.Uuid, nullable=False),
        sa.Column("meeting_code", sa.String(12), nullable=False),
        sa.Column("participant", sa.String(128), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("create_time", MOMENT, nullable=False, index=True),
    )
    op.create_index("event_outbox_meeting", "event_outbox", ["meeting_id", "position"])


def _chat() -> None:
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.Uuid, primary_key=True),
        _meeting(),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sender_id", sa.Uuid, nullable=False),
        sa.Column("sender_user_id", sa.Uuid, nullable=False),
        sa.Column("sender_display_name", sa.String(64), nullable=False),
        sa.Column("recipient_id", sa.Uuid),
        sa.Column("recipient_user_id", sa.Uuid),
        sa.Column("text", sa.String(4000), nullable=False),
        sa.Column("reply_to", sa.Uuid),
        sa.Column("media", JSONB, nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("edit_time", MOMENT),
        sa.Column("delete_time", MOMENT),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("meeting_id", "position"),
        sa.UniqueConstraint("meeting_id", "sender_user_id", "request_id"),
    )
    op.create_index(
        "chat_messages_sender", "chat_messages", ["meeting_id", "sender_user_id", "position"]
    )
    op.create_index(
        "chat_messages_media",
        "chat_messages",
        ["media"],
        postgresql_using="gin",
        postgresql_ops={"media": "jsonb_path_ops"},
        postgresql_where=sa.text("media <> '[]'"),
    )


def _polls() -> None:
    op.create_table(
        "polls",
        sa.Column("id", sa.Uuid, primary_key=True),
        _meeting(),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("question", sa.String(300), nullable=False),
        sa.Column("choices", JSONB, nullable=False),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("voter_count", sa.Integer, nullable=False),
        sa.Column("multiple", sa.Boolean, nullable=False),
        sa.Column("anonymous", sa.Boolean, nullable=False),
        sa.Column("live_results", sa.Boolean, nullable=False),
        sa.Column("creator_id", sa.Uuid, nullable=False),
        sa.Column("creator_user_id", sa.Uuid, nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("close_time", MOMENT),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("meeting_id", "position"),
        sa.UniqueConstraint("meeting_id", "creator_user_id", "request_id"),
    )
    poll = sa.ForeignKey("polls.id", ondelete="CASCADE")
    op.create_table(
        "poll_votes",
        sa.Column("poll_id", sa.Uuid, poll, primary_key=True),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("participant_id", sa.Uuid, nullable=False),
        sa.Column("choices", JSONB, nullable=False),
    )


def _notes() -> None:
    op.create_table(
        "notes",
        _meeting(primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
    )


def _meeting(*, primary_key: bool = False) -> sa.Column[object]:
    meeting = sa.ForeignKey("meetings.id", ondelete="CASCADE")
    return sa.Column("meeting_id", sa.Uuid, meeting, primary_key=primary_key, nullable=False)
