"""Requests without a `request_id` that say how something is to be: asked twice, they are as if asked once.

Over real gRPC on real Postgres. The second gets the first's answer, changes no table, and tells nobody anything.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from PIL import Image

from tests.conftest import DatabaseFactory
from tests.credential_stand import PASSWORD, user_standing
from tests.credential_stand import Person as Somebody
from tests.lost_replies import kept, methods_of
from tests.meeting_stand import BEGIN, Person, Stand, said, stand_with
from tests.servers import PostgresServer
from tests.unit.test_contracts_repeats import COUNTS, GONE, STATES, TELLS, WITHOUT

MEETING = methods_of("parley.meeting.v1")
PASSING = frozenset(
    {"event_outbox", "event_news", "events", "event_log", "audit_outbox", "letters"}
)
"""What goes on to others in the background: that it is said once is seen in `said_to_others`."""
NOTE_WHAT_IS_SAID = """
    CREATE TABLE said_to_others (place text, words jsonb);
    CREATE FUNCTION note_said() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO said_to_others VALUES (TG_TABLE_NAME, to_jsonb(NEW));
        RETURN NULL;
    END $$;
"""
SAID = frozenset({"said_to_others"})
SAYING = ("event_outbox", "event_news", "audit_outbox", "letters")

Fields = dict[str, Any]


async def note_what_is_said(url: str) -> None:
    """Have a database keep what was put into tables from which others are told."""
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        await connection.execute(NOTE_WHAT_IS_SAID)
        for table in SAYING:
            trigger = f"CREATE TRIGGER noted AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note_said()"
            await connection.execute(trigger.encode())


Ask = Callable[[], Awaitable[Any]]


async def twice(name: str, ask: Ask, url: str) -> None:
    """Ask twice, and see that what the second does is what WITHOUT says of the method."""
    passing = PASSING | (SAID if name in named(TELLS) else frozenset())
    answer = await ask()
    done = await kept(url, passing)
    if name in named(GONE):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND, f"{name}: {caught.value}"
    else:
        again = await ask()
        assert name in named(COUNTS) or again == answer, name
    now = await kept(url, passing)
    changed = {it: set(rows) ^ set(done[it]) for it, rows in now.items() if rows != done[it]}
    assert not changed, f"{name} was done twice"


def named(*groups: str) -> set[str]:
    """The methods of groups of WITHOUT."""
    return {name for group in groups for name in WITHOUT[group].split()}


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stand]:
    """A service whose rounds do not come by: they end breakout rooms a moment after these were closed."""
    monkeypatch.setattr("services.meeting.breakouts.watch.ROUND_SECONDS", 3600.0)
    async for it in stand_with(database, tmp_path, webhook_private=True, webhook_http=True):
        await note_what_is_said(it.database_url)
        yield it


@dataclass
class Room:
    """A meeting with its host, a guest, and somebody in the lobby; `planned` is one that nobody has joined."""

    stand: Stand
    host: Person
    meeting: str
    own: str
    guest: str
    waiting: str
    planned: str

    async def ask(self, method_name: str, /, **fields: Any) -> Any:
        """Call a method of the host's by its name."""
        method = MEETING[method_name]
        return await method.call(self.stand.channel, method.request(**fields), self.host.metadata)

    async def breakout(self) -> str:
        rooms = [{"title": "one"}, {"title": "two"}]
        opened = await self.ask(
            "BreakoutService.OpenBreakouts", parent=self.meeting, breakouts=rooms
        )
        return str(opened.breakouts[0].name)

    async def message(self) -> str:
        wanted = {"parent": self.meeting, "chat_message": {"text": "Hello"}}
        return str((await self.ask("ChatService.CreateChatMessage", **wanted)).name)

    async def poll(self) -> str:
        poll = {"question": "Now?", "choices": [{"text": "yes"}, {"text": "no"}]}
        return str((await self.ask("PollService.CreatePoll", parent=self.meeting, poll=poll)).name)

    async def schedule(self) -> Fields:
        schedule: Fields = {"time_zone": "Europe/Berlin", "start_time": BEGIN.replace(year=2036)}
        wanted = {"meeting": {"title": "Planned"}, "schedule": schedule}
        made = await self.ask("ScheduleService.ScheduleMeeting", **wanted)
        return {
            "schedule": {
                **schedule,
                "name": made.schedule.name,
                "start_time": BEGIN.replace(year=2037),
            }
        }

    async def invitation(self) -> Fields:
        wanted = {"parent": self.planned, "emails": ["bob@example.org"]}
        made = await self.ask("ScheduleService.CreateInvitations", **wanted)
        return {"name": made.invitations[0].name}

    async def over(self) -> Fields:
        await self.host.end(self.meeting)
        return {"name": self.meeting}

    async def transcript(self) -> Fields:
        await self.host.switch(self.meeting, captions=True, transcript=True)
        await self.host.agree(self.own, transcript=True)
        await self.stand.record(said(self.own, "Hello", BEGIN))
        return {"name": self.meeting}

    async def webhook(self) -> Fields:
        made = await self.ask(
            "WebhookService.CreateWebhook", webhook={"uri": "http://127.0.0.1:1/"}
        )
        return {"name": made.webhook.name}


