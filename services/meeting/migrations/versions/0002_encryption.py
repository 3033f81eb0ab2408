"""Meetings that are encrypted end to end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the switch; off, also for rows that a process of before still adds."""
    op.add_column(
        "meetings",
        sa.Column("end_to_end_encrypted", sa.Boolean, nullable=False, server_default=sa.false()),
    )
