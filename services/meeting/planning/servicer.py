"""ScheduleService: proto to domain and back."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.timestamp_pb2 import Timestamp
from parley.meeting.v1 import schedule_pb2, schedule_pb2_grpc

from chassis import headers, paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from chassis.idempotency import Answers
from chassis.languages import preferred_language
from services.meeting import audit
from services.meeting.permissions import check
from services.meeting.planning import calendar_file
from services.meeting.planning.invitation import (
    Invitation,
    InvitationNotFound,
    InvitationState,
    distinct,
)
from services.meeting.planning.invitation_letters import Occasion
from services.meeting.planning.invitation_store import Invitations, InvitationStore
from services.meeting.planning.mailroom import Mailroom
from services.meeting.planning.schedule import (
    NotScheduled,
    Plan,
    Schedule,
    Scheduled,
    instant,
    plan_of,
    window,
)
from services.meeting.planning.store import ScheduleStore, reschedule, schedule_in
from services.meeting.records.report import TimeRangeInvalid
from services.meeting.servicer import new_meeting
from services.meeting.shown import caller, code_of, meeting_proto, token_of
from services.meeting.store import MeetingTransaction, Store

DEFAULT_PAGE = 20
FEED_NAME = "Parley"
STATES = {
    InvitationState.PENDING: schedule_pb2.INVITATION_STATE_PENDING,
    InvitationState.SENT: schedule_pb2.INVITATION_STATE_SENT,
    InvitationState.FAILED: schedule_pb2.INVITATION_STATE_FAILED,
}
Start = tuple[datetime, UUID, Scheduled]


class ScheduleServicer(schedule_pb2_grpc.ScheduleServiceServicer):
    """Plans meetings and invites to them."""

    def __init__(
        self,
        store: Store,
        schedules: ScheduleStore,
        invitations: InvitationStore,
        mailroom: Mailroom,
        answers: Answers,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._store = store
        self._schedules = schedules
        self._invitations = invitations
        self._mailroom = mailroom
        self._answers = answers
        self._public_url = public_url
        self._clock = clock

    async def ScheduleMeeting(
        self, request: schedule_pb2.ScheduleMeetingRequest, context: Any
    ) -> schedule_pb2.ScheduleMeetingResponse:
        """Make a meeting for a time to come."""
        now, host = self._clock.now(), caller()
        meeting = new_meeting(request.meeting, host, now)
        plan = await asyncio.to_thread(_plan, request.schedule, now)
        schedule = Schedule(meeting.id, plan, now)
        request_id = UUID(request.request_id) if request.request_id else None
        made = await self._schedules.add(meeting, schedule, request_id, now)
        return schedule_pb2.ScheduleMeetingResponse(
            meeting=meeting_proto(made.meeting, 0, host), schedule=schedule_proto(made)
        )

    async def GetSchedule(
        self, request: schedule_pb2.GetScheduleRequest, context: Any
    ) -> schedule_pb2.Schedule:
        """Read when a meeting is."""
        return schedule_proto(await self._schedules.get(code_of(request.name)))

    async def UpdateSchedule(
        self, request: schedule_pb2.UpdateScheduleRequest, context: Any
    ) -> schedule_pb2.Schedule:
        """Move a meeting, and tell those invited."""
        now, wanted = self._clock.now(), request.schedule
        async with self._store.locked_meeting(code_of(wanted.name)) as transaction:
            await _check(transaction, "UpdateSchedule")
            transaction.meeting.check_open()
            if (before := await schedule_in(transaction)) is None:
                raise NotScheduled(meeting=transaction.meeting.name)
            plan = await asyncio.to_thread(_plan, wanted, now)
            schedule = before.schedule.changed(plan, wanted.etag, now)
            if schedule is not before.schedule:
                await reschedule(transaction, schedule)
                told = await self._mailroom.tell_all(
                    transaction, Occasion.MOVED, _caller_name(), now
                )
                await Invitations(transaction).spend(caller(), len(told), now)
        self._mailroom.wake()
        return schedule_proto(Scheduled(transaction.meeting, schedule))

    async def ListOccurrences(
        self, request: schedule_pb2.ListOccurrencesRequest, context: Any
    ) -> schedule_pb2.ListOccurrencesResponse:
        """List the times of the caller's meetings, or of one that they know the code of, earliest first."""
        size = request.page_size or DEFAULT_PAGE
        after, since, before = self._window(request)
        if request.meeting:
            found = [await self._schedules.get(code_of(request.meeting))]
        else:
            found = await self._schedules.between(caller(), since, before)
        page = await asyncio.to_thread(_page, found, since, before, after, size + 1)
        token = ""
        if len(page) > size:
            start, identifier, _ = page[size - 1]
            ends = (since.isoformat(), before.isoformat())
            token = paging.encode((start.isoformat(), str(identifier), *ends))
        shown = [_occurrence(start, each) for start, _, each in page[:size]]
        return schedule_pb2.ListOccurrencesResponse(occurrences=shown, next_page_token=token)

    async def GetCalendarFile(
        self, request: schedule_pb2.GetCalendarFileRequest, context: Any
    ) -> HttpBody:
        """Give a meeting as an iCalendar file."""
        scheduled = await self._schedules.get(code_of(request.name))
        data = calendar_file.calendar([scheduled], self._public_url)
        saved = f'attachment; filename="meeting-{scheduled.meeting.code}.ics"'
        return _body(data, ("content-disposition", saved))

    async def CreateCalendarFeed(
        self, request: schedule_pb2.CreateCalendarFeedRequest, context: Any
    ) -> schedule_pb2.CreateCalendarFeedResponse:
        """Make the address of the caller's feed; an earlier one stops working."""
        now, kind = self._clock.now(), schedule_pb2.CreateCalendarFeedResponse
        event = audit.done(now, caller(), "calendar_feed.create", f"users/{caller()}")
        async with self._answers.once("CreateCalendarFeed", request, kind) as turn:
            if (answer := turn.answer) is None:
                name = f"calendarFeeds/{await self._schedules.renew_feed(caller(), now, event)}"
                uri = f"{self._public_url.rstrip('/')}/api/v1/{name}/calendar.ics"
                answer = turn.answer = kind(uri=uri, name=name)
        return answer

    async def GetCalendarFeed(
        self, request: schedule_pb2.GetCalendarFeedRequest, context: Any
    ) -> HttpBody:
        """Give a feed to whoever knows its secret."""
        secret = request.name.rpartition("/")[2]
        found = await self._schedules.feed(secret, self._clock.now())
        data = await asyncio.to_thread(calendar_file.calendar, found, self._public_url, FEED_NAME)
        return _body(data, ("cache-control", "private, max-age=300"))

    async def CreateInvitations(
        self, request: schedule_pb2.CreateInvitationsRequest, context: Any
    ) -> schedule_pb2.CreateInvitationsResponse:
        """Invite people by mail."""
        now, language = self._clock.now(), _language(context)
        async with self._store.locked_meeting(code_of(request.parent)) as transaction:
            await _check(transaction, "CreateInvitations")
            transaction.meeting.check_open()
            invitations = Invitations(transaction)
            known = {each.email.lower(): each for each in await invitations.all()}
            new = [each for each in distinct(list(request.emails)) if each.lower() not in known]
            added = await invitations.add(new, language, request.message, now)
            await invitations.spend(caller(), len(added), now)
            writer = await self._mailroom.writer(transaction, _caller_name(), now)
            for each, letter in await self._mailroom.written(writer, Occasion.INVITED, added):
                invitations.send(each, letter, now)
            if added:
                event = audit.done(now, caller(), "invitation.create", transaction.meeting.name)
                transaction.audit([event])
        self._mailroom.wake()
        known |= {each.email.lower(): each for each in added}
        shown = [invitation_proto(known[email.lower()]) for email in request.emails]
        return schedule_pb2.CreateInvitationsResponse(invitations=shown)

    async def ListInvitations(
        self, request: schedule_pb2.ListInvitationsRequest, context: Any
    ) -> schedule_pb2.ListInvitationsResponse:
        """List whom a meeting's hosts have invited, oldest first."""
        method = "ScheduleService.ListInvitations"
        meeting, _ = await self._store.permitted(code_of(request.parent), caller(), method)
        size = request.page_size or DEFAULT_PAGE
        after = paging.moment_and_id(request.page_token)
        found = await self._invitations.page(meeting, after, size + 1)
        token = ""
        if len(found) > size:
            token = token_of(found[size - 1].create_time, found[size - 1].id)
        shown = map(invitation_proto, found[:size])
        return schedule_pb2.ListInvitationsResponse(invitations=shown, next_page_token=token)

    async def DeleteInvitation(
        self, request: schedule_pb2.DeleteInvitationRequest, context: Any
    ) -> schedule_pb2.DeleteInvitationResponse:
        """Take an invitation back, and tell whom it was for, if they know of it."""
        now, identifier = self._clock.now(), _id(request.name)
        async with self._store.locked_meeting(code_of(request.name)) as transaction:
            await _check(transaction, "DeleteInvitation")
            invitations = Invitations(transaction)
            gone = await invitations.take_back(identifier)
            is_known = gone.state is not InvitationState.FAILED
            is_known &= gone.id not in await invitations.recall([gone])
            if is_known and not transaction.meeting.is_over:
                writer = await self._mailroom.writer(transaction, _caller_name(), now)
                letter = writer.letter(Occasion.TAKEN_BACK, gone.email, gone.language)
                invitations.send(gone, letter, now)
            event = audit.done(now, caller(), "invitation.delete", transaction.meeting.name)
            transaction.audit([event])
        self._mailroom.wake()
        return schedule_pb2.DeleteInvitationResponse()

    def _window(
        self, request: schedule_pb2.ListOccurrencesRequest
    ) -> tuple[tuple[datetime, UUID] | None, datetime, datetime]:
        """Read after what, from when and before when to list. Raises PageTokenInvalid, TimeRangeInvalid."""
        if values := paging.decode(request.page_token):
            return _continued(values)
        start, end = (
            _asked(getattr(request, name)) if request.HasField(name) else None
            for name in ("start_time", "end_time")
        )
        return None, *window(start, end, self._clock.now())


