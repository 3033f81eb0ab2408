"""Shared notes over real gRPC, real Postgres and a real merging process: kept, told to the room, and no door for harm."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from parley.meeting.v1 import notes_pb2, notes_pb2_grpc, report_pb2
from pycrdt import Doc, Text

from services.meeting.room import notes
from tests.conftest import DatabaseFactory
from tests.meeting_stand import refusal
from tests.room_stand import Room, Somebody, a_room


@pytest.fixture
async def room(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(database, tmp_path) as it:
        yield it


def written(text: str, document: bytes = notes.NOTHING) -> bytes:
    """Make the update that adds a text to a document."""
    doc: Doc[Text] = Doc()
    shown = doc.get("notes", type=Text)
    doc.apply_update(document)
    state = doc.get_state()
    shown += text
    return doc.get_update(state)


async def say(room: Room, who: Somebody, update: bytes) -> None:
    """Say, as signaling does, that somebody changes the notes."""
    stub: Any = notes_pb2_grpc.NotesServiceStub(room.stand.channel)
    request = notes_pb2.ApplyNotesUpdateRequest(participant=who.participant, update=update)
    await stub.ApplyNotesUpdate(request)


async def read(who: Somebody) -> report_pb2.Notes:
    request = report_pb2.GetNotesRequest(name=f"{who.meeting}/notes")
    return await who.reports.GetNotes(request, metadata=who.metadata)  # type: ignore[no-any-return]


async def test_what_is_written_is_kept_and_told(room: Room) -> None:
    ann = await room.comes("Ann")
    empty = await read(ann)
    assert (empty.text, empty.document, empty.HasField("update_time")) == ("", notes.NOTHING, False)
    first = written("Agenda: 预算")
    await say(room, ann, first)
    await say(room, ann, first)
    second = written("!", (await read(room.host)).document)
    await say(room, room.host, second)
    kept = await read(ann)
    assert (kept.text, kept.HasField("update_time")) == ("Agenda: 预算!", True)
    told = await room.hears("notes_updated", lambda told: len(told) == 2)
    shown = [each.message.notes_updated for each in told]
    assert [(each.participant, each.update) for each in shown] == [
        (ann.participant, first),
        (room.host.participant, second),
    ]
    other: Doc[Text] = Doc()
    for each in shown:
        other.apply_update(each.update)
    assert str(other.get("notes", type=Text)) == kept.text


async def test_many_write_at_once_and_nothing_is_lost(room: Room) -> None:
    people = [await room.comes(str(number)) for number in range(6)]

    async def write(who: Somebody, number: int) -> None:
        for turn in range(3):
            await say(room, who, written(f"[{number}.{turn}]"))

    await asyncio.gather(*(write(each, number) for number, each in enumerate(people)))
    text = (await read(room.host)).text
    assert sorted(text.replace("]", "] ").split()) == sorted(
        f"[{number}.{turn}]" for number in range(6) for turn in range(3)
    )
    told = await room.hears("notes_updated", lambda told: len(told) == 18)
    other: Doc[Text] = Doc()
    for each in told:
        other.apply_update(each.message.notes_updated.update)
    assert str(other.get("notes", type=Text)) == text


async def test_only_those_in_the_meeting_write_and_only_those_who_came_read(room: Room) -> None:
    ann = await room.comes("Ann")
    stranger = Somebody(room.stand.person(), "", room.meeting)
    assert await refusal(read(stranger)) == "NOT_PARTICIPANT"
    await say(room, ann, update := written("kept"))
    await ann.leave()
    assert await refusal(say(room, ann, update)) == "NOT_PARTICIPANT"
    assert (await read(ann)).text == "kept"
    await room.host.person.end(room.meeting)
    assert await refusal(say(room, room.host, update)) == "MEETING_ENDED"
    assert (await read(ann)).text == "kept"
    nobody = f"{room.meeting}/participants/00000000-0000-0000-0000-000000000000"
    for name in (nobody, f"{room.meeting}/participants/{'-' * 36}"):
        gone = Somebody(ann.person, name, room.meeting)
        assert await refusal(say(room, gone, update)) == "PARTICIPANT_NOT_FOUND"


async def test_what_is_no_update_or_has_a_gap_is_refused(room: Room) -> None:
    doc: Doc[Text] = Doc()
    text, updates = doc.get("notes", type=Text), list[bytes]()
    kept = doc.observe(lambda event: updates.append(event.update))
    text += "one "
    text += "two"
    doc.unobserve(kept)
    assert await refusal(say(room, room.host, updates[1])) == "NOTES_BEHIND"
    assert await refusal(say(room, room.host, b"nonsense")) == "NOTES_UPDATE_INVALID"
    assert await refusal(say(room, room.host, b"")) == "INVALID_ARGUMENT"
    assert await refusal(say(room, room.host, b"x" * 65_537)) == "INVALID_ARGUMENT"
    await say(room, room.host, doc.get_update())
    assert (await read(room.host)).text == "one two"


async def test_notes_have_an_end(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_BYTES", 1_000)
    await say(room, room.host, written("x" * 900))
    assert await refusal(say(room, room.host, written("y" * 900))) == "NOTES_FULL"
    assert len((await read(room.host)).text) == 900


async def test_hostile_updates_harm_nobody(room: Room) -> None:
    """Updates that claim to be enormous, and what chance makes of a good one: each is refused or merged, then all goes on."""
    rng, good = random.Random(7), written("hello")
    hostile = [
        b"\xff\xff\xff\xff\x0f",
        b"\x01\xff\xff\xff\xff\x0f\x01\x00",
        b"\x80\x80\x80\x80\x01",
    ]
    for _ in range(60):
        changed = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        hostile.append(bytes(changed))
    for update in hostile:
        try:
            await say(room, room.host, update)
        except Exception as error:  # noqa: BLE001  # it is the reason that counts
            assert "INTERNAL" not in str(error)
    await say(room, room.host, written("still here"))
    assert "still here" in (await read(room.host)).text


async def test_a_merging_process_that_is_killed_is_begun_anew(room: Room) -> None:
    await say(room, room.host, written("before "))
    for child in psutil.Process().children():
        if "services.meeting.room.notes_merger" in child.cmdline():
            child.kill()
            child.wait()
    await say(room, room.host, written("after "))
    assert sorted((await read(room.host)).text.split()) == ["after", "before"]
