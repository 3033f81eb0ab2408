"""BreakoutService: small rooms beside a meeting, and who is in which."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import breakout_pb2, breakout_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting import audit
from services.meeting.breakouts.closing import close_all
from services.meeting.breakouts.news import changed, tell_moves
from services.meeting.breakouts.rules import (
    MAX_ROOMS,
    Breakout,
    BreakoutNotFound,
    Breakouts,
    TooManyBreakouts,
    opened,
    spread,
)
from services.meeting.breakouts.store import BreakoutStore, Openings
from services.meeting.domain import Meeting, Participant, ParticipantNotFound, ParticipantState
from services.meeting.permissions import check, may
from services.meeting.roles import Standing, standing_of
from services.meeting.room.events import tell_room
from services.meeting.room.herald import Herald
from services.meeting.shown import caller, code_of, participant_id_of
from services.meeting.store import MeetingTransaction, Store

_SHUFFLE = secrets.SystemRandom().shuffle


class BreakoutServicer(breakout_pb2_grpc.BreakoutServiceServicer):
    """Opens breakout rooms, moves people, and brings them back."""

    def __init__(
        self, store: Store, breakouts: BreakoutStore, herald: Herald, clock: Clock
    ) -> None:
        self._store = store
        self._breakouts = breakouts
        self._herald = herald
        self._clock = clock

    async def OpenBreakouts(
        self, request: breakout_pb2.OpenBreakoutsRequest, context: Any
    ) -> breakout_pb2.OpenBreakoutsResponse:
        """Open a meeting's breakout rooms, and move those who are assigned."""
        request_id = UUID(request.request_id) if request.request_id else None
        async with self._store.locked_meeting(code_of(request.parent)) as transaction:
            openings, meeting = Openings(transaction), transaction.meeting
            standing = await transaction.standing(caller())
            check(standing, "BreakoutService.OpenBreakouts", meeting)
            if request_id is not None:
                first = await openings.answer(caller(), request_id)
                if first is not None:
                    return breakout_pb2.OpenBreakoutsResponse.FromString(first)
            breakouts, rooms = await self._made(transaction, openings, request)
            answer = breakout_pb2.OpenBreakoutsResponse(breakouts=shown(meeting, breakouts))
            await openings.open(breakouts, rooms, caller(), request_id, answer.SerializeToString())
            transaction.change_meeting(replace(meeting, breakouts_open=True))
            event = audit.done(
                breakouts.now, caller(), "breakouts.open", meeting.name, rooms=str(len(rooms))
            )
            transaction.audit([event])
            tell_room(transaction, [changed(breakouts)], breakouts.now)
            await self._tell_moves(transaction, openings, breakouts, list(breakouts.moved))
        self._wake(meeting, breakouts)
        return answer

    async def ListBreakouts(
        self, request: breakout_pb2.ListBreakoutsRequest, context: Any
    ) -> breakout_pb2.ListBreakoutsResponse:
        """List the breakout rooms that are open."""
        code, method = code_of(request.parent), "BreakoutService.ListBreakouts"
        meeting, _ = await self._store.permitted(code, caller(), method)
        breakouts = await self._breakouts.current(meeting, self._clock.now())
        if breakouts is None:
            return breakout_pb2.ListBreakoutsResponse()
        return breakout_pb2.ListBreakoutsResponse(
            breakouts=shown(meeting, breakouts), free_movement=breakouts.free_movement
        )

    async def MoveParticipant(
        self, request: breakout_pb2.MoveParticipantRequest, context: Any
    ) -> breakout_pb2.MoveParticipantResponse:
        """Have somebody go to a breakout room, or back."""
        method, now = "BreakoutService.MoveParticipant", self._clock.now()
        identifier = participant_id_of(request.name)
        async with self._store.locked_meeting(code_of(request.name)) as transaction:
            openings, meeting = Openings(transaction), transaction.meeting
            breakouts = await openings.current(now)
            standing = await _standing(transaction, breakouts, caller())
            check(standing, method, meeting)
            meeting.check_open()
            if (person := (await openings.people([identifier])).get(identifier)) is None:
                raise ParticipantNotFound(participant=request.name)
            if person.user_id != caller():
                check(standing, f"{method}/others", meeting)
            wanted = _wanted(request, meeting, breakouts)
            if breakouts is None:
                return breakout_pb2.MoveParticipantResponse()
            as_host = may(standing, f"{method}/others")
            if breakouts.move(person, wanted, as_host=as_host):
                where = wanted.code if wanted else meeting.code
                event = audit.done(now, caller(), "participant.move", person.name, to=where)
                transaction.audit([event])
            await self._tell_moves(transaction, openings, breakouts, [person.user_id])
        self._wake(meeting, breakouts)
        return breakout_pb2.MoveParticipantResponse()

    async def CloseBreakouts(
        self, request: breakout_pb2.CloseBreakoutsRequest, context: Any
    ) -> breakout_pb2.CloseBreakoutsResponse:
        """Bring everyone back, now or after a notice."""
        now, notice = self._clock.now(), request.notice.ToTimedelta()
        told: list[UUID] = []
        async with self._store.locked_meeting(code_of(request.parent)) as transaction:
            openings, meeting = Openings(transaction), transaction.meeting
            breakouts = await openings.current(now)
            standing = await _standing(transaction, breakouts, caller())
            check(standing, "BreakoutService.CloseBreakouts", meeting)
            if breakouts is not None and (not notice or breakouts.warn(notice)):
                event = audit.done(now, caller(), "breakouts.close", meeting.name)
                transaction.audit([event])
                if not notice:
                    told = await close_all(transaction, now)
                else:
                    await openings.write(breakouts)
                    rooms = [transaction, *await openings.rooms(breakouts)]
                    for room in rooms:
                        tell_room(room, [changed(breakouts)], now)
                    told = [room.meeting.id for room in rooms]
        for each in told:
            self._herald.wake(each)
        return breakout_pb2.CloseBreakoutsResponse()

    async def _made(
        self,
        transaction: MeetingTransaction,
        openings: Openings,
        request: breakout_pb2.OpenBreakoutsRequest,
    ) -> tuple[Breakouts, list[Meeting]]:
        """Make the rooms that are wanted, with who belongs in each.

        Raises MeetingEnded, InBreakout, BreakoutsOpen, TooManyBreakouts, ParticipantNotFound, InvalidArgument.
        """
        meeting, now = transaction.meeting, self._clock.now()
        meetings, rooms = opened(meeting, _titles(request), now)
        if await openings.count() + len(rooms) > MAX_ROOMS:
            raise TooManyBreakouts(meeting=meeting.name, limit=str(MAX_ROOMS))
        lasts = request.duration.ToTimedelta() if request.HasField("duration") else None
        breakouts = Breakouts(
            uuid4(),
            rooms,
            (),
            free_movement=request.free_movement,
            close_time=None if lasts is None else now + lasts,
            now=now,
        )
        named = await _named(openings, request, meeting)
        is_random = request.assignment == breakout_pb2.BREAKOUT_ASSIGNMENT_RANDOM
        others = spread(meeting, await transaction.present()) if is_random else []
        breakouts.assign(named, others, _SHUFFLE)
        return breakouts, meetings

    async def _tell_moves(
        self,
        transaction: MeetingTransaction,
        openings: Openings,
        breakouts: Breakouts,
        users: Sequence[UUID],
    ) -> None:
        rooms = await openings.rooms(breakouts)
        await openings.write(breakouts)
        devices = await openings.devices(breakouts, users)
        tell_moves(transaction, rooms, breakouts, devices)

    def _wake(self, meeting: Meeting, breakouts: Breakouts) -> None:
        for each in (meeting.id, *(room.id for room in breakouts.rooms)):
            self._herald.wake(each)


