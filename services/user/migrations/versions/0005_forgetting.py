"""Whose invitations go with an account: the address that it had proven, until all is erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Keep the address beside what is still to be erased."""
    op.add_column(
        "erasures",
        sa.Column("verified_email", sa.String(254), nullable=False, server_default=""),
    )
