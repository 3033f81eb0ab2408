"""Conversations over the WebSocket, and what happens to frames that are none."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.signaling_stand import Stand, standing

NOT_MESSAGES = [
    "",
    "nonsense",
    "[]",
    "{",
    '{"no_such_field": 1}',
    '{"ping": 7}',
    '{"publish_offer": {"sdp": 1}}',
    "[" * 10_000,
    '{"ping": {}, "leave": {}}',
]


async def say(connection: ClientConnection, **message: Any) -> None:
    await connection.send(json.dumps(message))


async def hear(connection: ClientConnection, kind: str = "") -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await connection.recv())
        if not kind or kind in message:
            return message


async def joined(stand: Stand, connection: ClientConnection) -> dict[str, Any]:
    await say(connection, id="j", join={"ticket": stand.ticket(stand.someone())})
    return await hear(connection, "joined")


async def close_of(connection: ClientConnection) -> tuple[int, str]:
    try:
        while True:
            await connection.recv()
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code, closed.rcvd.reason


def reason_of(message: dict[str, Any]) -> str:
    return str(message["refused"]["status"]["details"][0]["reason"])


async def test_a_conversation_in_json(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand, connect(stand.websocket_url()) as connection:
        first = await joined(stand, connection)
        assert first["reply_to"] == "j"
        assert first["joined"]["session_token"]
        offer = {"sdp": "v=0", "tracks": [{"mid": "0", "source": "TRACK_SOURCE_CAMERA"}]}
        await say(connection, id="a", publish_offer=offer)
        answer = await hear(connection, "publish_answer")
        assert answer["publish_answer"]["tracks"] == [{"mid": "0", "track_id": "track-0"}]
        await say(connection, leave={})
        assert "disconnected" in await hear(connection)
        assert await close_of(connection) == (1000, "OVER")


async def test_it_is_resumed_on_another_process(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        async with connect(stand.websocket_url(0)) as connection:
            first = await joined(stand, connection)
        event = signaling_pb2.SpeakersChanged(speakers=["somebody"])
        await stand.publish(ServerMessage(speakers_changed=event))
        async with connect(stand.websocket_url(1)) as connection:
            token = first["joined"]["session_token"]
            await say(connection, resume={"session_token": token, "cursor": first["sequence"]})
            assert (await hear(connection))["speakers_changed"]["speakers"] == ["somebody"]
            assert "resumed" in await hear(connection)


async def test_what_is_no_message_is_refused_and_the_conversation_goes_on(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand, connect(stand.websocket_url()) as connection:
        await joined(stand, connection)
        for text in NOT_MESSAGES:
            await connection.send(text)
            assert reason_of(await hear(connection)) in ("MESSAGE_MALFORMED", "INVALID_ARGUMENT")
        await say(connection, id="a", restart_ice={})
        assert (await hear(connection))["reply_to"] == "a"


async def test_who_sends_nothing_but_nonsense_is_cut_and_nobody_else(
    valkey: str, tmp_path: Path
) -> None:
    async with (
        standing(valkey, tmp_path) as stand,
        connect(stand.websocket_url()) as connection,
        connect(stand.websocket_url()) as bystander,
    ):
        await joined(stand, connection)
        await joined(stand, bystander)
        for _ in range(20):
            await connection.send(b"\x00\xff")
        assert await close_of(connection) == (4003, "MESSAGE_MALFORMED")
        await say(bystander, id="a", ping={})
        assert (await hear(bystander, "pong"))["reply_to"] == "a"


async def test_a_message_that_breaks_a_rule_is_refused_with_its_mark(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand, connect(stand.websocket_url()) as connection:
        await joined(stand, connection)
        await say(connection, id="a", publish_offer={"sdp": ""})
        refused = await hear(connection)
        assert (refused["reply_to"], reason_of(refused)) == ("a", "INVALID_ARGUMENT")
        assert "publish_offer.sdp" in json.dumps(refused)
        await say(connection, id="b")
        assert reason_of(await hear(connection)) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        ("nonsense", 4003, "MESSAGE_MALFORMED"),
        ('{"ping": {}}', 4003, "JOIN_FIRST"),
        ('{"join": {"ticket": "x"}}', 4016, "TICKET_INVALID"),
        ('{"join": {}}', 4003, "INVALID_ARGUMENT"),
        ('{"resume": {"session_token": "a.b", "cursor": "1"}}', 4016, "SESSION_EXPIRED"),
    ],
)
async def test_what_opens_nothing_closes_with_its_reason(
    valkey: str, tmp_path: Path, first: str, code: int, reason: str
) -> None:
    async with standing(valkey, tmp_path) as stand, connect(stand.websocket_url()) as connection:
        await connection.send(first)
        assert await close_of(connection) == (code, reason)


async def test_a_frame_that_is_too_large_closes(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand, connect(stand.websocket_url()) as connection:
        await joined(stand, connection)
        await connection.send("x" * 600_000)
        assert (await close_of(connection))[0] == 1009


async def test_pages_of_strangers_may_not_connect(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        with pytest.raises(InvalidStatus) as caught:
            await connect(stand.websocket_url(), origin="https://evil.example")  # type: ignore[arg-type]  # an Origin is text
        assert caught.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as caught:
            await connect(stand.websocket_url().replace("/ws/", "/x/"))
        assert caught.value.response.status_code == 404
        async with connect(stand.websocket_url(), origin=stand.config.public_url):  # type: ignore[arg-type]
            pass


async def test_a_process_that_stops_closes_as_going_away(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        process = await stand.start()
        async with connect(stand.websocket_url(1)) as connection:
            await joined(stand, connection)
            await process.aclose()
            assert await close_of(connection) == (1001, "DRAINING")


async def test_a_reader_who_reads_nothing_is_cut(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signaling.rooms.QUEUE", 20)
    monkeypatch.setattr("services.signaling.hall.CUT_SECONDS", 0.2)
    async with standing(valkey, tmp_path) as stand:
        async with connect(stand.websocket_url(), max_queue=1) as connection:
            await joined(stand, connection)
            for number in range(200):
                event = signaling_pb2.SpeakersChanged(speakers=[f"{number} " + "x" * 50_000])
                await stand.publish(ServerMessage(speakers_changed=event))
            heard = 0
            with suppress(ConnectionClosed):
                while await connection.recv():
                    heard += 1
            assert heard < 200, "all of it was queued for a reader who read nothing"
        bystander, _ = await stand.joined()
        await bystander.say("a", ping={})
        assert (await bystander.hear("pong")).reply_to == "a"
