"""Wakes whoever watches a lobby, in this process, when any process has changed it: Postgres LISTEN.

A wake-up that is lost, while Postgres is away, is made good: everybody is woken when it is back, and looks by themselves
now and then besides.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from chassis import logs
from services.meeting.gathering_store import LOBBY_CHANNEL

RETRY_SECONDS = 1.0
LISTEN_SECONDS = 30.0
"""How long to listen before seeing that the connection is still there."""

log = logs.get("meeting.lobby")


class LobbyWatch:
    """Those who watch lobbies; `url` is written as SQLAlchemy has it."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg", "", 1)
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def watching(self, code: str) -> Iterator[asyncio.Event]:
        """Have an event that is set whenever a meeting's lobby may have changed."""
        woken = asyncio.Event()
        self._watchers[code].add(woken)
        try:
            yield woken
        finally:
            self._watchers[code].discard(woken)
            if not self._watchers[code]:
                del self._watchers[code]

    async def run(self) -> None:
        """Listen, until cancelled; a Postgres that is away is waited for."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("lobbies not heard of", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5
        ) as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(LOBBY_CHANNEL)))
            for code in tuple(self._watchers):
                self._wake(code)
            while True:
                async for heard in connection.notifies(timeout=LISTEN_SECONDS):
                    self._wake(heard.payload)
                await connection.execute("SELECT 1")

    def _wake(self, code: str) -> None:
        for woken in self._watchers.get(code, ()):
            woken.set()


__all__ = ["LobbyWatch"]
