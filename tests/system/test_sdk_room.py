"""The SDK's rooms on a whole stack: over TLS, and through the death of what they are connected to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from parley.client import Event, Guest, Parley, ParleyError, Password, Room
from parley.meeting.v1.meeting_pb2 import CreateMeetingRequest, Meeting
from parley.meeting.v1.participant_pb2 import AdmitAllParticipantsRequest
from parley.meeting.v1.settings_pb2 import Settings, UpdateSettingsRequest

from stack.certificates import authority_path
from tests.rest import PASSWORD, Person
from tests.running_stack import RunningStack

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def signed_in(stack: RunningStack, person: Person) -> AsyncIterator[Parley]:
    """Sign somebody in by HTTPS, trusting the stack's own authority."""
    url = f"https://localhost:{stack.layout.port('nginx', 'https')}"
    roots = authority_path(stack.state / "secrets").read_bytes()
    credentials = Password(f"{person.username}@example.org", PASSWORD)
    async with Parley.connect(url, credentials=credentials, roots=roots) as parley:
        yield parley


async def until(room: Room, kind: str, count: int = 1) -> list[Event]:
    """Read events until so many of a kind have come."""
    read: list[Event] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in room.events():
            read.append(event)
            if [each.kind for each in read].count(kind) == count:
                return read
    raise AssertionError(f"The room ended after {[each.kind for each in read]}.")


async def test_a_room_goes_on_when_signaling_dies(stack: RunningStack, ann: Person) -> None:
    async with signed_in(stack, ann) as parley:
        made = await parley.meetings.CreateMeeting(
            CreateMeetingRequest(meeting=Meeting(title="Long"))
        )
        async with parley.join(made.name) as room:
            await until(room, "snapshot")
            texts = [f"message {number}" for number in range(10)]
            for text in texts[:5]:
                await room.chat(text)
            stack.wait_until_back("signaling", stack.kill("signaling"))
            for text in texts[5:]:
                await room.chat(text)
            events = await until(room, "chat_changed", len(texts))
            told = [each.body.chat_message.text for each in events if each.kind == "chat_changed"]
            assert told == texts
            sequences = [each.sequence for each in events]
            assert sequences == sorted(set(sequences))
            await room.react("🎉")
            await until(room, "reaction")


async def test_a_bot_waits_in_the_lobby_until_the_host_lets_it_in(
    stack: RunningStack, ann: Person, bob: Person
) -> None:
    async with signed_in(stack, ann) as host, signed_in(stack, bob) as bot:
        made = await host.meetings.CreateMeeting(
            CreateMeetingRequest(meeting=Meeting(title="Shut"))
        )
        settings = Settings(name=f"{made.name}/settings", lobby=True)
        await host.settings.UpdateSettings(UpdateSettingsRequest(settings=settings))
        async with host.join(made.name) as room:

            async def come() -> set[str]:
                async with bot.join(made.name) as their_room:
                    return {each.display_name for each in their_room.participants.values()}

            coming = asyncio.create_task(come())
            (waiting,) = (await until(room, "lobby_changed"))[-1].body.waiting
            stack.wait_until_back("meeting", stack.kill("meeting"))
            let_in = AdmitAllParticipantsRequest(parent=made.name)
            admitted = await host.participants.AdmitAllParticipants(let_in)
            assert (waiting.display_name, admitted.admitted_count) == ("Bob", 1)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await coming == {"Ann", "Bob"}


async def test_a_guest_and_the_host_see_each_other_come_and_go(
    stack: RunningStack, ann: Person
) -> None:
    async with signed_in(stack, ann) as parley:
        made = await parley.meetings.CreateMeeting(
            CreateMeetingRequest(meeting=Meeting(title="Open"))
        )
        with pytest.raises(ParleyError, match="GUESTS_NOT_ALLOWED"):
            async with Parley.connect(stack.http, credentials=Guest(made.name, "Gus")):
                pass
        settings = Settings(name=f"{made.name}/settings", guests_allowed=True)
        await parley.settings.UpdateSettings(UpdateSettingsRequest(settings=settings))
        async with parley.join(made.name) as room:
            async with (
                Parley.connect(stack.http, credentials=Guest(made.name, "Gus")) as guest,
                guest.join(made.name) as their_room,
            ):
                await until(room, "participant_joined")
                names = {each.display_name for each in room.participants.values()}
                assert names == {"Ann", "Gus"}
                assert len(their_room.participants) == 2
                with pytest.raises(ParleyError) as caught:
                    await guest.meetings.CreateMeeting(
                        CreateMeetingRequest(meeting=Meeting(title="Mine"))
                    )
                assert caught.value.code == grpc.StatusCode.PERMISSION_DENIED
                assert caught.value.reason == "NOT_FOR_GUESTS"
            await until(room, "participant_left")
            assert len(room.participants) == 1