def shown(meeting: Meeting, breakouts: Breakouts) -> list[breakout_pb2.Breakout]:
    """Show breakout rooms as the contract has them."""
    found = []
    for room in breakouts.rooms:
        each = breakout_pb2.Breakout(
            name=f"{meeting.name}/breakouts/{room.id}",
            title=room.title,
            meeting=f"meetings/{room.code}",
            participants=[f"{meeting.name}/participants/{e}" for e in breakouts.people_of(room)],
        )
        if breakouts.close_time is not None:
            each.close_time.FromDatetime(breakouts.close_time)
        found.append(each)
    return found


async def _standing(
    transaction: MeetingTransaction, breakouts: Breakouts | None, user_id: UUID
) -> Standing:
    """Tell how somebody stands to a meeting: who is in one of its breakout rooms, as they did when they went there."""
    standing = await transaction.standing(user_id)
    if standing is not Standing.FORMER or breakouts is None or not breakouts.room_of(user_id):
        return standing
    latest = await transaction.latest_of(user_id)
    if latest is None or latest.is_removed or latest.state is not ParticipantState.LEFT:
        return standing
    return standing_of(latest, transaction.meeting)


async def _named(
    openings: Openings, request: breakout_pb2.OpenBreakoutsRequest, meeting: Meeting
) -> list[list[Participant]]:
    """Find who is named for each room. Raises ParticipantNotFound, InvalidArgument."""
    prefix = f"{meeting.name}/participants/"
    named = [list(each.participants) for each in request.breakouts]
    if sum(map(len, named)) > meeting.capacity:
        raise InvalidArgument(fields={"breakouts": "more people than the meeting takes"})
    for name in (name for names in named for name in names):
        if not name.startswith(prefix):
            raise ParticipantNotFound(participant=name)
    ids = [[participant_id_of(name) for name in names] for names in named]
    people = await openings.people(each for some in ids for each in some)
    for each in (each for some in ids for each in some):
        if each not in people:
            raise ParticipantNotFound(participant=f"{prefix}{each}")
    return [[people[each] for each in some] for some in ids]


def _titles(request: breakout_pb2.OpenBreakoutsRequest) -> list[str]:
    titles = [" ".join(each.title.split()) for each in request.breakouts]
    for at, title in enumerate(titles):
        if not title:
            raise InvalidArgument(fields={f"breakouts[{at}].title": "it is empty"})
    return titles


def _wanted(
    request: breakout_pb2.MoveParticipantRequest, meeting: Meeting, breakouts: Breakouts | None
) -> Breakout | None:
    """Find where somebody is to go; None: back to the meeting. Raises BreakoutNotFound."""
    if not request.breakout:
        return None
    parent, _, identifier = request.breakout.rpartition("/breakouts/")
    try:
        wanted = UUID(identifier)
    except ValueError:
        raise BreakoutNotFound(breakout=request.breakout) from None
    if breakouts is None or parent != meeting.name:
        raise BreakoutNotFound(breakout=request.breakout)
    return breakouts.room(wanted)


__all__ = ["BreakoutServicer", "shown"]
