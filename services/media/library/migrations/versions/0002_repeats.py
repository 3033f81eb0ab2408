"""Which request has brought a file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what a repeated upload is known by: to what is there or comes, not to what goes."""
    op.add_column("media", sa.Column("request_id", sa.Uuid))
    op.create_index(
        "media_of_request",
        "media",
        ["owner_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id IS NOT NULL AND state <> 'deleting'"),
    )
