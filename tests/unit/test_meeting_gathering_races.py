"""Whoever races for a meeting, in whatever order their transactions come, leaves it in a lawful state."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from chassis.errors import DomainError
from services.meeting import gathering
from services.meeting.domain import MeetingState, Participant, ParticipantRole, ParticipantState
from services.meeting.gathering import Crowd, Gathering
from services.meeting.grants import Grants
from services.meeting.roles import Standing
from services.meeting.settings import HOST_LEAVES_END, HOST_LEAVES_HAND_OVER, Settings
from tests.gatherings import TICKET, Room
from tests.meetings import HOST, a_meeting

CAPACITY = 3
USERS = [HOST, *(UUID(int=number) for number in range(2, 7))]
NEXT = {
    ParticipantState.WAITING: {"joining", "denied", "left"},
    ParticipantState.JOINING: {"connected", "left"},
    ParticipantState.CONNECTED: {"left"},
    ParticipantState.LEFT: set(),
    ParticipantState.DENIED: set(),
}


def is_known_at_the_door(person: Participant, user: UUID) -> bool:
    """Tell whether somebody is of those whom a door looks at by name (services/meeting/joining/door.py)."""
    runs = (
        person.role in (ParticipantRole.HOST, ParticipantRole.COHOST) or person.grants is not None
    )
    is_waiting = person.state is ParticipantState.WAITING
    return is_waiting or (person.is_here and (runs or person.user_id == user))


def crowd_of(people: list[Participant]) -> Crowd:
    connected = sum(each.state is ParticipantState.CONNECTED for each in people)
    return Crowd(connected, sum(each.is_here for each in people))


class Races(RuleBasedStateMachine):
    """Users and hosts who do what they may, late and twice; a transaction that is refused changes nothing."""

    names = Bundle("names")
    etags = Bundle("etags")

    def __init__(self) -> None:
        super().__init__()
        ids = (UUID(int=number) for number in itertools.count(1_000))
        self.drawn = mock.patch.object(gathering, "uuid4", side_effect=ids)
        self.drawn.start()  # who comes at the same time is in order of ids: the same in every run
        meeting = a_meeting(
            capacity=CAPACITY, state=MeetingState.SCHEDULED, settings=Settings(lobby=True)
        )
        self.room = Room(meeting)

    def attempt(self, change: Callable[[Gathering], Any]) -> bool:
        before = dict(self.room.people)
        try:
            self.room.do(change)
        except DomainError:
            assert self.room.people == before
            return False
        self._see_that_steps_are_lawful(before)
        return True

    @rule(target=names, user=st.sampled_from(USERS))
    def join(self, user: UUID) -> Any:
        try:
            return self.room.join(user).id
        except DomainError:
            return multiple()

    @rule(name=names, how=st.sampled_from(["connect", "leave", "admit", "deny"]))
    def come_or_go(self, name: UUID, how: str) -> None:
        self.attempt(lambda it: getattr(it, how)(name))

    @rule()
    def admit_all(self) -> None:
        self.attempt(lambda it: it.admit_all())

    @rule(name=names, by=st.sampled_from([Standing.HOST, Standing.COHOST]), ban=st.booleans())
    def remove(self, name: UUID, by: Standing, *, ban: bool) -> None:
        self.attempt(lambda it: it.remove(name, by, ban=ban))

    @rule(name=names, role=st.sampled_from(ParticipantRole), user=st.sampled_from(USERS))
    def set_role(self, name: UUID, role: ParticipantRole, user: UUID) -> None:
        def change(it: Gathering) -> None:
            if it.standing(user) is Standing.HOST:
                it.set_role(name, role, user)

        self.attempt(change)

    @rule(name=names, administer=st.booleans(), by=st.sampled_from(USERS))
    def set_grants(self, name: UUID, by: UUID, *, administer: bool) -> None:
        def change(it: Gathering) -> None:
            if (standing := it.standing(by)) in (Standing.HOST, Standing.COHOST):
                it.set_grants(name, Grants(subscribe=True, administer=administer), standing)

        self.attempt(change)

    @rule(seconds=st.sampled_from([1, 30, 61, TICKET.total_seconds()]))
    def wait(self, seconds: float) -> None:
        self.room.later(seconds)
        self.attempt(lambda it: it.take_over())

    @rule(lobby=st.booleans(), ends=st.sampled_from([HOST_LEAVES_END, HOST_LEAVES_HAND_OVER]))
    def configure(self, ends: str, *, lobby: bool) -> None:
        wanted = Settings(lobby=lobby, host_leave_policy=ends)

        def change(it: Gathering) -> None:
            it.meeting.check_open()
            it.meeting = it.meeting.configured(it.now, wanted, encrypted=False, joined=True)

        self.attempt(change)

    @rule(target=etags)
    def read(self) -> str:
        return self.room.meeting.etag

    @rule(etag=etags, locked=st.booleans())
    def update(self, etag: str, *, locked: bool) -> None:
        is_current = etag == self.room.meeting.etag

        def change(it: Gathering) -> None:
            it.meeting.check_open(etag)
            it.meeting = it.meeting.changed(it.now, locked=locked, title=f"{it.now}")

        assert not self.attempt(change) or is_current

    @rule(cancel=st.booleans())
    def close(self, *, cancel: bool) -> None:
        def change(it: Gathering) -> None:
            over = it.meeting.cancelled(it.now) if cancel else it.meeting.ended(it.now)
            it.close(over)

        self.attempt(change)

    def teardown(self) -> None:
        self.drawn.stop()

    @invariant()
    def a_door_that_counts_the_crowd_decides_as_one_that_knows_everybody(self) -> None:
        people = [*self.room.people.values()]
        for user in USERS:
            known = [each for each in people if is_known_at_the_door(each, user)]
            assert self.decision(user, known, crowd_of(people)) == self.decision(user, people)

    def decision(self, user: UUID, people: list[Participant], crowd: Crowd | None = None) -> Any:
        it = Gathering(self.room.meeting, people, self.room.now, TICKET, crowd=crowd)
        try:
            joined = it.join(self.room.caller(user))
        except DomainError as error:
            return type(error)
        it.settle()
        return joined.state, joined.role, joined.grants, it.connected, it.is_lobby_changed

    @invariant()
    def no_more_hold_places_than_there_are(self) -> None:
        people = self.room.people.values()
        assert sum(each.holds_place(self.room.now, TICKET) for each in people) <= CAPACITY

    @invariant()
    def nobody_stays_where_it_is_over(self) -> None:
        if self.room.meeting.is_over:
            assert all(each.is_gone for each in self.room.people.values())

    @invariant()
    def who_is_banned_is_out(self) -> None:
        banned = [e for e in self.room.people.values() if e.user_id in self.room.banned]
        assert all(each.is_gone for each in banned)

    @invariant()
    def the_host_hosts_or_somebody_stands_in(self) -> None:
        here = [each for each in self.room.people.values() if each.is_here]
        owner = self.room.meeting.host_id
        assert all(each.role is ParticipantRole.HOST for each in here if each.user_id == owner)
        stand_ins = [each for each in here if each.former_role is not None]
        assert all(each.role is ParticipantRole.HOST for each in stand_ins)
        assert len(stand_ins) <= 1
        others = [e for e in here if e.user_id != owner and e.role is ParticipantRole.HOST]
        assert others == stand_ins
        state = ParticipantState.CONNECTED
        is_back = any(each.user_id == owner and each.state is state for each in here)
        assert not (is_back and stand_ins)

    @invariant()
    def who_was_never_let_in_never_was_in(self) -> None:
        for each in self.room.people.values():
            assert each.admit_time is not None or not each.is_here
            assert (each.leave_time is not None) == each.is_gone

    def _see_that_steps_are_lawful(self, before: dict[UUID, Participant]) -> None:
        for identifier, earlier in before.items():
            later = self.room.people[identifier]
            is_same = later.state is earlier.state
            assert is_same or later.state.value in NEXT[earlier.state]


TestRaces = Races.TestCase
TestRaces.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
