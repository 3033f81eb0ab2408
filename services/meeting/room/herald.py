"""Tells rooms what has happened in their meetings: in order, again and again until signaling knows.

Who has changed something calls `wake` after its transaction; what another process left is found within a second.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import grpc

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import DomainError
from services.meeting.peers import Peers
from services.meeting.room.events import RoomEvents, Waiting

TELLERS = 3
"""Each holds a connection to the database while it tells."""
WAITING = 10_000
SWEEP_SECONDS = 1.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0
HOPELESS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)

log = logs.get("meeting.herald")

_told = telemetry.counter("meeting_events_told", "Events that rooms were told.")
_dropped = telemetry.counter("meeting_events_dropped", "Events that rooms were never told.")


class Herald:
    """Tells rooms; each meeting is one teller's, so that no two tell it at once."""

    def __init__(self, events: RoomEvents, peers: Peers, clock: Clock) -> None:
        self._events = events
        self._peers = peers
        self._clock = clock
        self._queues: list[asyncio.Queue[UUID]] = [asyncio.Queue(WAITING) for _ in range(TELLERS)]
        self._queued: set[UUID] = set()

    def wake(self, meeting_id: UUID) -> None:
        """Something waits to be told to a meeting."""
        queue = self._queues[meeting_id.int % TELLERS]
        if meeting_id in self._queued or queue.full():
            return  # the sweep finds what there was no room for
        self._queued.add(meeting_id)
        queue.put_nowait(meeting_id)

    async def run(self) -> None:
        """Tell whoever is to be told, for ever."""
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(self._tell(queue))
            group.create_task(self._sweep())

    async def _tell(self, queue: asyncio.Queue[UUID]) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            meeting_id = await queue.get()
            self._queued.discard(meeting_id)
            try:
                while await self._tell_some(meeting_id):
                    pass
                delay = FIRST_DELAY_SECONDS
            except DomainError as error:
                log.info("events wait", reason=error.reason)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
                self.wake(meeting_id)

    async def _tell_some(self, meeting_id: UUID) -> bool:
        async with self._events.taken(meeting_id) as waiting:
            if waiting is None:
                return False
            await self._publish(waiting)
        return True

    async def _publish(self, waiting: Waiting) -> None:
        try:
            await self._peers.publish(waiting)
        except DomainError as error:
            if error.code not in HOPELESS:
                raise
            _dropped.inc(len(waiting.events))
            log.error("events refused", meeting=waiting.meeting, reason=error.reason)
        else:
            _told.inc(len(waiting.events))

    async def _sweep(self) -> None:
        while True:
            try:
                while stale := await self._events.expire(self._clock.now()):
                    _dropped.inc(stale)
                for meeting_id in await self._events.meetings(WAITING):
                    self.wake(meeting_id)
            except DomainError as error:
                log.info("events not swept", reason=error.reason)
            await asyncio.sleep(SWEEP_SECONDS)


__all__ = ["Herald"]
