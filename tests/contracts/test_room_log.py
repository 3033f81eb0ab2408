"""What a room's log promises, on real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import bus
from services.signaling import log as room_log
from services.signaling.log import Event, RoomLog
from tests.signaling_stand import random_room

ANN = "meetings/x/participants/ann"


@pytest.fixture
async def rooms(valkey: str) -> AsyncIterator[RoomLog]:
    async with bus.connected(valkey) as redis:
        yield RoomLog(redis)


def came(name: str) -> Event:
    person = meeting_pb2.Participant(name=name)
    joined = signaling_pb2.ParticipantJoined(participant=person)
    return Event(ServerMessage(participant_joined=joined))


def left(name: str) -> Event:
    gone = signaling_pb2.ParticipantLeft(participant=name)
    return Event(ServerMessage(participant_left=gone))


def track(kind: str, identifier: str, *, muted: bool = False) -> Event:
    it = signaling_pb2.Track(id=identifier, participant=ANN, muted=muted)
    messages = {
        "published": lambda: ServerMessage(track_published=signaling_pb2.TrackPublished(track=it)),
        "updated": lambda: ServerMessage(track_updated=signaling_pb2.TrackUpdated(track=it)),
        "unpublished": lambda: ServerMessage(
            track_unpublished=signaling_pb2.TrackUnpublished(track_id=identifier)
        ),
    }
    return Event(messages[kind]())


def pong(to: str = "") -> Event:
    return Event(ServerMessage(pong=signaling_pb2.Pong()), to)


async def test_sequences_begin_at_one_and_have_no_gaps(rooms: RoomLog) -> None:
    room = random_room()
    assert await rooms.last(room) == 0
    await asyncio.gather(*(rooms.append(room, [pong(), pong(str(n))]) for n in range(20)))
    entries = await rooms.read(room, 0)
    assert [entry.sequence for entry in entries] == list(range(1, 41))
    assert await rooms.last(room) == 40
    assert [entry.sequence for entry in await rooms.read(room, 38)] == [39, 40]


async def test_events_of_one_call_stay_together(rooms: RoomLog) -> None:
    room = random_room()
    await asyncio.gather(*(rooms.append(room, [pong(str(n))] * 3) for n in range(10)))
    told = [entry.to for entry in await rooms.read(room, 0)]
    assert all(len(set(told[at : at + 3])) == 1 for at in range(0, 30, 3))


async def test_a_message_comes_back_with_its_sequence_and_time(rooms: RoomLog) -> None:
    room = random_room()
    await rooms.append(room, [came(ANN)])
    message = (await rooms.read(room, 0))[0].told.message
    assert message.sequence == 1
    assert message.HasField("time")
    assert message.participant_joined.participant.name == ANN


async def test_a_snapshot_is_what_the_events_add_up_to(rooms: RoomLog) -> None:
    room = random_room()
    await rooms.append(room, [came("a"), came("b"), left("a")])
    await rooms.append(room, [track("published", "t1"), track("published", "t2")])
    await rooms.append(room, [track("updated", "t1", muted=True), track("unpublished", "t2")])
    snapshot = await rooms.append_and_read(room, [came("c")])
    people = [meeting_pb2.Participant.FromString(value).name for value in snapshot.people]
    tracks = [signaling_pb2.Track.FromString(value) for value in snapshot.tracks]
    assert sorted(people) == ["b", "c"]
    assert [(each.id, each.muted) for each in tracks] == [("t1", True)]
    assert snapshot.sequence == await rooms.last(room) == 8
    assert await rooms.count_people(room) == 2
    assert await rooms.tracks_of(room, ANN) == ["t1"]


async def test_what_is_gone_is_not_taken_away_twice(rooms: RoomLog) -> None:
    room = random_room()
    await rooms.append(room, [came("a"), track("published", "t")])
    for _ in range(2):
        await rooms.append(room, [left("a"), track("unpublished", "t")])
    await rooms.append(room, [track("updated", "t")])
    assert await rooms.last(room) == 4
    assert await rooms.tracks_of(room, ANN) == [], "a late update brought a track back"


async def test_the_end_of_a_meeting_clears_its_room(rooms: RoomLog) -> None:
    room = random_room()
    await rooms.append(room, [came("a"), track("published", "t")])
    await rooms.append(room, [Event(ServerMessage(meeting_ended=signaling_pb2.MeetingEnded()))])
    assert await rooms.count_people(room) == 0
    assert await rooms.tracks_of(room, ANN) == []


async def test_a_cursor_is_covered_while_what_follows_it_is_there(
    rooms: RoomLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = random_room()
    assert not await rooms.covers(room, 1), "a room that is not there covers nothing"
    await rooms.append(room, [pong() for _ in range(10)])
    assert not await rooms.covers(room, 0)
    assert await rooms.covers(room, 1)
    assert await rooms.covers(room, 10)
    assert not await rooms.covers(room, 11), "a cursor from the future"
    monkeypatch.setattr(room_log, "WINDOW_SECONDS", -1)
    await rooms.append(room, [pong()])
    assert not await rooms.covers(room, 5), "what followed was trimmed"
    assert await rooms.covers(room, 11)


async def test_everything_of_a_room_expires(valkey: str) -> None:
    room = random_room()
    async with bus.connected(valkey) as redis:
        rooms = RoomLog(redis)
        await rooms.append(room, [came("a"), track("published", "t")])
        await rooms.touch(room)
        keys = [key async for key in redis.scan_iter(f"*{room.removeprefix('meetings/')}*")]
        assert len(keys) == 6
        for key in keys:
            assert 0 < await redis.ttl(key) <= room_log.LIFETIME_SECONDS
