"""`python -m chassis.migration FOLDER`: run a service's migrations that the database lacks, one process at a time."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import alembic.command
import sqlalchemy
from alembic.config import Config
from sqlalchemy import text

TIMEOUT_SECONDS = 5


def migrate(url: str, migrations: Path, revision: str = "head") -> None:
    """Bring the database at `url` up to a revision of `migrations`/versions, under an advisory lock."""
    options = Config(attributes={})
    options.set_main_option("script_location", str(Path(__file__).parent))
    options.set_main_option("version_locations", str(migrations / "versions"))
    options.set_main_option("path_separator", "newline")
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": TIMEOUT_SECONDS}
    )
    try:
        with engine.begin() as connection:
            lock = zlib.crc32(b"parley.migrations")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
            options.attributes["connection"] = connection
            alembic.command.upgrade(options, revision)
    finally:
        engine.dispose()


if __name__ == "__main__":
    migrate(os.environ["PARLEY_DATABASE_URL"], Path(sys.argv[1]))
