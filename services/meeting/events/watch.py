"""Streams of events: those that are kept, then those that come, read from the log by whoever reads the stream.

Nothing is buffered for a slow reader: a stream knows only how far it has come, and is woken, by one look at the log per
process, when something has happened to a meeting of its host.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

from chassis import logs
from chassis.auth import check_session
from chassis.errors import DomainError
from services.meeting.events.log import EventLog, Logged
from services.meeting.events.webhook import TooManyWatchers, check_kept

WATCHERS_OF_ONE = 10
"""Streams that a user may have open at a process."""
PAGE = 100
SESSION_SECONDS = 2.0
"""How often it is seen whether the reader is still signed in."""
RETRY_SECONDS = 1.0

log = logs.get("meeting.events")


class EventWatch:
    """Those who watch."""

    def __init__(self, events: EventLog, poll_seconds: float) -> None:
        self._events = events
        self._poll_seconds = poll_seconds
        self._watchers: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._seen: int | None = None

    async def watch(
        self, host_id: UUID, after: int | None, meeting_id: UUID | None = None
    ) -> AsyncIterator[Logged]:
        """Give a host's events from above a number on, None: from now on; of one meeting alone if it is named.

        Raises CursorInvalid, TooManyWatchers, and SessionEnded when the caller is signed out.
        """
        bounds = await self._events.bounds()
        after = bounds.last if after is None else check_kept(after, bounds.last, bounds.swept)
        with self._watching(host_id) as woken:
            while True:
                woken.clear()
                page = await self._events.page(host_id, after, PAGE, meeting_id)
                for event in page:
                    check_session()
                    yield event
                    after = event.sequence
                if len(page) < PAGE:
                    await _woken(woken)

    async def run(self) -> None:
        """Wake whom it concerns, for ever."""
        while True:
            try:
                await self._look()
            except DomainError as error:
                log.info("events not seen", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> None:
        if not self._watchers:
            self._seen = None
            return
        last = (await self._events.bounds()).last
        if last == self._seen:
            return
        is_known = self._seen is not None
        hosts = await self._events.hosts(self._seen or 0, last) if is_known else {*self._watchers}
        self._seen = last
        for host_id in hosts:
            for woken in self._watchers.get(host_id, ()):
                woken.set()

    @contextmanager
    def _watching(self, host_id: UUID) -> Iterator[asyncio.Event]:
        if len(self._watchers.get(host_id, ())) >= WATCHERS_OF_ONE:
            raise TooManyWatchers
        woken = asyncio.Event()
        self._watchers[host_id].add(woken)
        try:
            yield woken
        finally:
            self._watchers[host_id].discard(woken)
            if not self._watchers[host_id]:
                del self._watchers[host_id]


async def _woken(woken: asyncio.Event) -> None:
    """Wait until it is set. Raises SessionEnded when the caller is signed out meanwhile."""
    while not woken.is_set():
        check_session()
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                await woken.wait()
        except TimeoutError:
            continue


__all__ = ["EventWatch"]
