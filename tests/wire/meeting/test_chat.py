"""Chat over real gRPC on real Postgres: who reads what, who may change it, and that rooms are told once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from parley.meeting.v1 import chat_pb2, settings_pb2
from parley.signaling.v1 import signaling_pb2

from chassis import db
from services.meeting.app import MIGRATIONS
from services.meeting.room.chat import BURST, MAX_MESSAGES
from services.meeting.transcripts.summary import PATIENCE
from tests.conftest import DatabaseFactory
from tests.meeting_stand import refusal
from tests.room_stand import Room, Somebody, a_room, retention_of

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def room(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(database, tmp_path) as it:
        yield it


@pytest.fixture
async def ann(room: Room) -> Somebody:
    return await room.comes("Ann")


@pytest.fixture
async def bob(room: Room) -> Somebody:
    return await room.comes("Bob")


async def test_what_is_written_is_read_by_all_and_told_to_the_room(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    first = await ann.write(" Hello,\r\nall\0 ")
    reply = await bob.write("Hello Ann", reply_to=first.name)
    assert (first.text, first.sender, first.sender_display_name) == (
        "Hello,\nall",
        ann.participant,
        "Ann",
    )
    assert reply.reply_to == first.name
    assert list((await room.host.history()).chat_messages) == [reply, first]
    told = await room.hears("chat_changed", lambda told: len(told) == 2)
    assert [each.message.chat_changed.chat_message for each in told] == [first, reply]
    assert {each.participant for each in told} == {""}


async def test_what_is_private_is_for_two_whichever_way_they_come(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    private = await ann.write("between us", recipient=bob.participant)
    again = await room.comes("Bob again", bob.person)
    assert await ann.texts() == await bob.texts() == ["between us"]
    assert await room.host.texts() == []
    told = await room.hears("chat_changed", lambda told: len(told) == 2)
    assert {each.participant for each in told} == {ann.participant, bob.participant}
    await again.write("yes", recipient=ann.participant, reply_to=private.name)
    told = await room.hears("chat_changed", lambda told: len(told) == 5)
    assert {each.participant for each in told[2:]} == {
        ann.participant,
        bob.participant,
        again.participant,
    }
    assert await refusal(room.host.delete(private.name)) == "CHAT_MESSAGE_NOT_FOUND"
    answer = room.host.write("I see", reply_to=private.name)
    assert await refusal(answer) == "CHAT_MESSAGE_NOT_FOUND"
    assert await refusal(bob.write("out", reply_to=private.name)) == "INVALID_ARGUMENT"
    assert await refusal(ann.write("me", recipient=ann.participant)) == "INVALID_ARGUMENT"
    assert await room.host.texts() == []


async def test_messages_are_edited_and_deleted_by_those_who_may(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    message = await ann.write("teh")
    room.clock.advance(5)
    edited = await ann.edit(message.name, "the")
    assert (edited.text, edited.create_time) == ("the", message.create_time)
    assert edited.edit_time.ToSeconds() == message.create_time.ToSeconds() + 5
    assert await ann.edit(message.name, "the") == edited
    assert await refusal(bob.edit(message.name, "mine")) == "NOT_YOURS"
    assert await refusal(room.host.edit(message.name, "mine")) == "NOT_YOURS"
    assert await refusal(bob.delete(message.name)) == "NOT_YOURS"
    await room.host.delete(message.name)
    assert await room.stand.audited() == "chat_message.delete"
    await ann.delete(message.name)
    assert await refusal(ann.edit(message.name, "again")) == "CHAT_MESSAGE_DELETED"
    (kept,) = (await bob.history()).chat_messages
    assert (kept.text, kept.HasField("delete_time")) == ("", True)
    told = await room.hears("chat_changed", lambda told: len(told) >= 3)
    assert [each.message.chat_changed.chat_message.text for each in told] == ["teh", "the", ""]
    for wrong in (
        f"{room.meeting}/chatMessages/{NOBODY}",
        f"{room.meeting}/chatMessages/{'-' * 36}",
    ):
        assert await refusal(ann.delete(wrong)) == "CHAT_MESSAGE_NOT_FOUND"


async def test_a_repeated_request_writes_once(room: Room, ann: Somebody, bob: Somebody) -> None:
    request_id = str(uuid4())
    answers = await asyncio.gather(*(ann.write("once", request_id) for _ in range(8)))
    assert len({each.name for each in answers}) == 1
    other = await bob.write("mine", request_id)
    assert await ann.texts() == ["mine", "once"]
    await room.host.person.end(room.meeting)
    assert await ann.write("late", request_id) == answers[0]
    assert await bob.write("late", request_id) == other
    assert await refusal(ann.write("late")) == "MEETING_ENDED"


async def test_only_those_in_the_meeting_write(room: Room, ann: Somebody, bob: Somebody) -> None:
    stranger = Somebody(room.stand.person(), "", room.meeting)
    assert await refusal(stranger.write("hi")) == "NOT_PARTICIPANT"
    assert await refusal(stranger.history()) == "NOT_PARTICIPANT"
    await bob.leave()
    assert await refusal(bob.write("bye")) == "NOT_PARTICIPANT"
    assert await refusal(ann.write("hi", recipient=bob.participant)) == "PARTICIPANT_NOT_FOUND"
    elsewhere = bob.participant.replace(room.meeting, "meetings/abc-defg-hij")
    assert await refusal(ann.write("hi", recipient=elsewhere)) == "PARTICIPANT_NOT_FOUND"
    nobody = f"{room.meeting}/participants/nobody"
    assert await refusal(ann.write("hi", recipient=nobody)) == "PARTICIPANT_NOT_FOUND"
    assert await refusal(ann.write(" \0")) == "INVALID_ARGUMENT"
    assert await refusal(ann.write("x" * 4001)) == "INVALID_ARGUMENT"
    other = Somebody(ann.person, "", "meetings/abc-defg-hij")
    assert await refusal(other.write("hi")) == "MEETING_NOT_FOUND"


async def test_the_policy_holds_for_writing_and_editing(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    before = await ann.write("before")
    host = room.host.person
    await host.switch(room.meeting, chat_policy=settings_pb2.CHAT_POLICY_HOSTS)
    assert await refusal(ann.write("x")) == "CHAT_NOT_ALLOWED"
    assert await refusal(ann.edit(before.name, "x")) == "CHAT_NOT_ALLOWED"
    await room.host.write("only I")
    await host.switch(room.meeting, chat_policy=settings_pb2.CHAT_POLICY_PUBLIC)
    assert await refusal(ann.write("x", recipient=bob.participant)) == "CHAT_NOT_ALLOWED"
    await ann.write("public")
    changed = await host.switch(room.meeting, chat_policy=settings_pb2.CHAT_POLICY_OFF)
    assert changed.chat_policy == settings_pb2.CHAT_POLICY_OFF
    assert await refusal(room.host.write("x")) == "CHAT_NOT_ALLOWED"
    await ann.delete(before.name)
    await host.switch(room.meeting, chat_policy=settings_pb2.CHAT_POLICY_UNSPECIFIED)
    await ann.write("again", recipient=bob.participant)


async def test_files_are_attached_by_their_owners_and_read_by_who_reads_the_message(
    room: Room, ann: Somebody, bob: Somebody
) -> None:
    file = f"media/{uuid4()}"
    room.stand.neighbours.files[file] = owner = ann.person.name
    assert await refusal(bob.write("mine", media=[file])) == "MEDIA_NOT_FOUND"
    message = await ann.write("", media=[file])
    assert list(message.media) == [file]
    await room.connects(bob)
    eve = await room.comes("Eve")  # who has a ticket, and is not here

    async def readers() -> list[bool]:
        people = (bob, room.host, eve, Somebody(room.stand.person(), "", room.meeting))
        return [await room.is_shared(file, owner, each.person.name) for each in people]

    assert await readers() == [True, True, False, False]
    assert not await room.is_shared(file, bob.person.name, room.host.person.name)
    await ann.delete(message.name)
    (kept,) = (await bob.history()).chat_messages
    assert list(kept.media) == []
    assert await readers() == [False] * 4
    await ann.write("for you", media=[file], recipient=bob.participant)
    assert await readers() == [True, False, False, False]


async def test_pages_have_each_message_once_while_more_is_written(
    room: Room, ann: Somebody
) -> None:
    for number in range(7):
        await ann.write(str(number))
    texts, token = [], ""
    while True:
        page = await ann.history(3, token)
        texts += [each.text for each in page.chat_messages]
        if not (token := page.next_page_token):
            break
        room.clock.advance(60)
        await ann.write("more")
    assert texts == list("6543210")
    assert await refusal(ann.history(3, "nonsense")) == "PAGE_TOKEN_INVALID"


async def test_who_writes_too_fast_and_a_chat_that_is_full(room: Room, ann: Somebody) -> None:
    for number in range(BURST):
        await ann.write(str(number))
    assert await refusal(ann.write("more")) == "CHAT_TOO_FAST"
    await room.host.write("others may")
    room.clock.advance(10)
    await ann.write("after a while")
    with psycopg.connect(room.stand.database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE chat_messages SET position = %s + position", (MAX_MESSAGES,))
    assert await refusal(room.host.write("too much")) == "CHAT_FULL"


@pytest.mark.parametrize("how", ["away", "lost"])
async def test_a_room_is_told_once_and_in_order_though_signaling_fails(
    room: Room, ann: Somebody, how: str
) -> None:
    room.stand.neighbours.signaling = [how, "", how, how]
    for number in range(10):
        await ann.write(str(number))
        await asyncio.sleep(0)
    told = await room.hears("chat_changed", lambda told: len(told) >= 10)
    texts = [each.message.chat_changed.chat_message.text for each in told]
    assert texts == [str(number) for number in range(10)]
    assert (len(room.stand.neighbours.events) > 10) is (how == "lost")


async def test_what_one_process_left_another_tells(room: Room) -> None:
    """A process that dies between commit and telling has left rows: nobody is woken for them."""
    changed = signaling_pb2.ChatChanged(chat_message=chat_pb2.ChatMessage(text="left behind"))
    message = signaling_pb2.ServerMessage(chat_changed=changed)
    with psycopg.connect(room.stand.database_url.replace("+psycopg", "")) as connection:
        connection.execute(
            """INSERT INTO event_outbox
            (meeting_id, batch, meeting_code, participant, payload, create_time)
            SELECT id, gen_random_uuid(), code, '', %s, create_time FROM meetings""",
            (message.SerializeToString(),),
        )
    (told,) = await room.hears("chat_changed", lambda told: len(told) == 1)
    assert told.message == message


async def test_chat_goes_when_its_time_is_up(room: Room, ann: Somebody) -> None:
    host, url = room.host.person, room.stand.database_url
    changed = await host.switch(room.meeting, chat_retention={"seconds": 86_400})
    assert changed.chat_retention.seconds == 86_400
    await ann.write("for a day")
    async with db.connected(url, MIGRATIONS) as database:
        retention = retention_of(database, room)
        room.clock.advance(86_400 + PATIENCE.total_seconds() - 1)
        await retention.sweep()
        assert await ann.texts() == ["for a day"]
        await host.end(room.meeting)
        room.clock.advance(86_399)
        await retention.sweep()
        assert await ann.texts() == ["for a day"]
        room.clock.advance(1)
        await retention.sweep()
        assert await ann.texts() == []


async def test_chat_of_a_meeting_that_nobody_ends_goes_too(room: Room, ann: Somebody) -> None:
    await room.host.person.switch(room.meeting, chat_retention={"seconds": 0})
    await ann.write("before")
    async with db.connected(room.stand.database_url, MIGRATIONS) as database:
        retention = retention_of(database, room)
        room.clock.advance(PATIENCE.total_seconds())
        await ann.write("after")
        await retention.sweep()
        assert await ann.texts() == ["after"]
