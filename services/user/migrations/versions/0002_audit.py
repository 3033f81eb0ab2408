"""The audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table, and what finds the newest of all, of somebody's and of something's."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(65), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("details", JSONB, nullable=False),
    )
    op.create_index("audit_events_newest", "audit_events", ["time", "id"])
    op.create_index("audit_events_actor", "audit_events", ["actor", "time", "id"])
    op.create_index("audit_events_subject", "audit_events", ["subject", "time", "id"])
