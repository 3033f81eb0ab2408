"""What has run out is deleted, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from chassis import db
from chassis.clock import ManualClock
from chassis.idempotency import Answers
from services.user.app import MIGRATIONS
from services.user.housekeeping import Housekeeping
from tests.credential_stand import Stand, refused, user_standing
from tests.servers import PostgresServer

TABLES = ("sessions", "ended_sessions", "guesses", "links")


@pytest.fixture
async def stand(postgres: PostgresServer) -> AsyncIterator[Stand]:
    async with user_standing(postgres, verify_email=True) as it:
        yield it


def counts(stand: Stand) -> dict[str, int]:
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        rows = (connection.execute(f"SELECT count(*) FROM {table}") for table in TABLES)
        return {table: row.fetchone()[0] for table, row in zip(TABLES, rows, strict=True)}  # type: ignore[index]


async def test_what_has_run_out_goes_table_by_table(stand: Stand) -> None:
    ann = await stand.somebody()
    await refused(ann.elsewhere().login("wrong"))
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        user = [ann.name.removeprefix("users/")]
        begun = "INSERT INTO sessions (id, user_id, secret_hash, create_time, expire_time) "
        more = "SELECT gen_random_uuid(), %s, '', now(), now() + n * interval '1 day' "
        connection.execute(f"{begun}{more}FROM generate_series(1, 3) AS n", user)
        connection.execute("DELETE FROM sessions WHERE expire_time > now() + interval '60 hours'")
    full = counts(stand)
    assert full == {"sessions": 2, "ended_sessions": 1, "guesses": 2, "links": 1}
    async with db.connected(stand.database_url, MIGRATIONS) as opened:
        clock = ManualClock(datetime.now(UTC))
        house = Housekeeping(opened, Answers(opened), clock)
        assert not await house.sweep()
        assert counts(stand) == full
        clock.advance(timedelta(hours=7).total_seconds())
        await house.sweep()
        assert counts(stand) == {**full, "guesses": 0}
        clock.advance(timedelta(hours=20).total_seconds())
        await house.sweep()
        assert counts(stand) == {"sessions": 1, "ended_sessions": 0, "guesses": 0, "links": 0}
