"""Breakout rooms: meetings that belong to another, and who belongs in which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables, and to meetings what they belong to."""
    _meetings()
    op.create_table(
        "breakout_openings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("meeting_id", sa.Uuid, _a("meetings"), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("free_movement", sa.Boolean, nullable=False),
        sa.Column("open_time", MOMENT, nullable=False),
        sa.Column("close_time", MOMENT),
        sa.Column("end_time", MOMENT),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("meeting_id", "user_id", "request_id"),
    )
    op.create_index(
        "breakout_openings_open",
        "breakout_openings",
        ["meeting_id"],
        unique=True,
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.create_table(
        "breakouts",
        sa.Column("id", sa.Uuid, _a("meetings"), primary_key=True),
        sa.Column("opening_id", sa.Uuid, _a("breakout_openings"), nullable=False, index=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_table(
        "breakout_seats",
        sa.Column("meeting_id", sa.Uuid, _a("meetings"), primary_key=True),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("participant_id", sa.Uuid, nullable=False),
        sa.Column("breakout_id", sa.Uuid, _a("meetings", "SET NULL"), index=True),
        sa.Column("move_time", MOMENT, nullable=False),
    )


def _meetings() -> None:
    op.add_column("meetings", sa.Column("parent_id", sa.Uuid, _a("meetings")))
    op.add_column(
        "meetings", sa.Column("parent_code", sa.String(12), nullable=False, server_default="")
    )
    op.add_column(
        "meetings",
        sa.Column("breakouts_open", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index(
        "meetings_parent",
        "meetings",
        ["parent_id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )


def _a(table: str, ondelete: str = "CASCADE") -> sa.ForeignKey:
    return sa.ForeignKey(f"{table}.id", ondelete=ondelete)
