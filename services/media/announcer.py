"""What rooms have to tell, on its way to signaling."""

from __future__ import annotations

import uuid

import grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc

from chassis import telemetry
from services.media.backlog import Backlog

WAITING = 10_000
"""Events that may wait; when there are more the oldest are dropped, and counted."""
BEHIND = 500
"""Events that wait; from there on what can be missed need not be told."""
TIMEOUT_SECONDS = 2.0

_dropped = telemetry.counter("media_events_dropped", "Events that never reached signaling.")


class Announcer(Backlog[signaling_pb2.Event]):
    """Publishes events of all rooms of this worker. While `is_held` says so all wait: they may be another worker's to tell."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        super().__init__(self._publish, _dropped, WAITING)
        self._stub = signaling_pb2_grpc.EventServiceStub(mesh)
        self._sending: tuple[list[signaling_pb2.Event], str] = ([], "")

    @property
    def is_behind(self) -> bool:
        """Tell whether so much waits that what can be missed is better left untold."""
        return len(self) >= BEHIND

    def tell(self, room: str, message: signaling_pb2.ServerMessage, participant: str = "") -> None:
        """Have a message told to a room, or to one participant of it."""
        self.put(room, signaling_pb2.Event(participant=participant, message=message))

    async def _publish(self, room: str, events: list[signaling_pb2.Event]) -> None:
        """Publish; what is tried again is the same list, and the same request."""
        if self._sending[0] is not events:
            self._sending = events, str(uuid.uuid4())
        request = signaling_pb2.PublishEventsRequest(
            meeting=room, events=events, request_id=self._sending[1]
        )
        await self._stub.PublishEvents(request, timeout=TIMEOUT_SECONDS)


__all__ = ["Announcer"]
