"""Who is here: no ghosts, and nobody flickers who comes back in time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from pathlib import Path

import pytest
from parley.client._connection import PING_SECONDS, PROMISE_SECONDS
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from chassis.errors import Unavailable
from services.meeting.domain import MeetingEnded
from services.signaling import websocket
from services.signaling.config import Config
from services.signaling.departures import SWEEP_SECONDS
from services.signaling.hall import VANISHED_CUT_SECONDS
from services.signaling.keeper import LOOK_SECONDS
from services.signaling.sessions import RENEWALS_PER_LEASE, SWEPT, VANISHED_SECONDS
from tests.signaling_listener import TRANSPORTS, Listener
from tests.signaling_stand import Client, standing, until
from tests.wire.signaling.test_conversation import reason_of
from tests.wire.signaling.test_deaths import listening, publish_surely, speaking
from tests.wire.signaling.test_resume import reason_of_end, resumed


def test_a_ghost_is_gone_within_15_seconds() -> None:
    """The lease was renewed just before the crash, and swept just before it ran out."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    presence = float(str(defaults["presence_seconds"]))
    assert presence * (1 + 1 / RENEWALS_PER_LEASE) + 2 * SWEEP_SECONDS < 15


def test_who_vanishes_from_a_websocket_is_gone_within_15_seconds() -> None:
    """They vanished just after a ping was answered, and no TCP connection was closed by their side."""
    noticed = websocket.PING_SECONDS + websocket.PONG_SECONDS + websocket.CLOSE_SECONDS
    assert noticed + VANISHED_SECONDS + 2 * SWEEP_SECONDS < 15


