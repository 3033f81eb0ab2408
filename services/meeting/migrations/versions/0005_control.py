"""Who is let into a meeting, and what each may do there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, with defaults also for rows that a process of before still adds: those are let in at once."""
    moment = sa.DateTime(timezone=True)
    op.add_column("meetings", sa.Column("host_away_time", moment))
    op.create_index(
        "meetings_host_away",
        "meetings",
        ["host_away_time"],
        postgresql_where=sa.text("host_away_time IS NOT NULL"),
    )
    for column in (
        sa.Column("grants", JSONB),
        sa.Column("former_role", sa.String(16)),
        sa.Column("admit_time", moment),
        sa.Column("seen_time", moment),
        sa.Column("is_removed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("tell_count", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("tell_time", moment),
    ):
        op.add_column("participants", column)
    op.execute("UPDATE participants SET admit_time = join_time")
    op.alter_column("participants", "admit_time", server_default=sa.func.now())
    op.create_index(
        "participants_waiting",
        "participants",
        ["seen_time"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "participants_untold",
        "participants",
        ["tell_time"],
        postgresql_where=sa.text("tell_count > 0"),
    )
    op.create_table(
        "bans",
        sa.Column(
            "meeting_id",
            sa.Uuid,
            sa.ForeignKey("meetings.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("create_time", moment, nullable=False),
    )
