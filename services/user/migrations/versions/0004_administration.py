"""Bans, service accounts, keys that are published before they sign, API keys, pictures, identities elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what administration and programs need; service accounts have no e-mail address."""
    moment = sa.DateTime(timezone=True)
    op.alter_column("users", "email", nullable=True)
    op.add_column(
        "users", sa.Column("service_account", sa.Boolean, nullable=False, server_default="false")
    )
    op.add_column(
        "users", sa.Column("email_verified", sa.Boolean, nullable=False, server_default="false")
    )
    op.add_column("users", sa.Column("ban_time", moment))
    op.add_column(
        "users", sa.Column("ban_reason", sa.String(500), nullable=False, server_default="")
    )
    op.add_column("users", sa.Column("last_sign_in_time", moment))
    op.create_index("users_newest", "users", ["create_time", "id"])
    op.create_index("users_admins", "users", ["id"], postgresql_where=sa.text("role = 'admin'"))
    op.add_column("signing_keys", sa.Column("sign_time", moment))
    op.execute("UPDATE signing_keys SET sign_time = create_time")
    _programs(moment)
    _identities(moment)
    op.create_table(
        "avatars",
        _owner(primary_key=True),
        sa.Column("picture", sa.LargeBinary, nullable=False),
        sa.Column("update_time", moment, nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("due_time", moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("only_calls", sa.Boolean, nullable=False),
    )


def _programs(moment: sa.DateTime) -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        _owner(),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("display_name", sa.String(64), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String(32)), nullable=False),
        sa.Column("create_time", moment, nullable=False),
        sa.Column("expire_time", moment),
        sa.Column("last_use_time", moment),
        sa.Column("revoke_time", moment),
        sa.UniqueConstraint("secret_hash", name="api_keys_secret"),
    )
    op.create_index("api_keys_user", "api_keys", ["user_id", "create_time", "id"])


def _identities(moment: sa.DateTime) -> None:
    op.create_table(
        "identities",
        sa.Column("provider", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        _owner(),
        sa.Column("create_time", moment, nullable=False),
    )
    op.create_index("identities_user", "identities", ["user_id"])


def _owner(*, primary_key: bool = False) -> sa.Column[object]:
    return sa.Column(
        "user_id",
        sa.Uuid,
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )
