"""What has happened to meetings, for programs: the log of events, webhooks, and what is on its way to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

MOMENT = sa.DateTime(timezone=True)
PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    """Add the tables; what happened before is not told."""
    _log()
    _webhooks()
    op.create_table(
        "transcripts_due",
        sa.Column(
            "meeting_id",
            sa.Uuid,
            sa.ForeignKey("meetings.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("due_time", MOMENT, nullable=False, index=True),
    )


def _log() -> None:
    op.create_table(
        "event_news",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *_event(),
    )
    op.create_index("event_news_meeting", "event_news", ["meeting_id"])
    op.create_table(
        "events",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        *_event(),
    )
    op.create_index("events_host", "events", ["host_id", "sequence"])
    op.create_index("events_meeting", "events", ["meeting_id", "sequence"])
    log = op.create_table(
        "event_log",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("swept_sequence", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(log, [{"id": 1, "last_sequence": 0, "swept_sequence": 0}])


def _event() -> list[sa.Column[object]]:
    return [
        sa.Column("host_id", sa.Uuid, nullable=False),
        sa.Column("meeting_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
    ]


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("types", JSONB, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("delivered_sequence", sa.BigInteger),
        sa.Column("fill_time", MOMENT, index=True),
        sa.Column("failing_since", MOMENT),
        sa.Column("pause_time", MOMENT),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.UniqueConstraint("owner_id", "request_id"),
    )
    op.create_index("webhooks_owner", "webhooks", ["owner_id", "create_time", "id"])
    op.create_table(
        "deliveries",
        sa.Column(
            "webhook_id",
            sa.Uuid,
            sa.ForeignKey("webhooks.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("meeting_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("http_status", sa.Integer, nullable=False),
        sa.Column("attempt_time", MOMENT),
        sa.Column("due_time", MOMENT),
        sa.Column("lease", sa.Uuid),
        sa.Column("create_time", MOMENT, nullable=False),
    )
    op.create_index("deliveries_due", "deliveries", ["due_time"], postgresql_where=PENDING)
    op.create_index(
        "deliveries_pending",
        "deliveries",
        ["webhook_id", "meeting_id", "sequence"],
        postgresql_where=PENDING,
    )
    op.create_index("deliveries_meeting", "deliveries", ["meeting_id"])
    op.create_index("deliveries_sequence", "deliveries", ["sequence"])
