"""What a call is told of who may do what in it, beside the requests that say so, until it knows.

Of whom signaling and media are to be told stands in the database, with the change itself: whichever process is first tells
them, also after a crash, and once more a little later. Hosts are told who waits, and a room how its meeting is, as it is
when they are told: it does not matter how often.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import DomainError
from services.meeting.call_peers import CallPeers
from services.meeting.domain import Meeting, MeetingNotFound, Participant
from services.meeting.gathering_store import GatheringStore, Outcome
from services.meeting.joining.lobby import MAX_WAITING
from services.meeting.store import Store

What = Literal["people", "meeting", "lobby"]

WAITING = 10_000
"""Meetings that may be still to be told; when there are more, their rooms find out at the next change."""
TELLERS = 8
ATTEMPTS = 8
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
AGAIN = timedelta(seconds=3)
SWEEP_SECONDS = 1.0
PEOPLE_AT_ONCE = 250
MEDIA_AT_ONCE = 16
HOSTS_AT_ONCE = 20

log = logs.get("meeting.notices")

_untold = telemetry.counter(
    "meeting_notices_untold", "Changes that a call was not told.", ("what",)
)


class Notices:
    """Tells calls of changes."""

    def __init__(
        self, store: Store, gatherings: GatheringStore, peers: CallPeers, clock: Clock
    ) -> None:
        self._store = store
        self._gatherings = gatherings
        self._peers = peers
        self._clock = clock
        self._queue: asyncio.Queue[tuple[str, What]] = asyncio.Queue(WAITING)
        self._queued: set[tuple[str, What]] = set()

    def changed(self, code: str, outcome: Outcome) -> None:
        """A gathering has changed so."""
        for what, is_changed in (
            ("people", outcome.people),
            ("meeting", outcome.meeting),
            ("lobby", outcome.lobby),
        ):
            if is_changed:
                self._put(code, what)  # type: ignore[arg-type]  # a tuple's literals widen

    async def run(self) -> None:
        """Tell whoever is to be told, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(TELLERS):
                group.create_task(self._tell_all())
            group.create_task(self._sweep())

    def _put(self, code: str, what: What) -> None:
        notice = code, what
        if notice in self._queued:
            return
        if self._queue.full():
            _untold.labels(what).inc()
            return
        self._queued.add(notice)
        self._queue.put_nowait(notice)

    async def _tell_all(self) -> None:
        while True:
            code, what = notice = await self._queue.get()
            self._queued.discard(notice)
            await self._tell(code, what)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                for code in await self._gatherings.untold(self._clock.now()):
                    self._put(code, "people")
            except DomainError as error:
                log.info("notices wait", reason=error.reason)

    async def _tell(self, code: str, what: What) -> None:
        """Tell, again and again for a while. What is not told of people then, the sweep finds."""
        delay = FIRST_DELAY_SECONDS
        for _ in range(ATTEMPTS):
            try:
                await self._tell_once(code, what)
            except MeetingNotFound:
                return
            except DomainError as error:
                log.info("notice not told", what=what, reason=error.reason)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
        _untold.labels(what).inc()

    async def _tell_once(self, code: str, what: What) -> None:
        meeting, count = await self._store.meeting(code)
        if what == "people":
            await self._tell_people(meeting)
        elif what == "meeting":
            await self._peers.meeting_updated(meeting, count)
        else:
            waiting = await self._gatherings.waiting(meeting.id, MAX_WAITING)
            hosts = await self._gatherings.running(meeting)
            for begin in range(0, len(hosts), HOSTS_AT_ONCE):
                some = hosts[begin : begin + HOSTS_AT_ONCE]
                await self._peers.lobby_changed(meeting, waiting, some)

    async def _tell_people(self, meeting: Meeting) -> None:
        """Tell signaling, then media: whoever takes a place at media meanwhile takes it with what signaling knows."""
        while True:
            now = self._clock.now()
            due = await self._gatherings.to_tell(meeting.id, now, PEOPLE_AT_ONCE)
            if not due:
                return
            people = [each for each, _ in due]
            await self._peers.people_changed(meeting, people)
            slots = asyncio.Semaphore(MEDIA_AT_ONCE)
            await asyncio.gather(*(self._tell_media(meeting, each, slots) for each in people))
            await self._gatherings.told(due, now + AGAIN)

    async def _tell_media(
        self, meeting: Meeting, participant: Participant, slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            if participant.is_here:
                await self._peers.set_grants(meeting, participant)
            else:
                await self._peers.remove(participant.name)


__all__ = ["Notices"]
