"""The desk: opens a meeting's gathering for whoever may do what they ask, and has others told of what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from chassis import logs
from chassis.clock import Clock
from chassis.errors import DomainError
from services.meeting.domain import MeetingNotFound, MeetingState
from services.meeting.gathering_store import GatheringStore, Opened
from services.meeting.joining.door import Comer, Seen
from services.meeting.notices import Notices
from services.meeting.peers import Peers
from services.meeting.permissions import check
from services.meeting.planning.store import takes_place_again
from services.meeting.shown import caller
from services.meeting.telling import Telling
from services.meeting.transcripts.summary import SETTLING

ROUND_SECONDS = 5.0
"""How often meetings are looked for whose host is away, or in whose lobby nobody waits any more."""

log = logs.get("meeting.desk")


class Desk:
    """Opens gatherings."""

    def __init__(
        self,
        gatherings: GatheringStore,
        notices: Notices,
        telling: Telling,
        peers: Peers,
        clock: Clock,
    ) -> None:
        self.gatherings = gatherings
        self._notices = notices
        self._telling = telling
        self._peers = peers
        self._clock = clock

    @asynccontextmanager
    async def opened(
        self, code: str, method: str = "", participant_id: UUID | None = None
    ) -> AsyncIterator[Opened]:
        """Open a gathering for the caller, who is to be allowed `method` of PERMISSIONS, to change it.

        Raises MeetingNotFound, NotHost, NotParticipant.
        """
        async with self.gatherings.opened(code, participant_id) as opened:
            if method:
                gathering = opened.gathering
                check(gathering.standing(caller()), method, gathering.meeting)
            before = opened.gathering.meeting
            yield opened
            await self._wind_up(opened)
        await self._tell(opened, has_ended=opened.gathering.meeting.has_ended_since(before))

    @asynccontextmanager
    async def opened_at_the_door(
        self, code: str, comer: Comer
    ) -> AsyncIterator[tuple[Opened, Seen]]:
        """Open a gathering for somebody who comes, with what is known of them. Raises MeetingNotFound."""
        async with self.gatherings.opened_at_the_door(code, comer) as (opened, seen):
            yield opened, seen
        await self._tell(opened, has_ended=False)

    @asynccontextmanager
    async def opened_for(self, code: str, participant_id: UUID) -> AsyncIterator[Opened]:
        """Open a gathering for somebody's coming or going. Raises MeetingNotFound, ParticipantNotFound."""
        async with self.gatherings.opened_for(code, participant_id) as opened:
            yield opened
        await self._tell(opened, has_ended=False)

    def now(self) -> datetime:
        """Tell the time."""
        return self._clock.now()

    async def run(self) -> None:
        """See to meetings that are left to themselves, for ever."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                for code in await self.gatherings.untended(self._clock.now()):
                    await self.tend(code)
                for code in await self.gatherings.deserted(self._clock.now()):
                    await self.rest(code)
            except DomainError as error:
                log.info("meetings wait", reason=error.reason)

    async def tend(self, code: str) -> None:
        """Have somebody stand in for a host who is away; who waits no more has left the lobby."""
        try:
            async with self.opened(code) as opened:
                gathering = opened.gathering
                again = await takes_place_again(opened.transaction, gathering.now)
                gathering.take_over(again=again)
        except MeetingNotFound:
            return

    async def rest(self, code: str) -> None:
        """End a meeting that recurs and that everybody has left, for now: who has but gone for a break comes back."""
        try:
            async with self.opened(code) as opened:
                gathering = opened.gathering
                if not gathering.here() and not gathering.waiting():
                    gathering.end(again=True)
        except MeetingNotFound:
            return

    async def _wind_up(self, opened: Opened) -> None:
        """Have a meeting summarised that has ended just now."""
        meeting, now = opened.gathering.meeting, opened.gathering.now
        has_ended = meeting.has_ended_since(opened.transaction.meeting)
        if has_ended and meeting.state is not MeetingState.CANCELLED and meeting.settings.summary:
            await opened.transaction.request_summary(now, now + SETTLING)

    async def _tell(self, opened: Opened, *, has_ended: bool) -> None:
        meeting = opened.gathering.meeting
        if has_ended:
            await self._peers.meeting_ended(meeting.name)
            return
        self._notices.changed(meeting.code, opened.outcome)
        if opened.outcome.analysis:
            self._telling.analysis_changed(meeting.code)


__all__ = ["Desk"]