def schedule_proto(scheduled: Scheduled) -> schedule_pb2.Schedule:
    """Show when a meeting is."""
    plan = scheduled.schedule.plan
    shown = schedule_pb2.Schedule(
        name=f"{scheduled.meeting.name}/schedule",
        time_zone=plan.time_zone,
        recurrence=plan.recurrence,
        etag=scheduled.schedule.etag,
    )
    shown.start_time.FromDatetime(plan.start_time)
    shown.duration.FromTimedelta(plan.duration)
    for each in plan.exceptions:
        shown.exceptions.add().FromDatetime(instant(each, plan.zone))
    return shown


def invitation_proto(invitation: Invitation) -> schedule_pb2.Invitation:
    """Show an invitation."""
    state = STATES[invitation.state]
    shown = schedule_pb2.Invitation(name=invitation.name, email=invitation.email, state=state)
    shown.create_time.FromDatetime(invitation.create_time)
    return shown


async def _check(transaction: MeetingTransaction, method: str) -> None:
    """See that the caller may. Raises NotHost."""
    standing = await transaction.standing(caller())
    check(standing, f"ScheduleService.{method}", transaction.meeting)


def _body(data: bytes, *said: headers.Header) -> HttpBody:
    headers.say(*said)
    return HttpBody(content_type=calendar_file.CONTENT_TYPE, data=data)


