"""What rooms have to tell, on its way to signaling: in order, bounded, tried again while signaling is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc

from chassis import logs, telemetry

WAITING = 10_000
"""Events that may wait; when there are more the oldest are dropped, and counted."""
BATCH = 64
BEHIND = 500
"""Events that wait; from there on what can be missed need not be told."""
RETRY_SECONDS = 0.2
HOLD_SECONDS = 0.05
TIMEOUT_SECONDS = 2.0

log = logs.get("media.announcer")

_dropped = telemetry.counter("media_events_dropped", "Events that never reached signaling.")

TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Announcer:
    """Publishes events of all rooms of this worker. While `is_held` says so all wait: they may be another worker's to tell."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self.is_held: Callable[[], bool] = lambda: False
        self._stub = signaling_pb2_grpc.EventServiceStub(mesh)
        self._waiting: deque[tuple[str, signaling_pb2.Event]] = deque()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_behind(self) -> bool:
        """Tell whether so much waits that what can be missed is better left untold."""
        return len(self._waiting) >= BEHIND

    def tell(self, room: str, message: signaling_pb2.ServerMessage, participant: str = "") -> None:
        """Have a message told to a room, or to one participant of it."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            _dropped.inc()
        event = signaling_pb2.Event(participant=participant, message=message)
        self._waiting.append((room, event))
        self._idle.clear()
        self._more.set()

    def forget(self, room: str) -> None:
        """Leave untold what waits to be told to a room: another worker speaks for it."""
        self._waiting = deque(item for item in self._waiting if item[0] != room)

    async def run(self) -> None:
        """Publish what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                if self.is_held():
                    await asyncio.sleep(HOLD_SECONDS)
                else:
                    await self._publish(*self._next())
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until nothing waits, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("events left untold", count=len(self._waiting))

    def _next(self) -> tuple[str, list[signaling_pb2.Event]]:
        """Take the next events of one room."""
        room = self._waiting[0][0]
        events: list[signaling_pb2.Event] = []
        while self._waiting and self._waiting[0][0] == room and len(events) < BATCH:
            events.append(self._waiting.popleft()[1])
        return room, events

    async def _publish(self, room: str, events: list[signaling_pb2.Event]) -> None:
        request = signaling_pb2.PublishEventsRequest(meeting=room, events=events)
        while True:
            try:
                await self._stub.PublishEvents(request, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT or len(self._waiting) > WAITING // 2:
                    _dropped.inc(len(events))
                    log.warning("events not told", code=error.code().name, count=len(events))
                    return
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


__all__ = ["Announcer"]
