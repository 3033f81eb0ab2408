"""MeetingService: proto to domain and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting import audit
from services.meeting.desk import Desk
from services.meeting.domain import (
    DEFAULT_CAPACITY,
    Meeting,
    MeetingState,
    NotHost,
    ParticipantNotFound,
    new_code,
)
from services.meeting.gathering import Gathering
from services.meeting.gathering_store import Opened
from services.meeting.joining.admission import Admissions
from services.meeting.joining.door import Comer
from services.meeting.joining.guests import check_guests
from services.meeting.meeting_filter import MeetingFilter
from services.meeting.peers import Peers
from services.meeting.planning.invitation_letters import Occasion
from services.meeting.planning.mailroom import Mailroom
from services.meeting.planning.store import takes_place_again
from services.meeting.shown import (
    STATES,
    caller,
    code_of,
    meeting_proto,
    participant_id_of,
    participant_proto,
    token_of,
)
from services.meeting.store import Store

DEFAULT_MEETINGS = 20
DEFAULT_PARTICIPANTS = 100
CHANGEABLE = frozenset({"title", "description", "passcode", "capacity", "voice_activity"})
_DOMAIN_STATES = {value: state for state, value in STATES.items()}


class MeetingServicer(meeting_pb2_grpc.MeetingServiceServicer):
    """Makes meetings and decides who joins them."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        admissions: Admissions,
        peers: Peers,
        mailroom: Mailroom,
        clock: Clock,
    ) -> None:
        self._store = store
        self._desk = desk
        self._admissions = admissions
        self._peers = peers
        self._mailroom = mailroom
        self._clock = clock

    async def CreateMeeting(
        self, request: meeting_pb2.CreateMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Make a meeting whose host is the caller."""
        host = caller()
        meeting = new_meeting(request.meeting, host, self._clock.now())
        kept = await self._store.add_meeting(meeting, _request_id(request.request_id))
        return meeting_proto(kept, 0, host)

    async def GetMeeting(
        self, request: meeting_pb2.GetMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Read a meeting."""
        meeting, count = await self._store.meeting(code_of(request.name))
        return meeting_proto(meeting, count, caller())

    async def ListMeetings(
        self, request: meeting_pb2.ListMeetingsRequest, context: Any
    ) -> meeting_pb2.ListMeetingsResponse:
        """List the caller's meetings, newest first."""
        wanted = MeetingFilter(state=_DOMAIN_STATES.get(request.state))
        shown, token = await self._page(wanted, request.page_size, request.page_token)
        return meeting_pb2.ListMeetingsResponse(meetings=shown, next_page_token=token)

    async def SearchMeetings(
        self, request: meeting_pb2.SearchMeetingsRequest, context: Any
    ) -> meeting_pb2.SearchMeetingsResponse:
        """Search the caller's meetings, newest first."""
        wanted = MeetingFilter.of(request, _DOMAIN_STATES.get(request.state))
        shown, token = await self._page(wanted, request.page_size, request.page_token)
        return meeting_pb2.SearchMeetingsResponse(meetings=shown, next_page_token=token)

    async def UpdateMeeting(
        self, request: meeting_pb2.UpdateMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Change what hosts may change of a meeting."""
        wanted, values = request.meeting, _changes(request)
        code = code_of(wanted.name)
        async with self._desk.opened(code, "MeetingService.UpdateMeeting") as opened:
            gathering = opened.gathering
            gathering.meeting.check_open(wanted.etag)
            gathering.meeting = gathering.meeting.changed(gathering.now, **values)
        return _shown(gathering)

    async def CancelMeeting(
        self, request: meeting_pb2.CancelMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Call a meeting off."""
        method = "MeetingService.CancelMeeting"
        async with self._desk.opened(code_of(request.name), method) as opened:
            gathering = opened.gathering
            gathering.close(gathering.meeting.cancelled(gathering.now))
            _note(opened, "meeting.cancel")
            if gathering.meeting != opened.transaction.meeting:
                opened.transaction.change_meeting(gathering.meeting)
                name = user_principal().display_name
                called_off = Occasion.CALLED_OFF
                await self._mailroom.tell_all(opened.transaction, called_off, name, gathering.now)
        self._mailroom.wake()
        return _shown(gathering)

    async def DeleteMeeting(
        self, request: meeting_pb2.DeleteMeetingRequest, context: Any
    ) -> meeting_pb2.DeleteMeetingResponse:
        """Delete a meeting that is over, with all that is kept of it."""
        code = code_of(request.name)
        await self._store.permitted(code, caller(), "MeetingService.DeleteMeeting")
        async with self._store.locked_meeting(code) as transaction:
            transaction.meeting.check_deletable()
            now = self._clock.now()
            transaction.audit([audit.done(now, caller(), "meeting.delete", request.name)])
            await transaction.delete_meeting()
        return meeting_pb2.DeleteMeetingResponse()

    async def LockMeeting(
        self, request: meeting_pb2.LockMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Let nobody new in but hosts."""
        return await self._lock(request.name, "MeetingService.LockMeeting", locked=True)

    async def UnlockMeeting(
        self, request: meeting_pb2.UnlockMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """Let people in again."""
        return await self._lock(request.name, "MeetingService.UnlockMeeting", locked=False)

    async def JoinMeeting(
        self, request: meeting_pb2.JoinMeetingRequest, context: Any
    ) -> meeting_pb2.JoinMeetingResponse:
        """Let the caller in, if the rules do, and hand out a ticket; or have them wait."""
        comer = Comer(
            user_id=caller(),
            display_name=request.display_name.strip() or user_principal().display_name,
            passcode=request.passcode,
            request_id=_request_id(request.request_id),
        )
        code = code_of(request.name)
        async with self._desk.opened_at_the_door(code, comer) as (opened, seen):
            gathering = opened.gathering
            check_guests(gathering.meeting, is_guest=user_principal().is_guest)
            if (participant := seen.before) is not None:
                participant = gathering.people.get(participant.id, participant)
            else:
                known = set(gathering.people)
                participant = gathering.join(seen.caller)
                if participant.id not in known:
                    opened.request_ids[participant.id] = comer.request_id
        return self._admissions.answer(
            gathering.meeting, gathering.connected, participant, comer.user_id
        )

    async def LeaveMeeting(
        self, request: meeting_pb2.LeaveMeetingRequest, context: Any
    ) -> meeting_pb2.LeaveMeetingResponse:
        """Take the caller's participants out, or the one that is named."""
        named = participant_id_of(request.participant) if request.participant else None
        async with self._desk.opened(code_of(request.name), participant_id=named) as opened:
            gathering = opened.gathering
            if named is not None:
                mine = [gathering.person(named)]
            else:
                mine = [e for e in gathering.people.values() if e.user_id == caller()]
            if any(participant.user_id != caller() for participant in mine):
                raise ParticipantNotFound(participant=request.participant)
            for participant in mine:
                gathering.leave(participant.id)
        for participant in mine:
            if participant.is_here:
                await self._peers.participant_left(request.name, participant.name)
        return meeting_pb2.LeaveMeetingResponse()

    async def EndMeeting(
        self, request: meeting_pb2.EndMeetingRequest, context: Any
    ) -> meeting_pb2.Meeting:
        """End a meeting for everyone: for now, where it takes place again and it is not to be for good."""
        method = "MeetingService.EndMeeting"
        async with self._desk.opened(code_of(request.name), method) as opened:
            gathering = opened.gathering
            again = await takes_place_again(opened.transaction, gathering.now)
            if again and request.for_good and caller() != gathering.meeting.host_id:
                raise NotHost(text="Only the host may end all times of a meeting.")
            gathering.end(again=again and not request.for_good)
        return _shown(gathering)

    async def ListParticipants(
        self, request: meeting_pb2.ListParticipantsRequest, context: Any
    ) -> meeting_pb2.ListParticipantsResponse:
        """List who is in a meeting, in order of joining."""
        method = "MeetingService.ListParticipants"
        if request.show_waiting:
            method = "ParticipantService.AdmitParticipant"
        meeting, _ = await self._store.permitted(code_of(request.parent), caller(), method)
        size = request.page_size or DEFAULT_PARTICIPANTS
        found = await self._store.participants(
            meeting.id,
            paging.moment_and_id(request.page_token),
            size + 1,
            with_left=request.show_left,
            waiting=request.show_waiting,
        )
        token = token_of(found[size - 1].join_time, found[size - 1].id) if len(found) > size else ""
        shown = [participant_proto(participant, meeting) for participant in found[:size]]
        return meeting_pb2.ListParticipantsResponse(participants=shown, next_page_token=token)

    async def _page(
        self, wanted: MeetingFilter, page_size: int, page_token: str
    ) -> tuple[list[meeting_pb2.Meeting], str]:
        size, viewer = page_size or DEFAULT_MEETINGS, caller()
        before = paging.moment_and_id(page_token)
        found = await self._store.meetings_of(viewer, before, size + 1, wanted)
        token = ""
        if len(found) > size:
            last, _ = found[size - 1]
            token = token_of(last.create_time, last.id)
        return [meeting_proto(meeting, count, viewer) for meeting, count in found[:size]], token

    async def _lock(self, name: str, method: str, *, locked: bool) -> meeting_pb2.Meeting:
        async with self._desk.opened(code_of(name), method) as opened:
            gathering = opened.gathering
            gathering.meeting.check_open()
            gathering.meeting = gathering.meeting.changed(gathering.now, locked=locked)
            _note(opened, "meeting.lock" if locked else "meeting.unlock")
        return _shown(gathering)


def new_meeting(wanted: meeting_pb2.Meeting, host: UUID, now: datetime) -> Meeting:
    """Make a meeting of what its host wants. Raises InvalidArgument."""
    _check_title(wanted.title)
    listens = wanted.voice_activity if wanted.HasField("voice_activity") else True
    return Meeting(
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


def _shown(gathering: Gathering) -> meeting_pb2.Meeting:
    return meeting_proto(gathering.meeting, gathering.connected, caller())


def _note(opened: Opened, action: str) -> None:
    """Have it audited, if it changes the meeting."""
    gathering = opened.gathering
    if gathering.meeting != opened.transaction.meeting:
        event = audit.done(gathering.now, caller(), action, gathering.meeting.name)
        opened.transaction.audit([event])


def _changes(request: meeting_pb2.UpdateMeetingRequest) -> dict[str, Any]:
    """Read what is to be changed: the fields of the mask, else those that are set. Raises InvalidArgument."""
    wanted, paths = request.meeting, frozenset(request.update_mask.paths)
    if not paths:
        paths = CHANGEABLE & {field.name for field, _ in wanted.ListFields()}
    if unknown := sorted(paths - CHANGEABLE):
        raise InvalidArgument(fields={"update_mask": f"{', '.join(unknown)} can't be changed"})
    if not paths:
        raise InvalidArgument(fields={"meeting": "nothing to change"})
    values = {path: getattr(wanted, path) for path in paths}
    if "title" in paths:
        _check_title(wanted.title)
    if "capacity" in paths:
        values["capacity"] = wanted.capacity or DEFAULT_CAPACITY
    if "voice_activity" in paths and not wanted.HasField("voice_activity"):
        values["voice_activity"] = True
    return values


def _check_title(title: str) -> None:
    if not title.strip():
        raise InvalidArgument(fields={"meeting.title": "must not be empty"})


def _request_id(text: str) -> UUID | None:
    return UUID(text) if text else None


__all__ = ["MeetingServicer", "new_meeting"]
