"""Conversations that break off and go on: nothing missed, nothing twice, on whichever process."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import grpc
import pytest
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import channels
from chassis.errors import Unavailable
from tests.signaling_stand import LONG_SECONDS, Client, Stand, standing, until


def speaking(name: str) -> ServerMessage:
    return ServerMessage(speakers_changed=signaling_pb2.SpeakersChanged(speakers=[name]))


async def resumed(stand: Stand, token: str, cursor: int, process: int = 0) -> Client:
    client = await stand.client(process)
    await client.say("again", resume={"session_token": token, "cursor": cursor})
    return client


async def reason_of_end(client: Client) -> str:
    async with asyncio.timeout(LONG_SECONDS):
        while True:
            try:
                await client.hear()
            except grpc.aio.AioRpcError as error:
                return channels.reason(error)


@pytest.mark.parametrize("seed", range(4))
async def test_random_cuts_lose_nothing_and_double_nothing(
    valkey: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with standing(valkey, tmp_path, processes=2) as stand:
        client, joined = await stand.joined()
        token, cursor = joined.joined.session_token, joined.sequence
        heard: list[str] = []

        async def talk() -> None:
            for number in range(300):
                await stand.publish(speaking(str(number)))
                if chance.random() < 0.2:
                    await asyncio.sleep(0)

        talking = asyncio.create_task(talk())
        async with asyncio.timeout(60):
            while "299" not in heard:
                for _ in range(chance.randrange(0, 40)):
                    message = await client.hear()
                    assert message.sequence > cursor
                    cursor = message.sequence
                    heard += message.speakers_changed.speakers
                    if "299" in heard:
                        break
                if chance.random() < 0.7:
                    await client.break_off()
                client = await resumed(stand, token, cursor, chance.randrange(2))
        await talking
        assert heard == [str(number) for number in range(300)]


async def test_everything_missed_comes_before_resumed(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        client, joined = await stand.joined()
        await client.break_off()
        for number in range(5):
            await stand.publish(*[speaking(str(number))] * 256)
        client = await resumed(stand, joined.joined.session_token, joined.sequence, process=1)
        kinds = [(await client.hear()).WhichOneof("message") for _ in range(5 * 256 + 1)]
        assert kinds == ["speakers_changed"] * 5 * 256 + ["resumed"]


async def test_a_newer_connection_takes_over(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        older, joined = await stand.joined()
        token = joined.joined.session_token
        newer = await resumed(stand, token, joined.sequence, process=1)
        answer = await newer.hear("resumed")
        assert answer.reply_to == "again"
        assert await reason_of_end(older) == "TAKEN_OVER"
        newest = await resumed(stand, token, joined.sequence)
        await newest.hear("resumed")
        assert await reason_of_end(newer) == "TAKEN_OVER"
        await newest.say("x", ping={})
        assert (await newest.hear("pong")).reply_to == "x"


@pytest.mark.parametrize("cursor", [0, 10_000])
async def test_a_cursor_that_the_log_does_not_cover_is_answered_by_all_that_is_true(
    valkey: str, tmp_path: Path, cursor: int
) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann = stand.someone()
        older, joined = await stand.joined(ann)
        token = joined.joined.session_token
        client = await resumed(stand, token, cursor)
        again = await client.hear()
        assert again.reply_to == "again"
        assert again.joined.session_token == token
        assert [person.name for person in again.joined.participants] == [ann]
        assert await reason_of_end(older) == "TAKEN_OVER"
        await client.say("x", restart_ice={})
        assert (await client.hear()).reply_to == "x"


@pytest.mark.parametrize("token", ["nobody.secret", "nonsense", "{id}.guessed"])
async def test_a_token_that_is_not_ones_own_resumes_nothing(
    valkey: str, tmp_path: Path, token: str
) -> None:
    async with standing(valkey, tmp_path) as stand:
        _, joined = await stand.joined()
        identifier = joined.joined.session_token.partition(".")[0]
        client = await resumed(stand, token.format(id=identifier), joined.sequence)
        assert await reason_of_end(client) == "SESSION_EXPIRED"


async def test_who_does_not_come_back_is_swept_once_by_any_process(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, processes=3, resume_seconds=1) as stand:
        ann, bob = stand.someone(), stand.someone()
        first, _ = await stand.joined(ann, process=1)
        second, joined = await stand.joined(bob, process=2)
        await second.break_off()
        left = await first.hear("participant_left")
        assert left.participant_left.participant == bob
        await until(lambda: bob in stand.media.removed)
        client = await resumed(stand, joined.joined.session_token, joined.sequence)
        assert await reason_of_end(client) == "SESSION_EXPIRED"
        await until(lambda: stand.meeting.left(bob) == 1)
        await stand.publish(speaking("x"))
        assert (await first.hear()).WhichOneof("message") == "speakers_changed"
        assert stand.meeting.left(ann) == 0, "who is there was swept"


async def test_a_departure_is_told_again_until_the_others_have_heard_it(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.sessions.CLAIM_SECONDS", 0.2)
    async with standing(valkey, tmp_path) as stand:
        bob = stand.someone()
        first, _ = await stand.joined()
        second, _ = await stand.joined(bob)
        stand.media.error = Unavailable()
        await second.say(leave={})
        await second.hear("disconnected")
        await first.hear("participant_left")
        await until(lambda: stand.meeting.left(bob) > 1)
        assert bob not in stand.media.removed
        stand.media.error = None
        await until(lambda: bob in stand.media.removed)


async def test_whom_a_killed_process_served_resumes_elsewhere_or_is_swept(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path, resume_seconds=2) as stand:
        ann, bob = stand.someone(), stand.someone()
        process = await stand.start_apart()
        _, joined = await stand.joined(ann, process=1)
        await stand.joined(bob, process=1)
        process.kill()
        await process.wait()
        await stand.publish(speaking("meanwhile"))
        client = await resumed(stand, joined.joined.session_token, joined.sequence, process=0)
        assert (await client.hear()).participant_joined.participant.name == bob
        assert (await client.hear()).speakers_changed.speakers == ["meanwhile"]
        await client.hear("resumed")
        assert (await client.hear("participant_left")).participant_left.participant == bob
        await until(lambda: bob in stand.media.removed)
        assert ann not in stand.media.removed


async def test_a_process_that_stops_sends_its_clients_on(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        process = await stand.start()
        client, joined = await stand.joined(process=1)
        stopping = asyncio.create_task(process.aclose())
        assert await reason_of_end(client) == "DRAINING"
        await stand.publish(speaking("meanwhile"))
        client = await resumed(stand, joined.joined.session_token, joined.sequence, process=0)
        assert (await client.hear()).speakers_changed.speakers == ["meanwhile"]
        await client.hear("resumed")
        await stopping


async def test_a_reader_who_is_too_slow_is_told_to_resume_and_then_has_everything(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.rooms.QUEUE", 20)
    monkeypatch.setattr("services.signaling.hall.CUT_SECONDS", 0.5)
    async with standing(valkey, tmp_path) as stand:
        client, joined = await stand.joined()
        bystander, _ = await stand.joined()
        token, cursor = joined.joined.session_token, joined.sequence
        large = "x" * 50_000
        reading = asyncio.create_task(bystander.hear("meeting_ended"))
        for number in range(100):
            await stand.publish(speaking(f"{number} {large}"))
        heard: list[int] = []
        ends: list[str] = []
        async with asyncio.timeout(LONG_SECONDS):
            while 99 not in heard:
                try:
                    message = await client.hear()
                except grpc.aio.AioRpcError as error:
                    ends.append(channels.reason(error) or error.code().name)
                    client = await resumed(stand, token, cursor)
                    continue
                assert message.sequence > cursor
                cursor = message.sequence
                heard += [int(each.split()[0]) for each in message.speakers_changed.speakers]
        assert heard == list(range(100))
        assert set(ends) <= {"TOO_SLOW", "CANCELLED"}
        assert ends, "nothing bounded the slow reader"
        reading.cancel()
