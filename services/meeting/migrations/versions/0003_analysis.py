"""What is heard and seen in meetings, who agrees to it, and what the audit log is still to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, with defaults also for rows that a process of before still adds, and the outbox."""
    nothing = sa.text("'{}'::jsonb")
    op.add_column("meetings", sa.Column("settings", JSONB, nullable=False, server_default=nothing))
    op.add_column(
        "meetings",
        sa.Column("analysis_revision", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.add_column(
        "participants", sa.Column("consent", JSONB, nullable=False, server_default=nothing)
    )
    op.create_table(
        "audit_outbox",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(65), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("details", JSONB, nullable=False),
    )
