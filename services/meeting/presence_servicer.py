"""PresenceService: hears from signaling who has come and gone."""

from __future__ import annotations

from typing import Any

from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc

from services.meeting.desk import Desk
from services.meeting.shown import code_of, meeting_proto, participant_id_of, participant_proto
from services.meeting.store import Store


class PresenceServicer(meeting_pb2_grpc.PresenceServiceServicer):
    """Keeps who is here."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    async def ReportPresence(
        self, request: meeting_pb2.ReportPresenceRequest, context: Any
    ) -> meeting_pb2.ReportPresenceResponse:
        """Record that a participant has connected or has left."""
        code, identifier = code_of(request.participant), participant_id_of(request.participant)
        async with self._desk.opened_for(code, identifier) as opened:
            gathering = opened.gathering
            if request.state == meeting_pb2.PARTICIPANT_STATE_LEFT:
                gathering.leave(identifier)
            else:
                gathering.connect(identifier)
        meeting, count = await self._store.meeting(code)
        return meeting_pb2.ReportPresenceResponse(
            meeting=meeting_proto(meeting, count, meeting.host_id),
            participant=participant_proto(gathering.person(identifier), gathering.meeting),
        )


__all__ = ["PresenceServicer"]
