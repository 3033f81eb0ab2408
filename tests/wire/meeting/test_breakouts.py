"""Breakout rooms over real gRPC on real Postgres: who gets where, the timer, hosts who leave, races and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from parley.meeting.v1 import (
    breakout_pb2,
    breakout_pb2_grpc,
    meeting_pb2,
    meeting_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    report_pb2,
)

from chassis import db
from services.meeting.app import MIGRATIONS
from services.meeting.breakouts.rules import MAX_ROOMS, RETURN, STRAY
from services.meeting.breakouts.store import BreakoutStore
from services.meeting.gathering import HOST_AWAY
from tests.conftest import DatabaseFactory
from tests.meeting_stand import PATIENCE_SECONDS, refusal
from tests.room_stand import Room, Somebody, a_room

RANDOM = breakout_pb2.BREAKOUT_ASSIGNMENT_RANDOM
CONNECTED = meeting_pb2.PARTICIPANT_STATE_CONNECTED


@dataclass
class Theatre:
    """A meeting with somebody who hosts it, and breakout rooms beside."""

    room: Room
    here: dict[str, Somebody] = field(default_factory=dict)

    @property
    def meeting(self) -> str:
        return self.room.meeting

    @property
    def host(self) -> Somebody:
        return self.room.host

    async def comes(self, name: str) -> Somebody:
        somebody = await self.room.comes(name)
        await self.connects(somebody)
        return somebody

    async def connects(self, somebody: Somebody, *, left: bool = False) -> str:
        """Report as signaling does; gives where they belong, if it is not there."""
        stub: Any = meeting_pb2_grpc.PresenceServiceStub(self.room.stand.channel)
        state = meeting_pb2.PARTICIPANT_STATE_LEFT if left else CONNECTED
        answer = await stub.ReportPresence(
            meeting_pb2.ReportPresenceRequest(participant=somebody.participant, state=state)
        )
        return str(answer.assigned_meeting)

    async def goes(self, who: Somebody, meeting: str, passcode: str = "") -> Somebody:
        """Leave where one is and join there, as a client does that is told to."""
        await self.connects(who, left=True)
        there = Somebody(who.person, await self.joins(who, meeting, passcode), meeting)
        assert await self.connects(there) == ""
        return there

    async def joins(self, who: Somebody, meeting: str, passcode: str = "") -> str:
        return str((await self.join(who, meeting, passcode)).participant.name)

    async def join(self, who: Somebody, meeting: str, passcode: str = "") -> Any:
        return await self.ask(who, "JoinMeeting", name=meeting, passcode=passcode)

    async def ask(self, who: Somebody, method: str, **values: Any) -> Any:
        stub: Any = meeting_pb2_grpc.MeetingServiceStub(who.person.channel)
        request = getattr(meeting_pb2, f"{method}Request")(**values)
        return await getattr(stub, method)(request, metadata=who.metadata)

    async def open(
        self, by: Somebody, *rooms: tuple[Somebody, ...], request_id: str = "", **values: Any
    ) -> list[breakout_pb2.Breakout]:
        request = breakout_pb2.OpenBreakoutsRequest(
            parent=self.meeting,
            breakouts=[
                breakout_pb2.Breakout(
                    title=f"Room {at}", participants=[each.participant for each in people]
                )
                for at, people in enumerate(rooms)
            ],
            request_id=request_id,
            **values,
        )
        return list((await self.stub(by).OpenBreakouts(request, metadata=by.metadata)).breakouts)

    async def list(self, by: Somebody) -> breakout_pb2.ListBreakoutsResponse:
        request = breakout_pb2.ListBreakoutsRequest(parent=self.meeting)
        return await self.stub(by).ListBreakouts(request, metadata=by.metadata)  # type: ignore[no-any-return]

    async def move(self, by: Somebody, whom: str, breakout: str = "") -> None:
        request = breakout_pb2.MoveParticipantRequest(name=whom, breakout=breakout)
        await self.stub(by).MoveParticipant(request, metadata=by.metadata)

    async def close(self, by: Somebody, notice: int = 0) -> None:
        request = breakout_pb2.CloseBreakoutsRequest(
            parent=self.meeting, notice=Duration(seconds=notice)
        )
        await self.stub(by).CloseBreakouts(request, metadata=by.metadata)

    def stub(self, by: Somebody) -> Any:
        return breakout_pb2_grpc.BreakoutServiceStub(by.person.channel)

    def moves(self) -> set[tuple[str, str]]:
        """Who was told to go where, each once; all in a room by the name of the room."""
        requests = self.room.stand.neighbours.published.values()
        return {
            (event.participant or request.meeting, event.message.moved.meeting)
            for request in requests
            for event in request.events
            if event.message.HasField("moved")
        }

    async def hears_moves(self, *wanted: tuple[str, str]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.moves() >= set(wanted):  # noqa: ASYNC110  # the stand-in does not tell of changes
                await asyncio.sleep(0.01)

    async def closes(self) -> None:
        """Wait until no breakout rooms are open."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.list(self.host)).breakouts:  # noqa: ASYNC110  # the service does not tell of changes
                await asyncio.sleep(0.05)

    async def ends(self, meeting: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (  # noqa: ASYNC110  # the service does not tell of changes
                await self.ask(self.host, "GetMeeting", name=meeting)
            ).state != meeting_pb2.MEETING_STATE_ENDED:
                await asyncio.sleep(0.05)


@pytest.fixture
async def theatre(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Theatre]:
    async with a_room(database, tmp_path) as room:
        await room.connects(room.host)
        yield Theatre(room)


async def test_people_go_to_their_rooms_and_come_back(theatre: Theatre) -> None:
    ann, bob, eve = [await theatre.comes(name) for name in ("Ann", "Bob", "Eve")]
    first, second = await theatre.open(theatre.host, (ann,), (bob,))
    assert [list(each.participants) for each in (first, second)] == [
        [ann.participant],
        [bob.participant],
    ]
    await theatre.hears_moves((ann.participant, first.meeting), (bob.participant, second.meeting))
    assert len(theatre.moves()) == 2
    opened = theatre.room.told("breakouts_changed")
    assert [each.message.breakouts_changed.open for each in opened] == [True]
    joined = await theatre.join(ann, first.meeting)
    assert joined.ticket
    assert (joined.meeting.breakout_of, joined.meeting.title) == (theatre.meeting, "Room 0")
    assert await refusal(theatre.join(ann, second.meeting)) == "BREAKOUT_NOT_ASSIGNED"
    assert await refusal(theatre.join(theatre.host, second.meeting)) == "BREAKOUT_NOT_ASSIGNED"
    stranger = Somebody(theatre.room.stand.person(), "", theatre.meeting)
    assert await refusal(theatre.join(stranger, first.meeting)) == "BREAKOUT_NOT_ASSIGNED"
    assert await refusal(theatre.list(stranger)) == "NOT_PARTICIPANT"
    in_first = await theatre.goes(ann, first.meeting)
    listed = (await theatre.list(in_first)).breakouts
    assert [each.meeting for each in listed] == [first.meeting, second.meeting]
    mine = await theatre.ask(ann, "ListMeetings")
    assert [each.name for each in mine.meetings] == [theatre.meeting]
    assert mine.meetings[0].breakouts_open
    await theatre.close(theatre.host)
    await theatre.close(theatre.host)
    await theatre.hears_moves((first.meeting, theatre.meeting), (second.meeting, theatre.meeting))
    assert not (await theatre.list(eve)).breakouts
    back = await theatre.goes(in_first, theatre.meeting)
    assert await refusal(theatre.join(back, first.meeting)) == "BREAKOUT_NOT_ASSIGNED"
    theatre.room.clock.advance(STRAY.total_seconds())
    await theatre.ends(first.meeting)
    await theatre.ends(second.meeting)


async def test_everyone_but_hosts_is_spread_evenly(theatre: Theatre) -> None:
    people = [await theatre.comes(f"P{at}") for at in range(5)]
    opened = await theatre.open(theatre.host, (people[0],), (), assignment=RANDOM)
    assert sorted(len(each.participants) for each in opened) == [2, 3]
    named = {name for each in opened for name in each.participants}
    assert named == {each.participant for each in people}


async def test_opening_again_with_the_same_id_gives_the_first_answer(theatre: Theatre) -> None:
    ann, request_id = await theatre.comes("Ann"), str(uuid4())
    first = await theatre.open(theatre.host, (ann,), request_id=request_id)
    await theatre.move(theatre.host, ann.participant)
    assert await theatre.open(theatre.host, (ann,), request_id=request_id) == first
    assert await refusal(theatre.open(theatre.host, (ann,))) == "BREAKOUTS_OPEN"
    await theatre.close(theatre.host)
    assert await theatre.open(theatre.host, (ann,), request_id=request_id) == first
    assert not (await theatre.list(theatre.host)).breakouts


async def test_two_who_open_at_once_open_one_set(theatre: Theatre) -> None:
    tries = [theatre.open(theatre.host, (), ()) for _ in range(4)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, list) for each in answers) == 1
    assert len((await theatre.list(theatre.host)).breakouts) == 2


