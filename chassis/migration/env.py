"""Alembic's environment: runs a service's versions on the connection that chassis.db.migrate opened."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
