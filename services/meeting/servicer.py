"""MeetingService and PresenceService: proto to domain and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from services.meeting.domain import (
    DEFAULT_CAPACITY,
    Meeting,
    MeetingState,
    Participant,
    ParticipantNotFound,
    ParticipantRole,
    ParticipantState,
    admit,
    new_code,
)
from services.meeting.guests import check_guests
from services.meeting.peers import Peers
from services.meeting.store import MeetingTransaction, Store
from services.meeting.summary import SETTLING
from services.meeting.telling import Telling
from services.meeting.tickets import Tickets
from services.meeting.turn import Turn

DEFAULT_MEETINGS = 20
DEFAULT_PARTICIPANTS = 100

STATES = {
    MeetingState.SCHEDULED: meeting_pb2.MEETING_STATE_SCHEDULED,
    MeetingState.ACTIVE: meeting_pb2.MEETING_STATE_ACTIVE,
    MeetingState.ENDED: meeting_pb2.MEETING_STATE_ENDED,
}
ROLES = {
    ParticipantRole.HOST: meeting_pb2.PARTICIPANT_ROLE_HOST,
    ParticipantRole.PARTICIPANT: meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT,
}
PARTICIPANT_STATES = {
    ParticipantState.JOINING: meeting_pb2.PARTICIPANT_STATE_JOINING,
    ParticipantState.CONNECTED: meeting_pb2.PARTICIPANT_STATE_CONNECTED,
    ParticipantState.LEFT: meeting_pb2.PARTICIPANT_STATE_LEFT,
}


class MeetingServicer(meeting_pb2_grpc.MeetingServiceServicer):
    """Makes meetings and decides who joins them."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        tickets: Tickets,
        clock: Clock,
        signaling_url: str,
        ice_urls: tuple[str, ...],
        turn: Turn | None,
        telling: Telling,
    ) -> None:
        self._store = store
        self._peers = peers
        self._telling = telling
        self._tickets = tickets
        self._clock = clock
        self._signaling_url = signaling_url
        self._ice = [meeting_pb2.IceServer(urls=ice_urls)] if ice_urls else []
        self._turn = turn

    async def CreateMeeting(
        self, request: meeting_pb2.CreateMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Make a meeting whose host is the caller."""
        now, wanted, host = self._clock.now(), request.meeting, _caller()
        listens = wanted.voice_activity if wanted.HasField("voice_activity") else True
        meeting = Meeting(
            id=uuid4(),
            code=new_code(),
            title=wanted.title,
            description=wanted.description,
            host_id=host,
            state=MeetingState.SCHEDULED,
            passcode=wanted.passcode,
            capacity=wanted.capacity or DEFAULT_CAPACITY,
            locked=False,
            voice_activity=listens,
            create_time=now,
            update_time=now,
        )
        kept = await self._store.add_meeting(meeting, _request_id(request.request_id))
        return meeting_proto(kept, 0, host)

    async def GetMeeting(
        self, request: meeting_pb2.GetMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Read a meeting."""
        meeting, count = await self._store.meeting(_code(request.name))
        return meeting_proto(meeting, count, _caller())

    async def ListMeetings(
        self, request: meeting_pb2.ListMeetingsRequest, context: Any
    ) -> meeting_pb2.ListMeetingsResponse:
        """List the caller's meetings, newest first."""
        size, caller = request.page_size or DEFAULT_MEETINGS, _caller()
        found = await self._store.meetings_of(
            caller, paging.moment_and_id(request.page_token), size + 1
        )
        token = (
            _token(found[size - 1][0].create_time, found[size - 1][0].id)
            if len(found) > size
            else ""
        )
        shown = [meeting_proto(meeting, count, caller) for meeting, count in found[:size]]
        return meeting_pb2.ListMeetingsResponse(meetings=shown, next_page_token=token)

    async def JoinMeeting(
        self, request: meeting_pb2.JoinMeetingRequest, context: Any
    ) -> meeting_pb2.JoinMeetingResponse:
        """Let the caller in, if the rules do, and hand out a ticket."""
        caller = user_principal()
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            check_guests(transaction.meeting, is_guest=caller.is_guest)
            participant = await self._admitted(transaction, request, UUID(caller.user_id))
            meeting = transaction.meeting
        _, count = await self._store.meeting(meeting.code)
        return meeting_pb2.JoinMeetingResponse(
            meeting=meeting_proto(meeting, count, UUID(caller.user_id)),
            participant=participant_proto(participant),
            ticket=self._tickets.issue(meeting, participant),
            signaling_url=self._signaling_url,
            ice_servers=self._ice_servers(participant),
        )

    async def LeaveMeeting(
        self, request: meeting_pb2.LeaveMeetingRequest, context: Any
    ) -> meeting_pb2.LeaveMeetingResponse:
        """Take the caller's participants out, or the one that is named."""
        caller, now = _caller(), self._clock.now()
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            if request.participant:
                mine = [await transaction.participant(_participant_id(request.participant))]
            else:
                mine = [p for p in await transaction.present() if p.user_id == caller]
            if any(participant.user_id != caller for participant in mine):
                raise ParticipantNotFound(participant=request.participant)
            for participant in mine:
                await transaction.change(participant.left(now))
        for participant in mine:
            await self._peers.participant_left(request.name, participant.name)
        return meeting_pb2.LeaveMeetingResponse()

    async def EndMeeting(
        self, request: meeting_pb2.EndMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """End a meeting for everyone."""
        caller, now = _caller(), self._clock.now()
        async with self._store.locked_meeting(_code(request.name)) as transaction:
            before, meeting = transaction.meeting, transaction.meeting.ended(caller, now)
            transaction.change_meeting(meeting)
            if meeting is not before and meeting.settings.summary:
                await transaction.request_summary(now, now + SETTLING)
            for participant in await transaction.present():
                await transaction.change(participant.left(now))
        await self._peers.meeting_ended(meeting.name)
        return meeting_proto(meeting, 0, caller)

    async def ListParticipants(
        self, request: meeting_pb2.ListParticipantsRequest, context: Any
    ) -> meeting_pb2.ListParticipantsResponse:
        """List who is in a meeting, in order of joining."""
        meeting = await self._store.readable(_code(request.parent), _caller())
        size = request.page_size or DEFAULT_PARTICIPANTS
        found = await self._store.participants(
            meeting.id,
            paging.moment_and_id(request.page_token),
            size + 1,
            with_left=request.show_left,
        )
        token = _token(found[size - 1].join_time, found[size - 1].id) if len(found) > size else ""
        shown = [participant_proto(participant) for participant in found[:size]]
        return meeting_pb2.ListParticipantsResponse(participants=shown, next_page_token=token)

    def _ice_servers(self, participant: Participant) -> list[meeting_pb2.IceServer]:
        if self._turn is None:
            return self._ice
        return [*self._ice, self._turn.server(str(participant.id), self._clock.now())]

    async def _admitted(
        self,
        transaction: MeetingTransaction,
        request: meeting_pb2.JoinMeetingRequest,
        user_id: UUID,
    ) -> Participant:
        request_id = _request_id(request.request_id)
        before = request_id and await transaction.joined_before(user_id, request_id)
        if before:
            return before
        now = self._clock.now()
        present = await transaction.present()
        meeting = transaction.meeting
        role = admit(meeting, present, user_id, request.passcode, now, self._tickets.lifetime)
        participant = Participant(
            id=uuid4(),
            meeting_id=meeting.id,
            meeting_code=meeting.code,
            user_id=user_id,
            display_name=request.display_name.strip() or user_principal().display_name,
            role=role,
            state=ParticipantState.JOINING,
            join_time=now,
            consent=await transaction.latest_consent(user_id),
        )
        transaction.add(participant, request_id)
        self._reanalyse(transaction)
        return participant

    def _reanalyse(self, transaction: MeetingTransaction) -> None:
        """Who is here has changed, and with it whose speech is recognised."""
        meeting = transaction.meeting
        if meeting.settings.listens:
            transaction.change_meeting(meeting.reanalysed())
            self._telling.analysis_changed(meeting.code)


class PresenceServicer(meeting_pb2_grpc.PresenceServiceServicer):
    """Hears from signaling who has come and gone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ReportPresence(
        self, request: meeting_pb2.ReportPresenceRequest, context: Any
    ) -> meeting_pb2.ReportPresenceResponse:
        """Record that a participant has connected or has left."""
        now = self._clock.now()
        code = request.participant.split("/")[1]
        async with self._store.locked_meeting(code) as transaction:
            participant = await transaction.participant(_participant_id(request.participant))
            if request.state == meeting_pb2.PARTICIPANT_STATE_LEFT:
                await transaction.change(participant.left(now))
            else:
                transaction.change_meeting(transaction.meeting.started(now))
                await transaction.change(participant.connected(now))
            meeting = transaction.meeting
        _, count = await self._store.meeting(code)
        return meeting_pb2.ReportPresenceResponse(
            meeting=meeting_proto(meeting, count, meeting.host_id)
        )


def meeting_proto(meeting: Meeting, count: int, viewer: UUID) -> meeting_pb2.Meeting:
    """Show a meeting; its passcode only to the host."""
    shown = meeting_pb2.Meeting(
        name=meeting.name,
        title=meeting.title,
        description=meeting.description,
        host=f"users/{meeting.host_id}",
        state=STATES[meeting.state],
        passcode=meeting.passcode if viewer == meeting.host_id else "",
        passcode_required=bool(meeting.passcode),
        capacity=meeting.capacity,
        locked=meeting.locked,
        participant_count=count,
        etag=meeting.etag,
        voice_activity=meeting.voice_activity,
        end_to_end_encrypted=meeting.end_to_end_encrypted,
    )
    shown.create_time.FromDatetime(meeting.create_time)
    shown.update_time.FromDatetime(meeting.update_time)
    if meeting.start_time is not None:
        shown.start_time.FromDatetime(meeting.start_time)
    if meeting.end_time is not None:
        shown.end_time.FromDatetime(meeting.end_time)
    return shown


def participant_proto(participant: Participant) -> meeting_pb2.Participant:
    """Show a participant."""
    shown = meeting_pb2.Participant(
        name=participant.name,
        user=f"users/{participant.user_id}",
        display_name=participant.display_name,
        role=ROLES[participant.role],
        state=PARTICIPANT_STATES[participant.state],
    )
    shown.join_time.FromDatetime(participant.join_time)
    if participant.leave_time is not None:
        shown.leave_time.FromDatetime(participant.leave_time)
    return shown


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _code(name: str) -> str:
    return name.removeprefix("meetings/")


def _participant_id(name: str) -> UUID:
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise ParticipantNotFound(participant=name) from None


def _request_id(text: str) -> UUID | None:
    return UUID(text) if text else None


def _token(time: datetime, identifier: UUID) -> str:
    return paging.encode((time.isoformat(), str(identifier)))
