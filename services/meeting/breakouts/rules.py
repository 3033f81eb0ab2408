"""Breakout rooms, and where each account belongs while they are open. Pure.

A breakout room is a meeting of its own that names the one it belongs to (ADR 20). A seat says where an account belongs: in
one of the rooms, or in the meeting. Who has no seat belongs in the meeting. When the rooms are closed everyone does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from chassis.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from services.meeting.domain import Meeting, MeetingState, NotHost, Participant, new_code
from services.meeting.roles import granted
from services.meeting.settings import HOST_LEAVES_HAND_OVER

MAX_ROOMS = 500
"""How many breakout rooms a meeting may have had in all."""
STRAY = timedelta(seconds=20)
"""How long somebody may stay in a room where they don't belong any more: their client is on its way."""
RETURN = timedelta(minutes=5)
"""How long after a move back the way back is open, whatever the lock and the passcode."""


class BreakoutNotFound(NotFound):
    """There is no such breakout room, or it is closed. List those that are open."""

    reason = "BREAKOUT_NOT_FOUND"
    message = "There is no such breakout room."


class BreakoutsOpen(FailedPrecondition):
    """The meeting has breakout rooms already. Move people between them, or close them first."""

    reason = "BREAKOUTS_OPEN"
    message = "Breakout rooms are open already."


class InBreakout(FailedPrecondition):
    """The meeting is a breakout room itself, which has none. Open them in the meeting that it belongs to."""

    reason = "IN_BREAKOUT"
    message = "A breakout room has no breakout rooms."


class TooManyBreakouts(ResourceExhausted):
    """The meeting has had as many breakout rooms as one may have. Start another meeting."""

    reason = "TOO_MANY_BREAKOUTS"
    message = "This meeting has had as many breakout rooms as it may have."


@dataclass(frozen=True, slots=True)
class Breakout:
    """A breakout room: `id` and `code` are those of the meeting that it is."""

    id: UUID
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an account belongs (None: in the meeting), since when, and by which of its participants hosts know it."""

    user_id: UUID
    participant_id: UUID
    breakout_id: UUID | None
    move_time: datetime

    def may_return(self, now: datetime) -> bool:
        """Tell whether the way back to the meeting is open."""
        return self.breakout_id is not None or now < self.move_time + RETURN


class Breakouts:
    """A meeting's breakout rooms that are open, in order, and who belongs where, at a time.

    `moved` are the seats that have changed; `is_closed` tells whether they are open no more.
    """

    def __init__(
        self,
        opening_id: UUID,
        rooms: Sequence[Breakout],
        seats: Iterable[Seat],
        *,
        free_movement: bool,
        close_time: datetime | None,
        now: datetime,
    ) -> None:
        self.opening_id = opening_id
        self.rooms = tuple(rooms)
        self.seats = {each.user_id: each for each in seats}
        self.free_movement = free_movement
        self.close_time = close_time
        self.now = now
        self.moved: dict[UUID, Seat] = {}
        self.is_closed = False

    def room_of(self, user_id: UUID) -> Breakout | None:
        """Find where an account belongs; None: in the meeting."""
        seat = self.seats.get(user_id)
        return next((each for each in self.rooms if seat and each.id == seat.breakout_id), None)

    def room(self, breakout_id: UUID) -> Breakout:
        """Find a room. Raises BreakoutNotFound."""
        for each in self.rooms:
            if each.id == breakout_id:
                return each
        raise BreakoutNotFound

    def people_of(self, breakout: Breakout) -> list[UUID]:
        """List the participants who belong in a room, as the meeting knows them."""
        seats = (each for each in self.seats.values() if each.breakout_id == breakout.id)
        return sorted(each.participant_id for each in seats)

    def assign(
        self,
        named: Sequence[Sequence[Participant]],
        others: Iterable[Participant],
        shuffle: Callable[[list[Participant]], None],
    ) -> None:
        """Give those who are named, room by room, their seats; spread the others evenly, as shuffled.

        Raises InvalidArgument where an account is named for two rooms.
        """
        for room, people in zip(self.rooms, named, strict=True):
            for person in people:
                if self.room_of(person.user_id) not in (None, room):
                    where = {"breakouts": f"{person.name} is named twice"}
                    raise InvalidArgument(fields=where)
                self._seat(person, room)
        left = {e.user_id: e for e in others if self.room_of(e.user_id) is None}
        people = list(left.values())
        shuffle(people)
        for person in people:
            self._seat(person, min(self.rooms, key=lambda each: len(self.people_of(each))))

    def move(self, person: Participant, breakout: Breakout | None, *, as_host: bool) -> bool:
        """Have somebody belong elsewhere; tells whether they did not before. Raises NotHost."""
        if not as_host and not self.free_movement:
            raise NotHost(text="Only hosts move people between these rooms.")
        if self.room_of(person.user_id) == breakout:
            return False
        self._seat(person, breakout)
        return True

    def warn(self, notice: timedelta) -> bool:
        """Have them close after a notice, if they would not sooner; tells whether that is news."""
        wanted = self.now + notice
        if self.close_time is not None and self.close_time <= wanted:
            return False
        self.close_time = wanted
        return True

    def close(self) -> None:
        """Have everybody belong in the meeting again."""
        self.is_closed = True
        for each in list(self.seats.values()):
            if each.breakout_id is not None:
                seat = replace(each, breakout_id=None, move_time=self.now)
                self.seats[each.user_id] = self.moved[each.user_id] = seat

    def _seat(self, person: Participant, breakout: Breakout | None) -> None:
        where = breakout.id if breakout else None
        seat = Seat(person.user_id, person.id, where, self.now)
        self.seats[person.user_id] = self.moved[person.user_id] = seat


def opened(
    meeting: Meeting, titles: Sequence[str], now: datetime
) -> tuple[list[Meeting], list[Breakout]]:
    """Make a meeting's breakout rooms, as meetings. Raises MeetingEnded, InBreakout, BreakoutsOpen."""
    meeting.check_open()
    if meeting.parent_id is not None:
        raise InBreakout(meeting=meeting.name)
    if meeting.breakouts_open:
        raise BreakoutsOpen(meeting=meeting.name)
    rooms = [_room(meeting, title, now) for title in titles]
    return rooms, [Breakout(each.id, each.code, each.title) for each in rooms]


def spread(meeting: Meeting, people: Iterable[Participant]) -> list[Participant]:
    """List who is spread over rooms when nobody says where they go: all who are here but those who run the meeting."""
    return [e for e in people if e.is_here and not granted(e, meeting).administer]


def _room(meeting: Meeting, title: str, now: datetime) -> Meeting:
    return replace(
        meeting,
        id=uuid4(),
        code=new_code(),
        title=title,
        description="",
        state=MeetingState.SCHEDULED,
        passcode="",
        locked=False,
        create_time=now,
        update_time=now,
        start_time=None,
        end_time=None,
        revision=1,
        analysis_revision=0,
        settings=replace(
            meeting.settings,
            lobby=False,
            mute_on_entry=False,
            host_leave_policy=HOST_LEAVES_HAND_OVER,
        ),
        host_away_time=None,
        parent_id=meeting.id,
        parent_code=meeting.code,
    )


__all__ = [
    "MAX_ROOMS",
    "RETURN",
    "STRAY",
    "Breakout",
    "BreakoutNotFound",
    "Breakouts",
    "BreakoutsOpen",
    "InBreakout",
    "Seat",
    "TooManyBreakouts",
    "opened",
    "spread",
]
