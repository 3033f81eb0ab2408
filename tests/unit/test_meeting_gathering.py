"""Who is let in, who hosts, and who may do what to whom."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.meeting.domain import (
    MeetingEnded,
    MeetingFull,
    MeetingLocked,
    NotHost,
    ParticipantGone,
    ParticipantNotFound,
    ParticipantRole,
    ParticipantState,
    WrongPasscode,
)
from services.meeting.grants import Grants
from services.meeting.joining.lobby import MAX_WAITING, Banned, LobbyFull, NotWaiting
from services.meeting.roles import EVERYTHING, Standing, begins_muted, granted
from services.meeting.settings import HOST_LEAVES_END, Settings
from tests.gatherings import TICKET, Room
from tests.meetings import HOST, a_meeting

State, Role = ParticipantState, ParticipantRole
LISTENER = Grants(subscribe=True)


def with_lobby(**values: object) -> Room:
    return Room(a_meeting(settings=Settings(lobby=True), **values))


def test_the_host_joins_as_host_whatever_the_passcode_the_lock_and_the_lobby() -> None:
    room = with_lobby(passcode="open sesame", locked=True)
    assert room.join(HOST).role is Role.HOST
    assert room.join(HOST).state is State.JOINING


def test_a_wrong_passcode_a_lock_a_full_room_and_an_end_keep_others_out() -> None:
    with pytest.raises(WrongPasscode):
        Room(a_meeting(passcode="open sesame")).join(passcode="é")
    with pytest.raises(MeetingLocked):
        with_lobby(locked=True).join()
    full = Room(a_meeting(capacity=1))
    full.enter()
    with pytest.raises(MeetingFull):
        full.join()
    with pytest.raises(MeetingEnded):
        Room(a_meeting().ended(full.now)).join()


def test_a_ticket_that_is_not_used_holds_a_place_only_while_it_can_be() -> None:
    room = Room(a_meeting(capacity=1))
    late = room.join()
    room.later(TICKET.total_seconds() - 1)
    with pytest.raises(MeetingFull):
        room.join()
    room.later(1)
    room.enter()
    with pytest.raises(ParticipantGone):
        room.do(lambda it: it.connect(late.id))


def test_who_waits_comes_in_when_a_host_says_so_and_not_before() -> None:
    room = with_lobby()
    bob = room.join()
    assert bob.state is State.WAITING
    assert bob.admit_time is None
    with pytest.raises(ParticipantGone):
        room.do(lambda it: it.connect(bob.id))
    room.later(5)
    admitted = room.do(lambda it: it.admit(bob.id))
    assert (admitted.state, admitted.join_time) == (State.JOINING, room.now)
    assert room.do(lambda it: it.admit(bob.id)) == admitted
    with pytest.raises(NotWaiting):
        room.do(lambda it: it.deny(bob.id))
    assert room.do(lambda it: it.connect(bob.id)).state is State.CONNECTED


def test_who_was_turned_away_can_not_be_let_in_but_may_ask_again() -> None:
    room, user = with_lobby(), uuid4()
    bob = room.join(user)
    assert room.do(lambda it: it.deny(bob.id)).state is State.DENIED
    assert room.do(lambda it: it.deny(bob.id)).state is State.DENIED
    with pytest.raises(ParticipantGone):
        room.do(lambda it: it.admit(bob.id))
    assert room.join(user).state is State.WAITING


def test_waiting_takes_no_place_and_all_are_let_in_in_order_as_far_as_there_is_room() -> None:
    room = with_lobby(capacity=3)
    room.host()
    names = []
    for _ in range(4):
        room.later(1)
        names.append(room.join().id)
    admitted = room.do(lambda it: it.admit_all())
    assert [each.id for each in admitted] == names[:2]
    assert [each.id for each in room.do(lambda it: it.waiting())] == names[2:]
    with pytest.raises(MeetingFull):
        room.do(lambda it: it.admit(names[2]))


def test_one_waits_in_one_place_and_leaves_it_when_one_is_not_seen() -> None:
    room, user = with_lobby(), uuid4()
    first = room.join(user)
    room.later(59)
    assert room.join(user).id == first.id
    room.later(59)
    assert room.do(lambda it: it.waiting())
    room.later(1)
    assert not room.do(lambda it: it.waiting())
    assert room.person(first).state is State.LEFT


def test_a_lobby_is_bounded() -> None:
    room = with_lobby()
    for _ in range(MAX_WAITING):
        room.join()
    with pytest.raises(LobbyFull):
        room.join()


def test_who_was_let_in_before_does_not_wait_again_unless_taken_out() -> None:
    room, user = with_lobby(), uuid4()
    bob = room.join(user)
    room.do(lambda it: it.admit(bob.id))
    room.leave(bob)
    again = room.join(user)
    assert again.state is State.JOINING
    room.do(lambda it: it.remove(again.id, Standing.HOST, ban=False))
    assert room.join(user).state is State.WAITING


def test_roles_and_grants_come_back_with_whom_they_were_given_to() -> None:
    room, cohost, muted = with_lobby(), uuid4(), uuid4()
    room.host()
    first, second = room.join(cohost), room.join(muted)
    room.do(lambda it: it.admit_all())
    room.do(lambda it: it.set_role(first.id, Role.COHOST, HOST))
    room.do(lambda it: it.set_grants(second.id, LISTENER, Standing.HOST))
    for each in (first, second):
        room.leave(each)
    assert room.join(cohost).role is Role.COHOST
    again = room.join(muted)
    assert granted(again, room.meeting) == LISTENER


def test_who_was_taken_out_does_not_run_the_meeting_on_coming_back() -> None:
    room, user = Room(), uuid4()
    room.host()
    bob = room.enter(user)
    room.do(lambda it: it.set_grants(bob.id, EVERYTHING, Standing.HOST))
    room.do(lambda it: it.remove(bob.id, Standing.HOST, ban=False))
    assert room.standing(user) is Standing.FORMER
    again = room.enter(user)
    assert not granted(again, room.meeting).administer


def test_a_ban_takes_all_of_somebody_out_for_good() -> None:
    room, user = Room(), uuid4()
    here, there = room.enter(user), room.join(user)
    room.do(lambda it: it.remove(here.id, Standing.COHOST, ban=True))
    assert room.person(there).is_removed
    with pytest.raises(Banned):
        room.join(user)


def test_nobody_acts_on_who_stands_above() -> None:
    room = Room()
    host, bob = room.host(), room.enter()
    for change in (
        lambda it: it.remove(host.id, Standing.COHOST, ban=True),
        lambda it: it.remove(host.id, Standing.HOST, ban=False),
        lambda it: it.set_grants(host.id, LISTENER, Standing.COHOST),
        lambda it: it.set_grants(host.id, LISTENER, Standing.HOST),
        lambda it: it.set_grants(bob.id, EVERYTHING, Standing.COHOST),
        lambda it: it.set_role(host.id, Role.PARTICIPANT, HOST),
    ):
        with pytest.raises(NotHost):
            room.do(change)
    room.do(lambda it: it.set_grants(bob.id, LISTENER, Standing.COHOST))
    assert room.standing(bob.user_id) is Standing.PARTICIPANT


def test_who_may_administer_is_a_cohost_and_a_cohost_who_may_not_is_none() -> None:
    room = Room()
    room.host()
    bob, eve = room.enter(), room.enter()
    room.do(lambda it: it.set_grants(bob.id, EVERYTHING, Standing.HOST))
    assert room.standing(bob.user_id) is Standing.COHOST
    room.do(lambda it: it.set_role(eve.id, Role.COHOST, HOST))
    assert room.standing(eve.user_id) is Standing.COHOST
    room.do(lambda it: it.set_grants(eve.id, LISTENER, Standing.HOST))
    assert room.standing(eve.user_id) is Standing.PRESENTER
    assert room.standing(uuid4()) is Standing.STRANGER


def test_who_waits_or_was_turned_away_is_not_as_they_were_before() -> None:
    room = with_lobby()
    room.host()
    bob = room.join()
    assert room.standing(bob.user_id) is Standing.WAITING
    room.do(lambda it: it.admit(bob.id))
    room.do(lambda it: it.remove(bob.id, Standing.HOST, ban=False))
    assert room.standing(bob.user_id) is Standing.FORMER
    room.later(1)
    again = room.join(bob.user_id)
    assert room.standing(bob.user_id) is Standing.WAITING
    room.do(lambda it: it.deny(again.id))
    assert room.standing(bob.user_id) is Standing.STRANGER


def test_the_host_hands_over_for_good() -> None:
    room = Room()
    ann, bob = room.host(), room.enter()
    room.do(lambda it: it.set_role(bob.id, Role.HOST, HOST))
    assert room.meeting.host_id == bob.user_id
    assert (room.person(bob).role, room.person(ann).role) == (Role.HOST, Role.COHOST)
    assert {each.id for each in room.told} == {ann.id, bob.id}
    room.leave(ann)
    assert room.join(HOST).role is Role.COHOST


def test_a_cohost_stands_in_after_a_minute_and_steps_down_when_the_host_is_back() -> None:
    room = Room()
    ann, first, second = room.host(), room.enter(), room.enter()
    room.do(lambda it: it.set_role(second.id, Role.COHOST, HOST))
    room.leave(ann)
    room.later(59)
    room.tend()
    assert room.person(second).role is Role.COHOST
    room.later(1)
    room.tend()
    assert (room.person(second).role, room.person(first).role) == (Role.HOST, Role.PARTICIPANT)
    assert room.standing(second.user_id) is Standing.HOST
    assert room.meeting.host_id == HOST
    room.host()
    assert room.person(second).role is Role.COHOST
    assert [each.id for each in room.told] == [second.id]


def test_without_a_cohost_whoever_is_there_longest_stands_in() -> None:
    room = Room()
    ann, first = room.host(), room.enter()
    room.later(1)
    room.enter()
    room.leave(ann)
    room.later(60)
    room.tend()
    assert room.person(first).role is Role.HOST
    room.leave(first)
    assert room.join(first.user_id).role is Role.PARTICIPANT


def test_where_the_host_never_was_nobody_stands_in() -> None:
    room = Room()
    bob = room.enter()
    room.later(3600)
    room.tend()
    assert room.person(bob).role is Role.PARTICIPANT


def test_who_stands_in_hands_over_the_standing_in_alone() -> None:
    room = Room()
    ann, first = room.host(), room.enter()
    room.later(1)
    second = room.enter()
    room.leave(ann)
    room.later(60)
    room.tend()
    room.do(lambda it: it.set_role(second.id, Role.HOST, first.user_id))
    assert (room.person(first).role, room.person(second).role) == (Role.COHOST, Role.HOST)
    assert room.meeting.host_id == HOST
    room.host()
    assert room.person(second).role is Role.PARTICIPANT


def test_a_meeting_whose_settings_say_so_ends_a_minute_after_the_host_has_left() -> None:
    room = Room(a_meeting(settings=Settings(host_leave_policy=HOST_LEAVES_END)))
    ann, bob = room.host(), room.enter()
    room.leave(ann)
    room.later(60)
    room.tend()
    assert room.meeting.is_over
    assert room.person(bob).state is State.LEFT


def test_screens_are_presenters_alone_where_the_settings_say_so_and_all_are_told() -> None:
    room = Room()
    room.host()
    bob, eve = room.enter(), room.enter()
    room.do(lambda it: it.set_role(eve.id, Role.PRESENTER, HOST))
    settings = Settings(screen_sharing_allowed=False)
    room.do(lambda it: setattr(it, "meeting", replace(it.meeting, settings=settings)))
    assert [each.id for each in room.told] == [bob.id]
    assert not granted(room.person(bob), room.meeting).publish_screen
    assert granted(room.person(eve), room.meeting).publish_screen


def test_microphones_begin_muted_where_the_settings_say_so_but_for_those_who_run_the_meeting() -> (
    None
):
    room = Room()
    ann = room.host()
    bob, eve = room.enter(), room.enter()
    room.do(lambda it: it.set_role(eve.id, Role.COHOST, HOST))
    everyone = [room.person(each) for each in (ann, bob, eve)]
    assert not any(begins_muted(each, room.meeting) for each in everyone)
    muting = replace(room.meeting, settings=Settings(mute_on_entry=True))
    assert [begins_muted(each, muting) for each in everyone] == [False, True, False]


def test_who_is_not_there_is_not_found_and_who_is_gone_is_given_nothing() -> None:
    room = Room()
    room.host()
    bob = room.enter()
    room.leave(bob)
    with pytest.raises(ParticipantNotFound):
        room.do(lambda it: it.admit(uuid4()))
    with pytest.raises(ParticipantGone):
        room.do(lambda it: it.set_role(bob.id, Role.COHOST, HOST))
    with pytest.raises(ParticipantGone):
        room.do(lambda it: it.set_grants(bob.id, LISTENER, Standing.HOST))
