"""First answers, by request id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table of chassis/idempotency.py."""
    op.create_table(
        "answers",
        sa.Column("method", sa.String(64), primary_key=True),
        sa.Column("caller", sa.String(128), primary_key=True),
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False, server_default=""),
        sa.Column(
            "create_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    op.create_index("answers_time", "answers", ["create_time"])
