"""PresenceService: hears from signaling who has come and gone."""

from __future__ import annotations

from typing import Any

from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc

from services.meeting.breakouts.store import BreakoutStore
from services.meeting.desk import Desk
from services.meeting.shown import code_of, meeting_proto, participant_id_of, participant_proto
from services.meeting.store import Store


class PresenceServicer(meeting_pb2_grpc.PresenceServiceServicer):
    """Keeps who is here."""

    def __init__(self, store: Store, breakouts: BreakoutStore, desk: Desk) -> None:
        self._store = store
        self._breakouts = breakouts
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
        person = gathering.person(identifier)
        belongs = await self._breakouts.belongs_in(meeting, person.user_id)
        return meeting_pb2.ReportPresenceResponse(
            meeting=meeting_proto(meeting, count, meeting.host_id),
            participant=participant_proto(person, gathering.meeting),
            assigned_meeting=f"meetings/{belongs}" if belongs else "",
        )


__all__ = ["PresenceServicer"]
