"""Reactions, and hands in the order of raising: over real Valkey, across resumes and the death of a process."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.meeting.room.notes import NotesBehind
from services.signaling import gestures
from services.signaling.sessions import REACTION_LIMIT
from tests.signaling_stand import Client, Stand, standing


def hands(message: ServerMessage) -> list[str]:
    return list(message.hands_changed.hands)


async def refused(client: Client, **message: Any) -> str:
    await client.say("no", **message)
    answer = await client.hear("refused")
    assert answer.reply_to == "no"
    info = ErrorInfo()
    assert answer.refused.status.details[0].Unpack(info)
    return str(info.reason)


async def a_guest(stand: Stand) -> tuple[Client, ServerMessage]:
    """Join as somebody who is no host."""
    claims = {
        "sub": stand.someone(),
        "user": "users/8",
        "display_name": "Bob",
        "role": "participant",
        "grants": {"publish": [], "subscribe": True},
        "voice_activity": True,
    }
    client = await stand.client()
    ticket = stand.identity("meeting").sign(claims, "parley-signaling", timedelta(minutes=10))
    await client.say("join", join={"ticket": ticket})
    return client, await client.hear("joined")


async def test_a_reaction_is_shown_to_everyone(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        ann, joined = await stand.joined()
        bob, _ = await stand.joined(process=1)
        await ann.say("r", send_reaction={"emoji": "👍🏽"})
        assert (await ann.hear("accepted")).reply_to == "r"
        shown = (await bob.hear("reaction")).reaction
        assert (shown.participant, shown.emoji) == (joined.joined.participant.name, "👍🏽")


async def test_what_is_no_emoji_or_too_much_is_refused(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, _ = await stand.joined()
        for text in ("hello", "👍 ", "👍a", " ", "+1", "<", "\u200d"):
            assert await refused(ann, send_reaction={"emoji": text}) == "INVALID_ARGUMENT"
        for _ in range(REACTION_LIMIT):
            await ann.say("r", send_reaction={"emoji": "🎉"})
            await ann.hear("accepted")
        assert await refused(ann, send_reaction={"emoji": "🎉"}) == "RATE_LIMITED"


async def test_hands_keep_their_order_and_are_lowered(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        people = [await stand.joined(process=number % 2) for number in range(3)]
        names = [joined.joined.participant.name for _, joined in people]
        for client, _ in reversed(people):
            await client.say("up", set_hand_raised={"raised": True})
            await client.hear("accepted")
        watcher = people[0][0]
        _, joined = await stand.joined()
        assert list(joined.joined.hands) == [names[2], names[1], names[0]]
        await people[2][0].say("again", set_hand_raised={"raised": True})
        assert (await people[2][0].hear("accepted")).reply_to == "again"
        _, later = await stand.joined()
        assert list(later.joined.hands) == list(joined.joined.hands)
        await people[2][0].say("down", set_hand_raised={"raised": False})
        assert hands(await watcher.hear("hands_changed")) == [names[1], names[0]]
        await people[2][0].say("up", set_hand_raised={"raised": True})
        assert hands(await watcher.hear("hands_changed")) == [names[1], names[0], names[2]]


async def test_hosts_lower_the_hands_of_others_and_nobody_raises_them(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        host, joined = await stand.joined()
        guest, came = await a_guest(stand)
        host_name, guest_name = joined.joined.participant.name, came.joined.participant.name
        await host.say("up", set_hand_raised={"raised": True})
        await guest.say("up", set_hand_raised={"raised": True})
        lower = {"raised": False, "participant": host_name}
        assert await refused(guest, set_hand_raised=lower) == "NOT_HOST"
        raise_other = {"raised": True, "participant": guest_name}
        assert await refused(host, set_hand_raised=raise_other) == "INVALID_ARGUMENT"
        await host.say("x", set_hand_raised={"raised": False, "participant": guest_name})
        while hands(await guest.hear("hands_changed")) != [host_name]:
            pass


async def test_whoever_leaves_takes_the_hand_down_with_them(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, _ = await stand.joined()
        bob, joined = await stand.joined()
        await bob.say("up", set_hand_raised={"raised": True})
        assert hands(await ann.hear("hands_changed")) == [joined.joined.participant.name]
        await bob.say("", leave={})
        assert hands(await ann.hear("hands_changed")) == []
        await ann.hear("participant_left")
        _, late = await stand.joined()
        assert list(late.joined.hands) == []


async def test_hands_outlast_a_killed_process_and_a_resume(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        apart = await stand.start_apart()
        ann, joined = await stand.joined(process=1)
        bob, came = await stand.joined(process=1)
        await bob.say("up", set_hand_raised={"raised": True})
        await bob.hear("accepted")
        await ann.say("up", set_hand_raised={"raised": True})
        seen = await ann.hear("accepted")
        apart.kill()
        await apart.wait()
        client = await stand.client()
        token = joined.joined.session_token
        await client.say("again", resume={"session_token": token, "cursor": joined.sequence})
        expected = [came.joined.participant.name, joined.joined.participant.name]
        assert hands(await client.hear("hands_changed")) == expected[:1]
        assert hands(await client.hear("hands_changed")) == expected
        await client.hear("resumed")
        _, late = await stand.joined()
        assert list(late.joined.hands) == expected
        assert seen.sequence < late.sequence


async def test_many_raise_at_once_and_everyone_sees_one_order(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path, processes=2) as stand:
        watcher, _ = await stand.joined()
        people = [await stand.joined(process=number % 2) for number in range(20)]
        await asyncio.gather(
            *(client.say("up", set_hand_raised={"raised": True}) for client, _ in people)
        )
        order: list[str] = []
        while len(order) < len(people):
            now = hands(await watcher.hear("hands_changed"))
            assert now[:-1] == order
            order = now
        _, late = await stand.joined()
        assert list(late.joined.hands) == order


async def test_no_more_hands_than_a_room_shows(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gestures, "MAX_HANDS", 1)
    async with standing(valkey, tmp_path) as stand:
        ann, _ = await stand.joined()
        bob, _ = await stand.joined()
        await ann.say("up", set_hand_raised={"raised": True})
        await ann.hear("accepted")
        assert await refused(bob, set_hand_raised={"raised": True}) == "TOO_MANY_HANDS"


async def test_what_is_written_in_the_notes_goes_to_the_meeting_service(
    valkey: str, tmp_path: Path
) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, joined = await stand.joined()
        await ann.say("n", update_notes={"update": b"\x01\x02"})
        assert (await ann.hear("accepted")).reply_to == "n"
        assert stand.meeting.written == [(joined.joined.participant.name, b"\x01\x02")]
        stand.meeting.error = NotesBehind()
        assert await refused(ann, update_notes={"update": b"\x01"}) == "NOTES_BEHIND"


async def test_hands_go_with_the_meeting(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        ann, _ = await stand.joined()
        await ann.say("up", set_hand_raised={"raised": True})
        await ann.hear("accepted")
        await stand.publish(ServerMessage(meeting_ended=signaling_pb2.MeetingEnded()))
        _, late = await stand.joined()
        assert list(late.joined.hands) == []


@pytest.mark.parametrize("emoji", ["👍", "❤️", "👨‍👩‍👧‍👦", "🇩🇪", "3️⃣", "‼️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©", "☝🏿", "➕"])
def test_what_is_an_emoji(emoji: str) -> None:
    assert gestures.is_emoji(emoji)
    assert len(emoji.encode()) <= 32