async def a_room(stand: Stand) -> Room:
    host, guest, late = stand.person(), stand.person(), stand.person()
    meeting, planned = await host.create(), await host.create()
    own, inside = await host.join(meeting), await guest.join(meeting, "Bob")
    await host.switch(meeting, lobby=True)
    waiting = await late.join(meeting, "Eve")
    return Room(stand, host, meeting, own, inside, waiting, planned)


async def _move(room: Room) -> Fields:
    return {"name": room.guest, "breakout": await room.breakout()}


async def _close(room: Room) -> Fields:
    await room.breakout()
    return {"parent": room.meeting}


async def _invited(room: Room) -> Fields:
    await room.invitation()
    return {"name": room.planned}


async def _edit(room: Room) -> Fields:
    return {"name": await room.message(), "text": "Hallo"}


async def _deleted(room: Room) -> Fields:
    return {"name": await room.message()}


async def _vote(room: Room) -> Fields:
    return {"name": await room.poll(), "choices": [1]}


async def _poll(room: Room) -> Fields:
    return {"name": await room.poll()}


IN_MEETINGS: dict[str, Callable[[Room], Fields | Awaitable[Fields]]] = {
    "BreakoutService.MoveParticipant": _move,
    "BreakoutService.CloseBreakouts": _close,
    "ChatService.EditChatMessage": _edit,
    "ChatService.DeleteChatMessage": _deleted,
    "MeetingService.UpdateMeeting": lambda room: {
        "meeting": {"name": room.meeting, "title": "New"},
        "update_mask": {"paths": ["title"]},
    },
    "MeetingService.CancelMeeting": _invited,
    "MeetingService.DeleteMeeting": Room.over,
    "MeetingService.LockMeeting": lambda room: {"name": room.meeting},
    "MeetingService.UnlockMeeting": lambda room: {"name": room.meeting},
    "MeetingService.LeaveMeeting": lambda room: {"name": room.meeting},
    "MeetingService.EndMeeting": lambda room: {"name": room.meeting},
    "ParticipantService.AdmitParticipant": lambda room: {"name": room.waiting},
    "ParticipantService.AdmitAllParticipants": lambda room: {"parent": room.meeting},
    "ParticipantService.DenyParticipant": lambda room: {"name": room.waiting},
    "ParticipantService.RemoveParticipant": lambda room: {"name": room.guest, "ban": True},
    "ParticipantService.SetParticipantRole": lambda room: {
        "name": room.guest,
        "role": "PARTICIPANT_ROLE_COHOST",
    },
    "ParticipantService.SetParticipantGrants": lambda room: {
        "name": room.guest,
        "grants": {"publish_audio": True},
    },
    "ParticipantService.MuteParticipant": lambda room: {"name": room.guest, "target": 1},
    "ParticipantService.MuteAllParticipants": lambda room: {"parent": room.meeting, "target": 1},
    "ParticipantService.SetConsent": lambda room: {
        "name": room.own,
        "consent": {"transcript": True},
    },
    "PollService.VotePoll": _vote,
    "PollService.ClosePoll": _poll,
    "ScheduleService.UpdateSchedule": Room.schedule,
    "ScheduleService.DeleteInvitation": Room.invitation,
    "SettingsService.UpdateSettings": lambda room: {
        "settings": {"name": f"{room.meeting}/settings", "captions": True},
        "update_mask": {"paths": ["captions"]},
    },
    "TranscriptService.DeleteTranscript": Room.transcript,
    "WebhookService.DeleteWebhook": Room.webhook,
}