def _plan(wanted: schedule_pb2.Schedule, now: datetime) -> Plan:
    """Read a plan. Raises TimeZoneUnknown, RecurrenceInvalid, InvalidArgument."""
    duration = wanted.duration.ToTimedelta() if wanted.HasField("duration") else None
    times = [_time(each) for each in (wanted.start_time, *wanted.exceptions)]
    return plan_of(times[0], duration, wanted.time_zone, wanted.recurrence, times[1:], now)


def _page(
    found: list[Scheduled],
    since: datetime,
    before: datetime,
    after: tuple[datetime, UUID] | None,
    size: int,
) -> list[Start]:
    """List the first times within a window of some meetings, or those after another, earliest first."""
    every = heapq.merge(*(_starts(each, since, before) for each in found), key=_key)
    return [*islice((each for each in every if after is None or _key(each) > after), size)]


def _starts(each: Scheduled, since: datetime, before: datetime) -> Iterator[Start]:
    return ((start, each.meeting.id, each) for start in each.starts(since, before))


def _key(start: Start) -> tuple[datetime, UUID]:
    return start[0], start[1]


def _occurrence(start: datetime, each: Scheduled) -> schedule_pb2.Occurrence:
    shown = schedule_pb2.Occurrence(meeting=each.meeting.name, title=each.meeting.title)
    shown.start_time.FromDatetime(start)
    shown.end_time.FromDatetime(start + each.schedule.plan.duration)
    return shown


def _continued(values: tuple[str, ...]) -> tuple[tuple[datetime, UUID], datetime, datetime]:
    """Read a page token: the last time of the page before, and the window, which stays. Raises PageTokenInvalid."""
    try:
        start, identifier, since, before = values
        after = datetime.fromisoformat(start), UUID(identifier)
        ends = datetime.fromisoformat(since), datetime.fromisoformat(before)
        if after[0].tzinfo is None:
            raise ValueError
        first, last = window(*ends, ends[0])
    except (ValueError, TypeError, TimeRangeInvalid):
        raise paging.PageTokenInvalid from None
    return after, max(first, after[0]), last


def _time(timestamp: Timestamp) -> datetime:
    """Read a time. Raises InvalidArgument."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument(fields={"schedule": "it has what is no time"}) from None


def _asked(timestamp: Timestamp) -> datetime:
    """Read a time of a window. Raises TimeRangeInvalid."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise TimeRangeInvalid from None


def _id(name: str) -> UUID:
    """Cut the id out of an invitation's name. Raises InvitationNotFound."""
    try:
        return UUID(name.rpartition("/")[2])
    except ValueError:
        raise InvitationNotFound(invitation=name) from None


def _caller_name() -> str:
    return user_principal().display_name


def _language(context: Any) -> str:
    metadata = dict(context.invocation_metadata() or ())
    return preferred_language(str(metadata.get("accept-language", "")))


__all__ = ["ScheduleServicer", "invitation_proto", "schedule_proto"]
