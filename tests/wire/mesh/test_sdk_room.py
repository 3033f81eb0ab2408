"""The SDK's rooms against a signaling that breaks off: nothing is missed or told twice, and what is lost is told."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from parley.client import Missed, ParleyError, Room, Snapshot, _connection
from parley.meeting.v1.meeting_pb2 import PARTICIPANT_STATE_DENIED, PARTICIPANT_STATE_JOINING
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import Caption, ClientMessage

from chassis.errors import FailedPrecondition, PermissionDenied, Unavailable, to_status
from tests.sdk_stand import ME, MEETING, Line, SessionExpired, StateLost, signed_in

LINK = "https://meet.example.org/abc-defg-hij#key"


class TakenOver(FailedPrecondition):
    reason = "TAKEN_OVER"


async def to_the_end(line: Line) -> None:
    """Wait for the client to leave, and let it go."""
    while not (await line.heard()).HasField("leave"):
        pass
    left = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_LEFT)
    await line.say(1_000_000, disconnected=left)


async def beginning(line: Line) -> None:
    """Let the client in, until it leaves."""
    await line.joined(1)
    await to_the_end(line)


async def read(room: Room, count: int) -> list[tuple[str, int]]:
    """Read so many events."""
    events = room.events()
    async with asyncio.timeout(20):
        found = [await anext(events) for _ in range(count)]
    return [(event.kind, event.sequence) for event in found]


async def test_who_waits_in_the_lobby_is_let_in_though_the_stream_breaks_off() -> None:
    async with signed_in() as (server, parley):
        server.visits.extend((None, None, PARTICIPANT_STATE_JOINING))
        server.lines.append(beginning)
        async with parley.join(LINK) as room:
            assert room.meeting.name == MEETING
        assert server.called["WaitForAdmission"] == 3
        assert server.openings[0].join.ticket == "ticket of the lobby"


async def test_who_is_turned_away_is_told_so_and_who_has_lost_their_place_too() -> None:
    async with signed_in() as (server, parley):
        server.visits.append(PARTICIPANT_STATE_DENIED)
        with pytest.raises(ParleyError, match="A host did not let you in") as caught:
            async with parley.join(LINK):
                pass
        assert caught.value.code == grpc.StatusCode.PERMISSION_DENIED
        server.visits.append(PARTICIPANT_STATE_JOINING)
        server.failures["WaitForAdmission"] = deque([FailedPrecondition(text="gone")])
        with pytest.raises(ParleyError) as caught:
            async with parley.join(LINK):
                pass
        assert caught.value.code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_stream_that_is_cut_is_taken_up_after_the_last_event() -> None:
    async def cut(line: Line) -> None:
        await line.joined(5)
        await line.reaction(6)
        await line.reaction(9)
        await line.fail(Unavailable(retry_after=0.05))

    async def again(line: Line) -> None:
        await line.reaction(9)  # told twice: a server that is wrong does no harm
        await line.reaction(12)
        await line.resumed(12)
        await line.reaction(13)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((cut, again))
        async with parley.join(LINK, name="Bot") as room:
            assert room.meeting.name == MEETING
            assert room.participant.name == ME
            told = await read(room, 5)
            assert told == [("snapshot", 5), *(("reaction", each) for each in (6, 9, 12, 13))]
            await room.leave()
            rest = [event.kind async for event in room.events()]
            assert rest == ["disconnected"], "then it ends"
        joined, resumed = server.openings
        assert joined.join.ticket == "ticket-1"
        assert (resumed.resume.session_token, resumed.resume.cursor) == ("session", 9)


async def test_when_state_is_lost_a_new_snapshot_says_so() -> None:
    async def lost(line: Line) -> None:
        await line.joined(1_000)
        await line.fail(StateLost())

    async def anew(line: Line) -> None:
        await line.joined(7, token="other")  # even where the numbers begin anew
        await line.reaction(8)
        await line.fail(Unavailable(retry_after=0.01))

    async def again(line: Line) -> None:
        await line.resumed(8)
        await line.reaction(9)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((lost, anew, again))
        async with parley.join("abc-defg-hij") as room:
            events = room.events()
            first, second = await anext(events), await anext(events)
            assert isinstance(first, Snapshot)
            assert isinstance(second, Snapshot)
            assert (first.again, second.again) == (False, True)
            assert second.joined.participants[0].name == ME
            assert await read(room, 2) == [("reaction", 8), ("reaction", 9)]
        assert [each.resume.cursor for each in server.openings] == [0, 1_000, 8]
        assert server.openings[2].resume.session_token == "other"


async def test_a_session_that_has_expired_is_joined_anew() -> None:
    async def cut(line: Line) -> None:
        await line.joined(5)
        await line.fail(Unavailable(retry_after=0.01))

    async def expired(line: Line) -> None:
        await line.fail(SessionExpired())

    async def anew(line: Line) -> None:
        await line.joined(50)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((cut, expired, anew))
        async with parley.join("abc-defg-hij") as room:
            assert await read(room, 2) == [("snapshot", 5), ("snapshot", 50)]
        assert [each.join.ticket for each in server.openings] == ["ticket-1", "", "ticket-2"]


async def test_a_slow_reader_is_told_how_much_it_missed_and_the_room_goes_on() -> None:
    async def talkative(line: Line) -> None:
        await line.joined(1)
        for sequence in range(2, 102):
            await line.reaction(sequence)
        said = await line.heard()
        await line.say(102, said.id, accepted=signaling_pb2.Accepted())
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.append(talkative)
        async with parley.join("abc-defg-hij", buffer=10) as room:
            await room.raise_hand()  # answered after all of it: nobody waits for the reader
            events = room.events()
            missed = await anext(events)
            assert isinstance(missed, Missed)
            assert missed.count == 91
            assert await read(room, 10) == [("reaction", each) for each in range(92, 102)]


async def test_captions_are_whole_sentences_each_once() -> None:
    def caption(text: str, final: bool, **more: Any) -> Caption:
        told = Caption(participant=ME, **more)
        told.speech.text = text
        told.speech.final = final
        return told

    async def speaking(line: Line) -> None:
        await line.joined(1)
        await line.say(2, caption=caption("Good", final=False))
        await line.say(3, caption=caption("Good morning.", final=True))
        more = caption("Good morning.", final=True, translations={"de": "Guten Morgen."})
        await line.say(4, caption=more)
        await line.say(5, meeting_ended=signaling_pb2.MeetingEnded())

    async with signed_in() as (server, parley):
        server.lines.append(speaking)
        async with parley.join("abc-defg-hij") as room:
            texts = [caption.speech.text async for caption in room.captions()]
            assert texts == ["Good morning."]
            message = await room.chat("Hello.")
            assert message.text == "Hello."
        assert server.written == ["Hello."]


async def test_an_answer_comes_over_a_break_and_a_refusal_is_an_error() -> None:
    asked: list[ClientMessage] = []

    async def cut(line: Line) -> None:
        await line.joined(1)
        asked.append(await line.heard())
        await line.fail(Unavailable(retry_after=0.01))

    async def again(line: Line) -> None:
        await line.say(2, asked[0].id, accepted=signaling_pb2.Accepted())
        await line.resumed(2)
        said = await line.heard()
        status: Status = to_status(PermissionDenied(text="Not you."))
        await line.say(3, said.id, refused=signaling_pb2.Refused(status=status))
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((cut, again))
        async with parley.join("abc-defg-hij") as room:
            await room.raise_hand()
            with pytest.raises(ParleyError, match=r"PERMISSION_DENIED.*Not you\."):
                await room.react("👋")
        assert asked[0].set_hand_raised.raised


async def test_what_is_not_answered_before_all_began_anew_fails() -> None:
    async def lost(line: Line) -> None:
        await line.joined(1)
        await line.heard()
        await line.fail(StateLost())

    async def anew(line: Line) -> None:
        await line.joined(2)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((lost, anew))
        async with parley.join("abc-defg-hij") as room:
            with pytest.raises(ParleyError, match="is not known"):
                await room.raise_hand()


async def test_who_is_taken_over_does_not_come_back() -> None:
    async def taken(line: Line) -> None:
        await line.joined(1)
        await line.fail(TakenOver())

    async with signed_in() as (server, parley):
        server.lines.append(taken)
        async with parley.join("abc-defg-hij") as room:
            with pytest.raises(ParleyError, match="TAKEN_OVER"):
                async for _ in room.events():
                    pass
            with pytest.raises(ParleyError, match="over"):
                await room.raise_hand()
        assert len(server.openings) == 1


async def test_a_server_that_stays_away_ends_the_room_when_patience_is_over() -> None:
    async def cut(line: Line) -> None:
        await line.joined(1)
        await line.fail(Unavailable(retry_after=30))

    async with signed_in() as (server, parley):
        server.lines.append(cut)
        async with parley.join("abc-defg-hij", patience=5) as room:
            with pytest.raises(ParleyError, match="UNAVAILABLE"):
                async for _ in room.events():
                    pass


async def test_who_can_not_join_is_told_why() -> None:
    async with signed_in() as (server, parley):
        server.failures["JoinMeeting"] = deque([PermissionDenied(text="The passcode is wrong.")])
        with pytest.raises(ParleyError, match="passcode"):
            async with parley.join("abc-defg-hij"):
                pass
        assert not server.openings


async def test_who_goes_while_the_line_is_cut_leaves_by_a_call() -> None:
    async def cut(line: Line) -> None:
        await line.joined(1)
        await line.fail(Unavailable(retry_after=60))

    async with signed_in() as (server, parley):
        server.lines.append(cut)
        async with parley.join("abc-defg-hij") as room:
            await read(room, 1)
            while room._connection is not None:  # noqa: ASYNC110  # it is about to break
                await asyncio.sleep(0.01)
        assert server.called["LeaveMeeting"] == 1


async def test_a_server_that_says_nothing_is_left_and_one_that_answers_pings_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_connection, "PING_SECONDS", 0.05)
    monkeypatch.setattr(_connection, "SILENCE_SECONDS", 0.5)

    async def mute(line: Line) -> None:
        await line.joined(1)
        line.answers_pings = False
        await line.heard()

    async def alive(line: Line) -> None:
        await line.resumed(1)
        while line.pings < 20:
            await line.next()
        await line.reaction(2)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((mute, alive))
        async with parley.join("abc-defg-hij") as room:
            assert await read(room, 2) == [("snapshot", 1), ("reaction", 2)]
        assert len(server.openings) == 2


async def test_a_connection_begins_with_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who vanishes before their first ping has promised nothing, and stays in the room as a ghost."""
    monkeypatch.setattr(_connection, "PING_SECONDS", 600.0)

    async def cut(line: Line) -> None:
        await line.joined(1)
        assert (await line.next()).ping.next_within.seconds == _connection.PROMISE_SECONDS
        await line.fail(Unavailable())

    async def alive(line: Line) -> None:
        await line.resumed(1)
        assert (await line.next()).ping.next_within.seconds == _connection.PROMISE_SECONDS
        await line.reaction(2)
        await to_the_end(line)

    async with signed_in() as (server, parley):
        server.lines.extend((cut, alive))
        async with parley.join("abc-defg-hij") as room:
            assert await read(room, 2) == [("snapshot", 1), ("reaction", 2)]
