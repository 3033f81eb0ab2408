"""The stores that `./parley up` runs, as the services meet them."""

from __future__ import annotations

import psycopg
import redis

from tests.conftest import DatabaseFactory


def test_a_service_gets_a_postgres_that_keeps_what_it_commits(empty_database: str) -> None:
    url = empty_database.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id uuid DEFAULT uuidv7(), note text)")
        connection.execute("INSERT INTO kept (note) VALUES ('über')")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT note FROM kept").fetchone() == ("über",)


def test_each_database_of_a_test_is_its_own(database: DatabaseFactory) -> None:
    assert database("user") != database("user")


def test_a_store_refuses_who_has_no_password(valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        assert client.ping()
        port = client.connection_pool.connection_kwargs["port"]
    with redis.Redis(port=port) as stranger:
        try:
            stranger.ping()
        except redis.AuthenticationError:
            return
    raise AssertionError("Valkey let a stranger in.")