USER = methods_of("parley.user.v1")
BEING_FORGOTTEN = frozenset({"erasures", "guesses"})
"""What goes on after an account is deleted."""
REFUSED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND
"""Until all processes know that a session has ended, its account is what is missing."""


async def test_what_is_asked_twice_in_meetings_is_done_once(stand: Stand) -> None:
    wanted = {name for name in named(STATES, COUNTS, TELLS, GONE) if name in MEETING}
    assert set(IN_MEETINGS) == wanted, "the contract has no other"
    for name, make in IN_MEETINGS.items():
        room = await a_room(stand)
        made = make(room)
        fields = await made if inspect.isawaitable(made) else made
        await twice(name, partial(room.ask, name, **fields), stand.database_url)


async def test_a_meeting_that_recurs_ends_for_now_once(stand: Stand) -> None:
    room = await a_room(stand)
    daily = {
        "time_zone": "Europe/Berlin",
        "start_time": datetime.now(UTC),
        "recurrence": "FREQ=DAILY",
    }
    wanted = {"meeting": {"title": "Daily"}, "schedule": daily}
    made = await room.ask("ScheduleService.ScheduleMeeting", **wanted)
    await room.host.join(made.meeting.name)
    end = partial(room.ask, "MeetingService.EndMeeting", name=made.meeting.name)
    await twice("MeetingService.EndMeeting", end, stand.database_url)


PNG = io.BytesIO()
Image.new("RGB", (8, 8)).save(PNG, "png")


async def _key(ann: Somebody) -> Fields:
    about = {"display_name": "ci", "scopes": ["API_KEY_SCOPE_MEETINGS_READ"]}
    key = USER["ApiKeyService.CreateApiKey"]
    request = key.request(parent="users/me", api_key=about)
    return {"name": (await key.call(ann.channel, request, ann.metadata)).api_key.name}


async def _session(ann: Somebody) -> Fields:
    sessions = USER["SessionService.ListSessions"]
    await ann.login()
    request = sessions.request(parent="users/me")
    listed = await sessions.call(ann.channel, request, ann.metadata)
    return {"name": next(each.name for each in listed.sessions if not each.current)}


IN_ACCOUNTS: dict[str, Callable[[Somebody], Fields | Awaitable[Fields]]] = {
    "AccountService.SetAvatar": lambda ann: {
        "name": "users/me",
        "image": {"content_type": "image/png", "data": PNG.getvalue()},
    },
    "AccountService.DeleteAvatar": lambda ann: {"name": "users/me"},
    "ApiKeyService.RevokeApiKey": _key,
    "SessionService.EndSession": _session,
    "AuthService.Logout": lambda ann: {"refresh_token": ann.refresh_token},
}


async def test_what_is_asked_twice_of_accounts_is_done_once(postgres: PostgresServer) -> None:
    assert set(IN_ACCOUNTS) == {name for name in named(STATES) if name in USER}
    async with user_standing(postgres) as stand:
        ann = await stand.somebody()
        for name, make in IN_ACCOUNTS.items():
            method, made = USER[name], make(ann)
            request = method.request(**(await made if inspect.isawaitable(made) else made))
            ask = partial(method.call, stand.channel, request, ann.metadata)
            await twice(name, ask, stand.database_url)


async def test_who_has_deleted_their_account_is_nobody_any_more(postgres: PostgresServer) -> None:
    async with user_standing(postgres) as stand:
        ann, method = await stand.somebody(), USER["AccountService.DeleteAccount"]
        request = method.request(name="users/me", password=PASSWORD)
        await method.call(stand.channel, request, ann.metadata)
        done = await kept(stand.database_url, BEING_FORGOTTEN)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method.call(stand.channel, request, ann.metadata)
        assert caught.value.code() in REFUSED, caught.value
        assert await kept(stand.database_url, BEING_FORGOTTEN) == done