def test_who_vanishes_from_a_stream_is_gone_within_15_seconds() -> None:
    """They vanished just after a ping, and their stream takes nothing any more: to be told of the end it has a moment."""
    noticed = PROMISE_SECONDS + LOOK_SECONDS + VANISHED_CUT_SECONDS
    assert noticed + VANISHED_SECONDS + 2 * SWEEP_SECONDS < 15
    assert PROMISE_SECONDS > 2 * PING_SECONDS, "a ping that is late is not made good by the next"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_whose_client_crashes_is_gone_and_can_come_back_to_their_seat(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setattr("services.signaling.conversation.IDLE_SECONDS", 600.0)
    async with standing(valkey, tmp_path, presence_seconds=1) as stand:
        ann, bob = Listener(stand, "connect", [0]), Listener(stand, transport, [0])
        async with listening(ann):
            async with listening(bob):
                await until(lambda: len(ann.people) == 2)
            await until(lambda: ann.left == [bob.participant])
            await until(lambda: bob.participant in stand.media.removed)
            assert stand.meeting.left(bob.participant) == 0, "the seat was not kept"
            bob.rebuilt = -1
            async with listening(bob):
                await until(lambda: len(ann.people) == 2)
                assert set(bob.people) == {ann.participant, bob.participant}
                await publish_surely(stand, 1)
                await until(lambda: ann.heard == bob.heard == ["1"])


async def test_whoever_comes_back_in_time_was_never_away(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, presence_seconds=2) as stand:
        ann = Listener(stand, "connect", [0])
        async with listening(ann):
            client, joined = await stand.joined()
            token, cursor = joined.joined.session_token, joined.sequence
            for _ in range(5):
                await client.break_off()
                client = await resumed(stand, token, cursor)
                cursor = (await client.hear("resumed")).sequence
            await publish_surely(stand, 1)
            await until(lambda: ann.heard == ["1"])
            assert (ann.left, len(ann.people)) == ([], 2)


async def test_a_crash_of_process_and_client_leaves_no_ghost(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, presence_seconds=1, resume_seconds=2) as stand:
        ann, bob = Listener(stand, "connect", [0]), Listener(stand, "connect", [1])
        process = await stand.start_apart()
        async with listening(ann):
            async with listening(bob):
                await until(lambda: len(ann.people) == 2)
                process.kill()
            await until(lambda: ann.left == [bob.participant])
            await until(lambda: stand.meeting.left(bob.participant) == 1)


async def test_nobody_comes_back_into_a_meeting_that_has_ended(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, presence_seconds=1) as stand:
        ann = Listener(stand, "connect", [0])
        async with listening(ann):
            client, joined = await stand.joined()
            await client.break_off()
            await until(lambda: len(ann.left) == 1)
            stand.meeting.error = MeetingEnded()
            client = await resumed(stand, joined.joined.session_token, joined.sequence)
            assert await reason_of_end(client) == "MEETING_ENDED"


async def test_when_nobody_could_renew_nobody_is_swept(valkey: str, tmp_path: Path) -> None:
    """As after Redis was away: the last sweep was long ago, and the lease has run out meanwhile."""
    async with standing(valkey, tmp_path, presence_seconds=1) as stand:
        ann = Listener(stand, "connect", [0])
        async with listening(ann), Redis.from_url(valkey) as redis:
            client, joined = await stand.joined()
            await client.break_off()
            until_then = asyncio.get_running_loop().time() + 2
            while asyncio.get_running_loop().time() < until_then:
                await redis.set(SWEPT, 0)
                await asyncio.sleep(0.01)
            client = await resumed(stand, joined.joined.session_token, joined.sequence)
            assert (await client.hear()).WhichOneof("message") == "resumed"
            assert ann.left == []


async def test_whoever_was_told_gone_while_media_is_away_is_gone_all_the_same(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, presence_seconds=1) as stand:
        ann = Listener(stand, "connect", [0])
        async with listening(ann):
            stand.media.error = Unavailable()
            client, joined = await stand.joined()
            await client.break_off()
            await until(lambda: len(ann.left) == 1)
            stand.media.error = None
            back = Listener(stand, "connect", [0])
            async with listening(back):
                await until(lambda: len(ann.people) == 2)
            assert joined.joined.session_token


@pytest.mark.parametrize("by_send", [False, True])
async def test_who_pinged_and_vanished_is_cut_and_gone(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_send: bool
) -> None:
    """A ping by Send goes to another process than that of the stream."""
    monkeypatch.setattr("services.signaling.conversation.SILENT_SECONDS", 0.3)
    async with standing(
        valkey, tmp_path, processes=2, presence_seconds=600, resume_seconds=900
    ) as stand:
        bob = stand.someone()
        client, joined = await stand.joined(bob)
        quiet = Listener(stand, "connect", [0])
        async with listening(quiet):
            await until(lambda: bob in quiet.people)
            if by_send:
                message = ClientMessage(id="a", ping=signaling_pb2.Ping())
                request = signaling_pb2.SendRequest(
                    session_token=joined.joined.session_token, message=message
                )
                channel = await stand.channel(1)
                await signaling_pb2_grpc.SignalingServiceStub(channel).Send(request)
            else:
                await client.say("a", ping={})
            assert (await client.hear("pong")).reply_to == "a"
            assert await reason_of_end(client) == "SILENT"
            await until(lambda: quiet.left == [bob])
            assert quiet.reasons == [], "who never pinged was cut"


async def test_who_keeps_a_promise_stays(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.keeper.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("services.signaling.conversation.SILENT_SECONDS", 0.1)
    async with standing(valkey, tmp_path) as stand:
        client, _ = await stand.joined()
        await client.say("a", ping={"next_within": {"seconds": 60}})
        await client.hear("pong")
        await asyncio.sleep(1)
        await client.say("b", restart_ice={})
        assert (await client.hear()).reply_to == "b"


async def test_nobody_is_taken_to_have_vanished_while_redis_is_away(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings that come by Send come by Redis."""

    async def renew(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("services.signaling.keeper.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("services.signaling.conversation.SILENT_SECONDS", 1.0)
    async with standing(valkey, tmp_path, presence_seconds=1, resume_seconds=900) as stand:
        client, _ = await stand.joined()
        await client.say("a", ping={})
        await client.hear("pong")
        with monkeypatch.context() as away:
            away.setattr("services.signaling.sessions.Sessions.renew", renew)
            await asyncio.sleep(3)
            await client.say("b", ping={})
            assert (await client.hear("pong")).reply_to == "b"


async def test_pings_are_in_no_log_and_pongs_move_the_cursor(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann = stand.someone()
        await stand.joined(ann)
        client, joined = await stand.joined()
        for mark in "abcdef":
            await client.say(mark, ping={})
            pong = await client.hear()
            assert (pong.reply_to, pong.sequence) == (mark, joined.sequence)
        offer = ServerMessage(subscribe_offer=signaling_pb2.SubscribeOffer(sdp="x", revision=1))
        sequence = await stand.publish(offer, participant=ann)
        assert sequence == joined.sequence + 1, "a ping is in the log"
        while (await pong_of(client)).sequence < sequence:  # it is read a moment later
            pass
        await client.break_off()
        client = await resumed(stand, joined.joined.session_token, sequence)
        await client.hear("resumed")
        await publish_surely(stand, 1)
        assert (await client.hear()).WhichOneof("message") == "speakers_changed"


async def test_a_flood_of_pings_is_bounded_and_in_no_log(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.conversation.MESSAGES_PER_SECOND", 0.0)
    monkeypatch.setattr("services.signaling.conversation.MESSAGE_BURST", 100.0)
    async with standing(valkey, tmp_path) as stand:
        client, joined = await stand.joined()
        for number in range(80):
            await client.say(str(number), ping={})
        pongs = [await client.hear()]
        while pongs[-1].reply_to != "79":
            pongs.append(await client.hear())
        assert {each.WhichOneof("message") for each in pongs} == {"pong"}
        assert {each.sequence for each in pongs} == {joined.sequence}
        assert await stand.publish(speaking("a")) == joined.sequence + 1, "a ping is in the log"
        for _ in range(21):
            await client.say(ping={})
        assert reason_of(await client.hear("refused")) == "RATE_LIMITED"


@pytest.mark.parametrize("seed", range(3))
async def test_pongs_between_events_lose_none_and_double_none(
    valkey: str, tmp_path: Path, seed: int
) -> None:
    """Wherever a connection breaks off, the sequence heard last is a cursor, a pong's too."""
    chance = random.Random(seed)
    async with standing(valkey, tmp_path, processes=2) as stand:
        client, joined = await stand.joined()
        token, cursor = joined.joined.session_token, joined.sequence
        heard: list[str] = []
        said = 0
        for _ in range(20):
            for _ in range(chance.randrange(5)):
                await stand.publish(speaking(str(said := said + 1)))
                await client.say(str(said), ping={})
            await client.say("last", ping={})
            for _ in range(chance.randrange(1, 5)):
                message = await client.hear()
                assert message.sequence >= cursor, "a cursor goes back"
                cursor = message.sequence
                heard += message.speakers_changed.speakers
                if message.reply_to == "last":
                    break
            await client.break_off()
            client = await resumed(stand, token, cursor)
        await stand.publish(speaking("end"))
        while not heard or heard[-1] != "end":
            heard += (await client.hear()).speakers_changed.speakers
        assert heard == [*map(str, range(1, said + 1)), "end"]


async def pong_of(client: Client) -> ServerMessage:
    await client.say(ping={})
    return await client.hear("pong")


async def test_who_vanishes_from_a_websocket_is_gone_though_nothing_was_closed(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PING_SECONDS", "PONG_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(websocket, name, 0.3)
    async with standing(valkey, tmp_path, presence_seconds=600, resume_seconds=900) as stand:
        ann = Listener(stand, "connect", [0])
        async with listening(ann), connect(stand.websocket_url()) as bob:
            participant = stand.someone()
            await bob.send(json.dumps({"join": {"ticket": stand.ticket(participant)}}))
            await until(lambda: participant in ann.people)
            bob.transport.pause_reading()  # nothing is read, so that no ping is answered
            await until(lambda: ann.left == [participant])
            bob.transport.abort()


async def test_who_belongs_elsewhere_is_told_once_they_are_in(valkey: str, tmp_path: Path) -> None:
    """Whatever was told before one's `joined` is not heard."""
    async with standing(valkey, tmp_path) as stand:
        stand.meeting.elsewhere = "meetings/aaa-bbbb-ccc"
        client, joined = await stand.joined()
        moved = await client.hear("moved")
        assert moved.moved.meeting == "meetings/aaa-bbbb-ccc"
        assert moved.sequence > joined.sequence