async def test_bad_requests_open_nothing(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    nobody = Somebody(ann.person, f"{theatre.meeting}/participants/{uuid4()}", theatre.meeting)
    elsewhere = Somebody(ann.person, f"meetings/aaa-bbbb-ccc/participants/{uuid4()}", "")
    assert await refusal(theatre.open(ann, (ann,))) == "NOT_HOST"
    assert await refusal(theatre.open(theatre.host, (nobody,))) == "PARTICIPANT_NOT_FOUND"
    assert await refusal(theatre.open(theatre.host, (elsewhere,))) == "PARTICIPANT_NOT_FOUND"
    assert await refusal(theatre.open(theatre.host, (ann,), (ann,))) == "INVALID_ARGUMENT"
    seconds = Duration(seconds=59)
    assert await refusal(theatre.open(theatre.host, (), duration=seconds)) == "INVALID_ARGUMENT"
    assert not (await theatre.list(theatre.host)).breakouts
    assert not theatre.room.told("breakouts_changed")


async def test_a_meeting_has_so_many_rooms_in_all(theatre: Theatre) -> None:
    for _ in range(MAX_ROOMS // 50):
        await theatre.open(theatre.host, *[()] * 50)
        await theatre.close(theatre.host)
    assert await refusal(theatre.open(theatre.host, ())) == "TOO_MANY_BREAKOUTS"


async def test_a_breakout_room_has_no_breakout_rooms(theatre: Theatre) -> None:
    (room,) = await theatre.open(theatre.host, ())
    request = breakout_pb2.OpenBreakoutsRequest(
        parent=room.meeting, breakouts=[breakout_pb2.Breakout(title="Inner")]
    )
    call = theatre.stub(theatre.host).OpenBreakouts(request, metadata=theatre.host.metadata)
    assert await refusal(call) == "IN_BREAKOUT"


async def test_hosts_move_anyone_and_others_themselves_where_that_is_allowed(
    theatre: Theatre,
) -> None:
    ann, bob = await theatre.comes("Ann"), await theatre.comes("Bob")
    first, second = await theatre.open(theatre.host, (ann,), ())
    assert await refusal(theatre.move(ann, ann.participant, second.name)) == "NOT_HOST"
    assert await refusal(theatre.move(ann, bob.participant, second.name)) == "NOT_HOST"
    ann_there = await theatre.goes(ann, first.meeting)
    await theatre.move(theatre.host, ann.participant, second.name)
    await theatre.hears_moves((ann_there.participant, second.meeting))
    assert await refusal(theatre.join(ann, first.meeting)) == "BREAKOUT_NOT_ASSIGNED"
    await theatre.goes(ann_there, second.meeting)
    await theatre.move(theatre.host, theatre.host.participant, second.name)
    hosting = await theatre.goes(theatre.host, second.meeting)
    await theatre.move(hosting, ann.participant)
    missing = f"{theatre.meeting}/breakouts/{uuid4()}"
    assert await refusal(theatre.move(hosting, ann.participant, missing)) == "BREAKOUT_NOT_FOUND"
    await theatre.close(hosting)
    (only,) = await theatre.open(hosting, (), free_movement=True)
    assert (await theatre.list(bob)).free_movement
    await theatre.move(bob, bob.participant, only.name)
    await theatre.hears_moves((bob.participant, only.meeting))
    bob_there = await theatre.goes(bob, only.meeting)
    await theatre.move(bob_there, bob.participant)
    await theatre.hears_moves((bob_there.participant, theatre.meeting))


async def test_roles_bans_and_doors_go_with_people(theatre: Theatre) -> None:
    ann, bob = await theatre.comes("Ann"), await theatre.comes("Bob")
    people: Any = participant_pb2_grpc.ParticipantServiceStub(theatre.host.person.channel)
    role = participant_pb2.SetParticipantRoleRequest(
        name=ann.participant, role=meeting_pb2.PARTICIPANT_ROLE_COHOST
    )
    await people.SetParticipantRole(role, metadata=theatre.host.metadata)
    (room,) = await theatre.open(theatre.host, (ann, bob))
    secret = meeting_pb2.Meeting(name=theatre.meeting, passcode="1234")
    await theatre.ask(theatre.host, "UpdateMeeting", meeting=secret)
    await theatre.ask(theatre.host, "LockMeeting", name=theatre.meeting)
    await theatre.host.person.switch(theatre.meeting, lobby=True)
    joined = await theatre.join(ann, room.meeting)
    assert joined.participant.role == meeting_pb2.PARTICIPANT_ROLE_COHOST
    ann_there = await theatre.goes(ann, room.meeting)
    bob_there = await theatre.goes(bob, room.meeting)
    await theatre.move(ann_there, bob.participant)
    back = await theatre.goes(bob_there, theatre.meeting)
    out = participant_pb2.RemoveParticipantRequest(name=ann_there.participant, ban=True)
    await people.RemoveParticipant(out, metadata=theatre.host.metadata)
    assert await refusal(theatre.join(ann, theatre.meeting)) == "BANNED"
    await theatre.close(theatre.host)
    theatre.room.clock.advance(RETURN.total_seconds())
    await theatre.connects(back, left=True)
    assert await refusal(theatre.join(back, theatre.meeting)) == "WRONG_PASSCODE"
    assert await refusal(theatre.join(back, theatre.meeting, "1234")) == "MEETING_LOCKED"


async def test_who_joins_where_they_do_not_belong_is_sent_on(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    first, second = await theatre.open(theatre.host, (ann,), ())
    again = Somebody(ann.person, await theatre.joins(ann, theatre.meeting), theatre.meeting)
    assert await theatre.connects(again) == first.meeting
    ticket = Somebody(ann.person, await theatre.joins(ann, first.meeting), first.meeting)
    await theatre.move(theatre.host, ann.participant, second.name)
    assert await theatre.connects(ticket) == second.meeting
    await theatre.close(theatre.host)
    assert await theatre.connects(ticket) == theatre.meeting
    assert await theatre.connects(again) == ""


async def test_who_stays_in_a_room_where_they_do_not_belong_is_taken_out(
    theatre: Theatre,
) -> None:
    ann, bob = await theatre.comes("Ann"), await theatre.comes("Bob")
    (room,) = await theatre.open(theatre.host, (ann, bob))
    stays = await theatre.goes(ann, room.meeting)
    belongs = await theatre.goes(bob, room.meeting)
    await theatre.move(theatre.host, ann.participant)
    theatre.room.clock.advance(STRAY.total_seconds())
    out = await theatre.room.hears("disconnected", lambda told: len(told) == 1)
    assert [each.participant for each in out] == [stays.participant]
    here = await theatre.ask(belongs, "ListParticipants", parent=room.meeting)
    assert [each.name for each in here.participants] == [belongs.participant]


async def test_a_timer_closes_them_and_a_notice_closes_them_sooner(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    (room,) = await theatre.open(theatre.host, (ann,), duration=Duration(seconds=600))
    begun = theatre.room.clock.now()
    assert (room.close_time.ToDatetime(begun.tzinfo) - begun).total_seconds() == 600
    theatre.room.clock.advance(500)
    await theatre.close(theatre.host, notice=60)
    await theatre.close(theatre.host, notice=300)
    told = await theatre.room.hears("breakouts_changed", lambda told: len(told) == 3)
    times = [each.message.breakouts_changed.close_time.ToDatetime(begun.tzinfo) for each in told]
    assert [(each - begun).total_seconds() for each in times] == [600, 560, 560]
    theatre.room.clock.advance(59)
    assert (await theatre.list(ann)).breakouts
    theatre.room.clock.advance(1)
    await theatre.hears_moves((room.meeting, theatre.meeting))
    await theatre.closes()


async def test_several_processes_close_once(theatre: Theatre) -> None:
    await theatre.open(theatre.host, (), duration=Duration(seconds=60))
    url = theatre.room.stand.database_url
    async with db.connected(url, MIGRATIONS) as connected:
        store, later = BreakoutStore(connected), theatre.room.clock.now() + HOST_AWAY
        async with store.due(later) as mine, store.due(later) as others:
            assert mine is not None
            assert others is None
            assert mine.meeting.name == theatre.meeting


async def test_when_no_host_is_anywhere_everyone_is_brought_back(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    first, second = await theatre.open(theatre.host, (ann,), ())
    await theatre.goes(ann, first.meeting)
    await theatre.move(theatre.host, theatre.host.participant, second.name)
    hosting = await theatre.goes(theatre.host, second.meeting)
    theatre.room.clock.advance(2 * HOST_AWAY.total_seconds())
    now = theatre.room.clock.now()
    async with (
        db.connected(theatre.room.stand.database_url, MIGRATIONS) as connected,
        BreakoutStore(connected).due(now) as due,
    ):
        assert due is None
    await theatre.connects(hosting, left=True)
    theatre.room.clock.advance(HOST_AWAY.total_seconds())
    await theatre.hears_moves((first.meeting, theatre.meeting))


async def test_rooms_end_with_their_meeting(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    (room,) = await theatre.open(theatre.host, (ann,))
    there = await theatre.goes(ann, room.meeting)
    await theatre.host.person.end(theatre.meeting)
    await theatre.ends(room.meeting)
    assert await refusal(theatre.join(there, room.meeting)) == "MEETING_ENDED"
    assert await refusal(theatre.move(theatre.host, ann.participant)) == "MEETING_ENDED"
    told = theatre.room.stand.neighbours.published.values()
    over = {each.meeting for each in told if each.events[0].message.HasField("meeting_ended")}
    assert over == {theatre.meeting, room.meeting}


async def test_a_join_and_a_move_at_the_same_time_end_where_one_belongs(
    theatre: Theatre,
) -> None:
    ann = await theatre.comes("Ann")
    first, second = await theatre.open(theatre.host, (ann,), ())
    for target, other in ((second, first), (first, second)) * 3:
        joining = asyncio.create_task(theatre.join(ann, other.meeting))
        moving = asyncio.create_task(theatre.move(theatre.host, ann.participant, target.name))
        await asyncio.wait([joining, moving])
        moving.result()
        if joining.exception() is not None:
            assert await refusal(joining) == "BREAKOUT_NOT_ASSIGNED"
            continue
        joined = joining.result()
        there = Somebody(ann.person, joined.participant.name, other.meeting)
        assert await theatre.connects(there) == target.meeting
        await theatre.connects(there, left=True)


async def test_time_in_a_breakout_room_is_time_in_the_meeting(theatre: Theatre) -> None:
    ann = await theatre.comes("Ann")
    theatre.room.clock.advance(60)
    (room,) = await theatre.open(theatre.host, (ann,))
    there = await theatre.goes(ann, room.meeting)
    theatre.room.clock.advance(100)
    await theatre.connects(there, left=True)
    request = report_pb2.ListAttendancesRequest(parent=theatre.meeting)
    host = theatre.host
    answer = await host.reports.ListAttendances(request, metadata=host.metadata)
    (attended,) = [each for each in answer.attendances if each.user == ann.person.name]
    assert attended.duration.seconds == 160
