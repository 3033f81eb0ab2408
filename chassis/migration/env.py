"""Alembic's environment: runs a service's versions on the connection that `python -m chassis.migration` opened."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
