"""Where sessions are, which have ended, first answers, guesses, links that were sent, and second factors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NOTE_ENDED = """
CREATE FUNCTION note_ended_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ended_sessions (session_id, user_id) VALUES (OLD.id, OLD.user_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
"""Whatever deletes a session, a deleted account included, ends its access tokens, too."""


def upgrade() -> None:
    """Add to sessions, and make the tables beside them."""
    _sessions()
    _answers()
    _credentials()


def _sessions() -> None:
    for name, length in (("user_agent", 256), ("address", 64)):
        op.add_column(
            "sessions", sa.Column(name, sa.String(length), nullable=False, server_default="")
        )
    op.add_column("sessions", _moment("refresh_time", server_default=sa.func.now()))
    op.execute("UPDATE sessions SET refresh_time = create_time")
    op.create_index("sessions_expired", "sessions", ["expire_time"])
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False),
        _moment("end_time", server_default=sa.func.now()),
        sa.Column(
            "transaction",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("(pg_current_xact_id()::text::bigint)"),
        ),
    )
    op.create_index("ended_sessions_transaction", "ended_sessions", ["transaction"])
    op.create_index("ended_sessions_time", "ended_sessions", ["end_time"])
    op.execute(NOTE_ENDED)
    op.execute(
        "CREATE TRIGGER sessions_ended AFTER DELETE ON sessions "
        "FOR EACH ROW EXECUTE FUNCTION note_ended_session()"
    )


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("method", sa.String(64), primary_key=True),
        sa.Column("caller", sa.String(128), primary_key=True),
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False, server_default=""),
        _moment("create_time", server_default=sa.func.now()),
    )
    op.create_index("answers_time", "answers", ["create_time"])


def _credentials() -> None:
    op.create_table(
        "guesses",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        _moment("last_time"),
    )
    op.create_index("guesses_time", "guesses", ["last_time"])
    op.create_table(
        "known_places",
        _user(primary_key=True),
        sa.Column("place", sa.LargeBinary, primary_key=True),
        _moment("last_time"),
    )
    op.create_table(
        "links",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        _user(),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        _moment("create_time"),
        _moment("expire_time"),
    )
    op.create_index("links_user", "links", ["user_id", "purpose"])
    op.create_index("links_expired", "links", ["expire_time"])
    op.create_table(
        "totp",
        _user(primary_key=True),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recovery_codes",
        _user(primary_key=True),
        sa.Column("code_hash", sa.LargeBinary, primary_key=True),
    )


def _moment(name: str, **options: object) -> sa.Column:  # type: ignore[type-arg]  # of whatever options say
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, **options)  # type: ignore[arg-type]


def _user(**options: object) -> sa.Column:  # type: ignore[type-arg]
    owner = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column("user_id", sa.Uuid, owner, nullable=False, **options)  # type: ignore[arg-type]
