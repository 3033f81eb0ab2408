"""What is handed to whoever is let in: a ticket, and the ways to signaling and media."""

from __future__ import annotations

from uuid import UUID

from parley.meeting.v1 import meeting_pb2

from chassis.clock import Clock
from services.meeting.domain import Meeting, Participant, ParticipantState
from services.meeting.joining.tickets import Tickets
from services.meeting.joining.turn import Turn
from services.meeting.shown import meeting_proto, participant_proto


class Admissions:
    """Makes the answers to those who join."""

    def __init__(
        self,
        tickets: Tickets,
        clock: Clock,
        signaling_url: str,
        ice_urls: tuple[str, ...],
        turn: Turn | None,
    ) -> None:
        self._tickets = tickets
        self._clock = clock
        self._signaling_url = signaling_url
        self._ice = [meeting_pb2.IceServer(urls=ice_urls)] if ice_urls else []
        self._turn = turn

    def answer(
        self, meeting: Meeting, count: int, participant: Participant, viewer: UUID
    ) -> meeting_pb2.JoinMeetingResponse:
        """Make the answer; in the lobby there is no ticket yet. Raises ParticipantGone."""
        answer = meeting_pb2.JoinMeetingResponse(
            meeting=meeting_proto(meeting, count, viewer),
            participant=participant_proto(participant, meeting),
        )
        if participant.state is ParticipantState.WAITING:
            return answer
        answer.ticket = self._tickets.issue(meeting, participant, self._clock.now())
        answer.signaling_url = self._signaling_url
        answer.ice_servers.extend(self._ice)
        if self._turn is not None:
            answer.ice_servers.append(self._turn.server(str(participant.id), self._clock.now()))
        return answer


__all__ = ["Admissions"]
