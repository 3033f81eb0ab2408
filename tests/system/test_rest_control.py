"""Who is let in, what each may do, and who is taken out, by REST, with a call that hears of it: a whole stack."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from parley.meeting.v1 import meeting_pb2
from websockets.asyncio.client import ClientConnection, connect

from services.meeting.permissions import may
from services.meeting.roles import Standing
from tests import rest_methods
from tests.permission_walk import (
    DENIALS,
    ROLES,
    ROWS,
    VOTE,
    Ground,
    has_it,
    is_lasting,
    method_of,
    request,
)
from tests.rest import Person, reason, sign_up
from tests.running_stack import RunningStack

PATIENCE_SECONDS = 30


def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def do(person: Person, path: str, **body: Any) -> dict[str, Any]:
    return ok(person.call("POST", f"/api/v1/{path}", json=body))


def refused(person: Person, path: str, **body: Any) -> tuple[int, str]:
    answer = person.call("POST", f"/api/v1/{path}", json=body)
    return answer.status_code, reason(answer)


def switch(host: Person, meeting: str, **settings: Any) -> None:
    ok(host.call("PATCH", f"/api/v1/{meeting}/settings", json=settings))


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Wait for the next message of a kind."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if kind in message:
                return message[kind]  # type: ignore[no-any-return]


async def test_who_is_let_in_and_taken_out(
    stack: RunningStack, http: httpx.Client, ann: Person, bob: Person
) -> None:
    meeting, eve = ann.create_meeting(), sign_up(http, "eve")
    switch(ann, meeting, lobby=True)
    address = f"{stack.http.replace('http', 'ws')}/ws/signaling"

    async def ask(person: Person, path: str, **body: Any) -> dict[str, Any]:
        return await asyncio.to_thread(do, person, path, **body)

    async with connect(address) as host, connect(address) as guest:
        hosts = do(ann, f"{meeting}:join")
        await host.send(json.dumps({"join": {"ticket": hosts["ticket"]}}))
        await hear(host, "joined")
        waiting = await ask(bob, f"{meeting}:join", display_name="Bob")
        bobs = waiting["participant"]["name"]
        assert waiting["participant"]["state"] == "PARTICIPANT_STATE_WAITING"
        assert not waiting.get("ticket")
        assert [each["name"] for each in (await hear(host, "lobby_changed"))["waiting"]] == [bobs]
        assert refused(bob, f"{bobs}:admit") == (403, "NOT_HOST")
        await ask(ann, f"{bobs}:admit")
        path = f"/api/v1/{bobs}:waitForAdmission"
        decision = await asyncio.to_thread(bob.call, "GET", path)
        *_, said = map(json.loads, decision.text.splitlines())
        await guest.send(json.dumps({"join": {"ticket": said["admission"]["ticket"]}}))
        await hear(guest, "joined")

        denied = (await ask(eve, f"{meeting}:join"))["participant"]["name"]
        await ask(ann, f"{denied}:deny")
        await ask(ann, f"{meeting}:lock")
        assert refused(eve, f"{meeting}:join") == (400, "MEETING_LOCKED")
        await ask(ann, f"{meeting}:unlock")

        await ask(ann, f"{bobs}:setRole", role="PARTICIPANT_ROLE_COHOST")
        changed = (await hear(guest, "participant_updated"))["participant"]
        assert (changed["name"], changed["role"]) == (bobs, "PARTICIPANT_ROLE_COHOST")
        knocking = (await ask(eve, f"{meeting}:join"))["participant"]["name"]
        await ask(bob, f"{knocking}:admit")
        assert await ask(bob, f"{knocking}:mute", target="MUTE_TARGET_AUDIO") == {}
        await ask(bob, f"{knocking}:remove", ban=True)
        assert refused(eve, f"{meeting}:join") == (403, "BANNED")

        await ask(ann, f"{bobs}:askToUnmute", target="MUTE_TARGET_AUDIO")
        wish = await hear(guest, "unmute_requested")
        assert wish["requester"] == hosts["participant"]["name"]
        await ask(ann, f"{bobs}:remove")
        out = await hear(guest, "disconnected")
        assert out["reason"] == "DISCONNECT_REASON_REMOVED"
        assert (await hear(host, "participant_left"))["participant"] == bobs
    assert do(bob, f"{meeting}:join")["participant"]["state"] == "PARTICIPANT_STATE_WAITING"


@pytest.fixture
def people(http: httpx.Client, ann: Person) -> tuple[dict[Standing, Person], Ground]:
    """Somebody of every standing to a meeting of Ann's, and what somebody else has left there."""
    meeting = ann.create_meeting()
    made = {standing: sign_up(http, standing.value) for standing in Standing}
    made[Standing.HOST] = ann
    author = sign_up(http, "author")
    joined = {
        standing: do(made[standing], f"{meeting}:join")["participant"]["name"]
        for standing in (
            Standing.HOST,
            Standing.COHOST,
            Standing.PRESENTER,
            Standing.PARTICIPANT,
            Standing.FORMER,
        )
    }
    do(made[Standing.FORMER], f"{meeting}:leave")
    for standing, role in ROLES.items():
        do(ann, f"{joined[standing]}:setRole", role=role)
    authors = do(author, f"{meeting}:join")["participant"]["name"]
    do(ann, f"{authors}:setRole", role=meeting_pb2.PARTICIPANT_ROLE_PRESENTER)
    switch(ann, meeting, lobby=True)
    do(made[Standing.WAITING], f"{meeting}:join")
    message = do(author, f"{meeting}/chatMessages", chat_message={"text": "Hello"})["name"]
    choices = [{"text": "Yes"}, {"text": "No"}]
    poll = {"question": "Now?", "choices": choices, "live_results": True}
    asked = do(author, f"{meeting}/polls", poll=poll)["name"]
    do(author, f"{asked}:vote", choices=[VOTE])
    return made, Ground(meeting, message, asked, authors)


def test_the_table_is_what_is_enforced(people: tuple[dict[Standing, Person], Ground]) -> None:
    made, ground = people
    for row in ROWS:
        policy = "CHAT_POLICY_HOSTS" if row.endswith("/restricted") else "CHAT_POLICY_EVERYONE"
        switch(made[Standing.HOST], ground.meeting, chat_policy=policy)
        for standing, person in made.items():
            is_allowed = may(standing, row)
            if is_allowed and is_lasting(row):
                continue
            answer = rest_methods.call(person, method_of(row), request(row, ground))
            if answer.status_code == 200:
                is_let = has_it(row, _voters(answer))
            else:
                is_let = reason(answer) not in DENIALS
            assert is_let is is_allowed, (row, standing, answer.text)


def _voters(answer: httpx.Response) -> int:
    """Count those whom an answer that is a poll shows as voters."""
    body = answer.json()
    choices = body.get("choices", []) if isinstance(body, dict) else []
    return sum(len(each["voters"]) for each in choices)
