"""Breakout rooms: who is assigned where, and that everyone is in one room at a time, whatever is done in whatever order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chassis.errors import InvalidArgument
from services.meeting.breakouts.rules import (
    Breakout,
    BreakoutNotFound,
    Breakouts,
    BreakoutsOpen,
    InBreakout,
    opened,
    spread,
)
from services.meeting.domain import (
    MeetingEnded,
    MeetingFull,
    MeetingLocked,
    MeetingState,
    NotHost,
    Participant,
    ParticipantRole,
    ParticipantState,
    WrongPasscode,
)
from services.meeting.gathering import HOST_AWAY, Gathering
from services.meeting.grants import Grants
from services.meeting.joining.lobby import Banned, Caller, NotAssigned, check_door, role_at_the_door
from services.meeting.settings import HOST_LEAVES_END, Settings
from tests.gatherings import TICKET, Room
from tests.meetings import HOST, NOW, a_meeting

USERS = [UUID(int=number) for number in range(2, 8)]


def somebody(user: UUID | None = None, **values: object) -> Participant:
    made = Participant(
        id=uuid4(),
        meeting_id=UUID(int=99),
        meeting_code="abc-defg-hij",
        user_id=user or uuid4(),
        display_name="Bob",
        role=ParticipantRole.PARTICIPANT,
        state=ParticipantState.CONNECTED,
        join_time=NOW,
        admit_time=NOW,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # replace() takes any field


def some_rooms(count: int = 3) -> list[Breakout]:
    return [Breakout(UUID(int=100 + at), f"aaa-bbbb-cc{'abc'[at]}", f"{at}") for at in range(count)]


def breakouts(count: int = 3, *, free: bool = False) -> Breakouts:
    return Breakouts(
        UUID(int=50), some_rooms(count), (), free_movement=free, close_time=None, now=NOW
    )


def sizes(them: Breakouts) -> list[int]:
    return [len(them.people_of(each)) for each in them.rooms]


def test_rooms_are_meetings_as_theirs_is_set_without_its_doors() -> None:
    configured = Settings(
        lobby=True, mute_on_entry=True, captions=True, host_leave_policy=HOST_LEAVES_END
    )
    meeting = a_meeting(passcode="secret", locked=True, settings=configured, capacity=7)
    (room,), (breakout,) = opened(meeting, ["One"], NOW)
    assert (room.title, room.host_id, room.capacity) == ("One", HOST, 7)
    assert (room.passcode, room.locked, room.settings.lobby) == ("", False, False)
    assert room.settings.captions
    assert not room.settings.mute_on_entry
    assert room.settings.host_leave_policy != HOST_LEAVES_END
    assert (room.parent_id, room.parent_code) == (meeting.id, meeting.code)
    assert (breakout.id, breakout.code) == (room.id, room.code) != (meeting.id, meeting.code)
    assert room.state is MeetingState.SCHEDULED


def test_there_is_one_set_of_rooms_in_a_meeting_that_goes_on() -> None:
    with pytest.raises(BreakoutsOpen):
        opened(a_meeting(breakouts_open=True), ["One"], NOW)
    with pytest.raises(InBreakout):
        opened(a_meeting(parent_id=uuid4()), ["One"], NOW)
    with pytest.raises(MeetingEnded):
        opened(a_meeting(state=MeetingState.ENDED), ["One"], NOW)


def test_who_is_not_named_is_spread_evenly_beside_who_is() -> None:
    named, others = [somebody() for _ in range(3)], [somebody() for _ in range(6)]
    phone = somebody(others[0].user_id)
    them = breakouts()
    them.assign([named, [], []], [*others, phone], lambda people: people.reverse())
    assert sizes(them) == [3, 3, 3]
    assert set(them.people_of(them.rooms[0])) == {each.id for each in named}


def test_an_account_is_named_for_one_room() -> None:
    ann = somebody()
    phone = somebody(ann.user_id)
    breakouts().assign([[ann, phone], [], []], [], lambda _: None)
    with pytest.raises(InvalidArgument):
        breakouts().assign([[ann], [phone], []], [], lambda _: None)


def test_who_runs_the_meeting_is_not_spread() -> None:
    runs = [
        somebody(role=ParticipantRole.HOST),
        somebody(role=ParticipantRole.COHOST),
        somebody(grants=Grants(administer=True)),
    ]
    gone = somebody(state=ParticipantState.LEFT)
    ann = somebody()
    assert spread(a_meeting(), [*runs, gone, ann]) == [ann]


def test_others_move_themselves_where_that_is_allowed() -> None:
    ann, them = somebody(), breakouts(free=False)
    with pytest.raises(NotHost):
        them.move(ann, them.rooms[0], as_host=False)
    assert them.move(ann, them.rooms[0], as_host=True)
    assert not them.move(ann, them.rooms[0], as_host=True)
    free = breakouts(free=True)
    assert free.move(ann, free.rooms[1], as_host=False)
    with pytest.raises(BreakoutNotFound):
        free.room(uuid4())


def test_a_notice_only_brings_the_end_nearer() -> None:
    them = breakouts()
    assert them.warn(timedelta(seconds=60))
    assert not them.warn(timedelta(seconds=90))
    assert them.warn(timedelta(seconds=30))
    assert them.close_time == NOW + timedelta(seconds=30)


def past(*, is_removed: bool = False) -> Participant:
    return somebody(state=ParticipantState.LEFT, is_removed=is_removed)


def test_only_who_is_assigned_passes_the_door_of_a_breakout_room() -> None:
    room = a_meeting(parent_id=uuid4(), parent_code="abc-defg-hij")
    host = Caller(HOST, "Host")
    for who in (host, Caller(uuid4(), "Bob", past=past())):
        with pytest.raises(NotAssigned):
            check_door(room, who, role_at_the_door(room, who))
        check_door(room, replace(who, is_assigned=True), role_at_the_door(room, who))
    banned = Caller(uuid4(), "Bob", is_banned=True, is_assigned=True)
    with pytest.raises(Banned):
        check_door(room, banned, ParticipantRole.PARTICIPANT)


def test_the_way_back_is_open_to_who_was_let_in_and_not_taken_out() -> None:
    meeting = a_meeting(passcode="secret", locked=True)
    role = ParticipantRole.PARTICIPANT
    back = Caller(uuid4(), "Bob", past=past(), is_sent_back=True)
    check_door(meeting, back, role)
    with pytest.raises(WrongPasscode):
        check_door(meeting, replace(back, is_sent_back=False), role)
    with pytest.raises(MeetingLocked):
        check_door(meeting, replace(back, is_sent_back=False, passcode="secret"), role)
    with pytest.raises(WrongPasscode):
        check_door(meeting, replace(back, past=past(is_removed=True)), role)


def test_who_is_beside_keeps_their_place() -> None:
    ann = somebody()
    meeting = a_meeting(capacity=2, breakouts_open=True)

    def gathering() -> Gathering:
        return Gathering(meeting, [somebody()], NOW, TICKET, [ann, somebody(ann.user_id)])

    with pytest.raises(MeetingFull):
        gathering().join(Caller(uuid4(), "Bob"))
    assert gathering().join(Caller(ann.user_id, "Ann")).is_here


def test_a_host_who_is_beside_is_not_away() -> None:
    bob = somebody()
    meeting = a_meeting(breakouts_open=True, host_away_time=NOW - HOST_AWAY)
    host = somebody(HOST, role=ParticipantRole.HOST)
    assert Gathering(meeting, [bob], NOW, TICKET, [host]).take_over() is None
    assert Gathering(meeting, [bob], NOW, TICKET, [somebody()]).take_over() is not None


def test_nobody_stands_in_in_a_breakout_room() -> None:
    room = Room(a_meeting(parent_id=uuid4()))
    host = room.do(lambda it: it._put(somebody(HOST, role=ParticipantRole.HOST)))
    room.leave(host)
    assert room.meeting.host_away_time is None


class Moves(RuleBasedStateMachine):
    """People with a client each, who go where they are told to, sooner or later; the place where they are is one."""

    def __init__(self) -> None:
        super().__init__()
        self.people = {user: somebody(user) for user in USERS}
        self.there: dict[UUID, Breakout | None] = {}
        self.told: dict[UUID, Breakout | None] = {}
        self.rooms: Breakouts | None = None
        self.past: list[Breakout] = []

    @precondition(lambda self: self.rooms is None)
    @rule(
        count=st.integers(1, 3),
        named=st.lists(st.sampled_from(USERS), unique=True),
        is_random=st.booleans(),
        free=st.booleans(),
    )
    def open(self, count: int, named: list[UUID], *, is_random: bool, free: bool) -> None:
        made = Breakouts(
            uuid4(),
            [Breakout(uuid4(), "", str(at)) for at in range(count)],
            (),
            free_movement=free,
            close_time=None,
            now=NOW,
        )
        people = [[self.people[user] for user in named[at::count]] for at in range(count)]
        others = list(self.people.values()) if is_random else []
        made.assign(people, others, lambda _: None)
        if is_random and not named:
            counted = sizes(made)
            assert max(counted) - min(counted) <= 1
        self.rooms = made
        self._tell(made, made.moved)

    @precondition(lambda self: self.rooms is not None)
    @rule(user=st.sampled_from(USERS), where=st.integers(0, 3), as_host=st.booleans())
    def move(self, user: UUID, where: int, *, as_host: bool) -> None:
        assert self.rooms is not None
        room = self.rooms.rooms[where] if where < len(self.rooms.rooms) else None
        before = self.rooms.room_of(user)
        try:
            self.rooms.move(self.people[user], room, as_host=as_host)
        except NotHost:
            assert self.rooms.room_of(user) == before
            return
        self._tell(self.rooms, [user])

    @precondition(lambda self: self.rooms is not None)
    @rule()
    def close(self) -> None:
        assert self.rooms is not None
        self.rooms.close()
        self._tell(self.rooms, self.rooms.moved)
        assert all(self.rooms.room_of(user) is None for user in USERS)
        assert all(each.may_return(NOW) for each in self.rooms.moved.values())
        self.rooms = None

    @rule(user=st.sampled_from(USERS), where=st.integers(-1, 2))
    def join(self, user: UUID, where: int) -> None:
        """Join the meeting, or a room whose code one knows; who does not belong there is sent on."""
        rooms = self.rooms.rooms if self.rooms else ()
        room = rooms[where] if 0 <= where < len(rooms) else None
        belongs = self._belongs(user)
        if room is not None and room != belongs:
            return  # the door is shut
        self.there[user] = room
        if room != belongs:
            self.told[user] = belongs

    @rule(user=st.sampled_from(USERS))
    def leave(self, user: UUID) -> None:
        self.there.pop(user, None)
        self.told.pop(user, None)

    @rule(user=st.sampled_from(USERS))
    def go_where_one_is_told(self, user: UUID) -> None:
        if user not in self.told:
            return
        where = self.told.pop(user)
        self.there[user] = where

    @invariant()
    def everyone_who_has_gone_where_told_is_where_they_belong(self) -> None:
        for user, room in self.there.items():
            assert self.told.get(user, room) == self._belongs(user)

    @invariant()
    def nobody_belongs_in_two_rooms(self) -> None:
        if self.rooms is not None:
            counted = Counter(e for room in self.rooms.rooms for e in self.rooms.people_of(room))
            assert all(count == 1 for count in counted.values())

    def _belongs(self, user: UUID) -> Breakout | None:
        return self.rooms.room_of(user) if self.rooms else None

    def _tell(self, rooms: Breakouts, users: object) -> None:
        for user in list(users):  # type: ignore[call-overload]  # a list or a dict's keys
            if user in self.there:
                where = rooms.room_of(user)
                self.told.pop(user, None)
                if self.there[user] != where:
                    self.told[user] = where


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
