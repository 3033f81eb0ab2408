"""Sees to breakout rooms whose time is over, to rooms that are closed, and to who stays where they do not belong.

All that it goes by stands in the database: whichever process is first does it, also after a restart.
"""

from __future__ import annotations

import asyncio

from chassis import logs
from chassis.clock import Clock
from chassis.errors import DomainError
from services.meeting.breakouts.closing import close_all
from services.meeting.breakouts.store import BreakoutStore
from services.meeting.desk import Desk
from services.meeting.domain import MeetingNotFound, ParticipantNotFound
from services.meeting.peers import Peers
from services.meeting.room.herald import Herald

ROUND_SECONDS = 1.0

log = logs.get("meeting.breakouts")


class BreakoutWatch:
    """Watches breakout rooms."""

    def __init__(
        self, store: BreakoutStore, desk: Desk, peers: Peers, herald: Herald, clock: Clock
    ) -> None:
        self._store = store
        self._desk = desk
        self._peers = peers
        self._herald = herald
        self._clock = clock

    async def run(self) -> None:
        """See to them, for ever."""
        while True:
            try:
                await self.see_to_all()
            except DomainError as error:
                log.info("breakout rooms wait", reason=error.reason)
            await asyncio.sleep(ROUND_SECONDS)

    async def see_to_all(self) -> None:
        """Do what is due now. Raises Unavailable."""
        while await self._close_one():
            pass
        for code in await self._store.closed(self._clock.now()):
            await self._end(code)
        await self._take_out()

    async def _close_one(self) -> bool:
        now = self._clock.now()
        async with self._store.due(now) as meeting:
            told = [] if meeting is None else await close_all(meeting, now)
        for each in told:
            self._herald.wake(each)
        return meeting is not None

    async def _end(self, code: str) -> None:
        try:
            async with self._desk.opened(code) as opened:
                gathering = opened.gathering
                gathering.close(gathering.meeting.ended(gathering.now))
        except MeetingNotFound:
            return

    async def _take_out(self) -> None:
        for stray in await self._store.strays(self._clock.now()):
            try:
                async with self._desk.opened_for(stray.meeting_code, stray.id) as opened:
                    opened.gathering.leave(stray.id)
            except (MeetingNotFound, ParticipantNotFound):
                continue
            await self._peers.participant_left(f"meetings/{stray.meeting_code}", stray.name)


__all__ = ["BreakoutWatch"]
