"""What others are told in the background, again and again until they know: media what it is to analyse, user what to audit.

Media is told what holds when it is told, not what held when somebody changed it, so that it does not matter how often.
Audit events wait in the database; whichever process is first tells them.
"""

from __future__ import annotations

import asyncio

from chassis import logs, telemetry
from chassis.errors import DomainError
from services.meeting.analysis import analysis, as_request
from services.meeting.domain import MeetingNotFound
from services.meeting.peers import Peers
from services.meeting.store import Store

WAITING = 10_000
"""Meetings of which media may be still to be told; when there are more, it finds out when their rooms begin."""
TELLERS = 8
ATTEMPTS = 6
FIRST_DELAY_SECONDS = 0.1
AUDIT_SECONDS = 2.0
AUDIT_BATCH = 100

log = logs.get("meeting.telling")

_untold = telemetry.counter(
    "meeting_analysis_untold", "Changes of analysis that media was not told."
)


class Telling:
    """Tells others, beside the requests that change something."""

    def __init__(self, store: Store, peers: Peers) -> None:
        self._store = store
        self._peers = peers
        self._meetings: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self._queued: set[str] = set()

    def analysis_changed(self, code: str) -> None:
        """What is analysed in a meeting, or of whom, is another now."""
        if code in self._queued:
            return
        if self._meetings.full():
            _untold.inc()
            return
        self._queued.add(code)
        self._meetings.put_nowait(code)

    async def run(self) -> None:
        """Tell whoever is to be told, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(TELLERS):
                group.create_task(self._tell_media())
            group.create_task(self._tell_audit())

    async def _tell_media(self) -> None:
        while True:
            code = await self._meetings.get()
            self._queued.discard(code)
            await self._tell(code)

    async def _tell_audit(self) -> None:
        while True:
            try:
                while await self._tell_some():
                    pass
            except DomainError as error:
                log.info("audit events wait", reason=error.reason)
            await asyncio.sleep(AUDIT_SECONDS)

    async def _tell(self, code: str) -> None:
        delay = FIRST_DELAY_SECONDS
        for _ in range(ATTEMPTS):
            try:
                async with self._store.locked_meeting(code) as transaction:
                    meeting, present = transaction.meeting, await transaction.present()
                if await self._peers.set_analysis(
                    as_request(meeting.name, analysis(meeting, present))
                ):
                    return
            except MeetingNotFound:
                return
            except DomainError as error:
                log.info("analysis not told", reason=error.reason)
            await asyncio.sleep(delay)
            delay *= 2
        _untold.inc()

    async def _tell_some(self) -> bool:
        async with self._store.untold(AUDIT_BATCH) as events:
            if events:
                await self._peers.audit(events)
        return len(events) == AUDIT_BATCH


__all__ = ["Telling"]
