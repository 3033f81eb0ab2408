"""Which sessions have ended before their access tokens expire: what verifiers look into, and how it is kept.

Looking costs no round trip: it is a dictionary of the process, which asks for what is new every other second. While
nobody answers, the tokens of sessions that end meanwhile are good until they expire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chassis import logs, telemetry
from chassis.errors import DomainError
from chassis.paging import PageTokenInvalid

INTERVAL_SECONDS = 2.0
LIMIT = 200_000
"""Sessions that are remembered; beyond them the one that ended first is forgotten."""

log = logs.get("chassis.revocations")

_unheard = telemetry.counter(
    "ended_sessions_unheard", "Times that nobody told which sessions have ended."
)
_forgotten = telemetry.counter(
    "ended_sessions_forgotten", "Ended sessions that were forgotten before their tokens expired."
)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that has ended, and when its last access token expires, in seconds since 1970."""

    session_id: str
    expires: float


@dataclass(frozen=True, slots=True)
class News:
    """Sessions that have ended since the token before; `token` is for the next time, `more` if there are more now."""

    ended: Sequence[EndedSession]
    token: str
    more: bool = False


Source = Callable[[str], Awaitable[News]]
"""Tells what is new since a token (empty: all). Raises DomainError."""


class EndedSessions:
    """The sessions that have ended, by their ids: `id in ended`."""

    def __init__(self, limit: int = LIMIT, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._limit = limit
        self._interval_seconds = interval_seconds
        self._expires: dict[str, float] = {}

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._expires

    def add(self, ended: EndedSession) -> None:
        """Remember a session until its tokens have expired."""
        self._expires[ended.session_id] = ended.expires
        if len(self._expires) > self._limit:
            del self._expires[next(iter(self._expires))]
            _forgotten.inc()

    def prune(self, now: float) -> None:
        """Forget those whose tokens have expired; they are in the order in which they ended."""
        while self._expires:
            first = next(iter(self._expires))
            if self._expires[first] > now:
                return
            del self._expires[first]

    async def follow(self, source: Source) -> None:
        """Keep up with a source, for ever."""
        token, heard = "", True
        while True:
            try:
                news = await source(token)
            except DomainError as error:
                if heard:
                    log.warning("not told which sessions have ended", reason=error.reason)
                heard = False
                _unheard.inc()
                token = "" if error.reason == PageTokenInvalid.reason else token
                await asyncio.sleep(self._interval_seconds)
                continue
            token, heard = news.token, True
            for ended in news.ended:
                self.add(ended)
            if not news.more:
                self.prune(time.time())
                await asyncio.sleep(self._interval_seconds)


__all__ = ["INTERVAL_SECONDS", "EndedSession", "EndedSessions", "News", "Source"]
