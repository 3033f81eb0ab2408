"""Chat, polls, notes and attendance by REST, and the room told of them over the WebSocket: a whole stack."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from uuid import uuid4

import httpx
from pycrdt import Doc, Text
from websockets.asyncio.client import ClientConnection, connect

from tests.rest import Person, reason, sign_up
from tests.running_stack import RunningStack

PATIENCE_SECONDS = 30


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Wait for the next message of a kind."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if kind in message:
                return message[kind]  # type: ignore[no-any-return]


def join(person: Person, meeting: str, name: str) -> dict[str, Any]:
    joined = person.call("POST", f"/api/v1/{meeting}:join", json={"display_name": name})
    assert joined.status_code == 200, joined.text
    return joined.json()  # type: ignore[no-any-return]


def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_what_people_do_beside_talking(stack: RunningStack, ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting()
    tickets = [join(ann, meeting, "Ann"), join(bob, meeting, "Bob")]
    address = f"{stack.http.replace('http', 'ws')}/ws/signaling"

    async def call(person: Person, method: str, path: str, **body: Any) -> dict[str, Any]:
        return ok(await asyncio.to_thread(person.call, method, f"/api/v1/{path}", json=body))

    async def meet() -> None:
        async with connect(address) as first, connect(address) as second:
            for socket, ticket in zip((first, second), tickets, strict=True):
                await socket.send(json.dumps({"join": {"ticket": ticket["ticket"]}}))
                await hear(socket, "joined")
            hello = {"text": "Hello 你好"}
            written = await call(ann, "POST", f"{meeting}/chatMessages", chat_message=hello)
            for socket in (first, second):
                told = (await hear(socket, "chat_changed"))["chat_message"]
                assert (told["name"], told["text"]) == (written["name"], "Hello 你好")
            await call(bob, "POST", f"{meeting}/chatMessages", chat_message={"text": "Hi"})
            choices = [{"text": "Yes"}, {"text": "No"}]
            poll = await call(
                ann, "POST", f"{meeting}/polls", poll={"question": "Now?", "choices": choices}
            )
            assert (await hear(second, "poll_changed"))["poll"]["name"] == poll["name"]
            await call(bob, "POST", f"{poll['name']}:vote", choices=[0])
            closed = await call(ann, "POST", f"{poll['name']}:close")
            assert [each["vote_count"] for each in closed["choices"]] == [1, 0]
            await second.send(json.dumps({"id": "h", "set_hand_raised": {"raised": True}}))
            bobs = tickets[1]["participant"]["name"]
            assert (await hear(first, "hands_changed"))["hands"] == [bobs]
            await second.send(json.dumps({"send_reaction": {"emoji": "🎉"}}))
            assert (await hear(first, "reaction"))["emoji"] == "🎉"
            doc: Doc[Text] = Doc()
            text = doc.get("notes", type=Text)
            text += "Decided"
            update = base64.b64encode(doc.get_update()).decode()
            await second.send(json.dumps({"update_notes": {"update": update}}))
            assert (await hear(first, "notes_updated"))["update"] == update

    asyncio.run(meet())
    messages = ok(bob.call("GET", f"/api/v1/{meeting}/chatMessages"))["chat_messages"]
    assert [each["text"] for each in messages] == ["Hi", "Hello 你好"]
    edited = bob.call("POST", f"/api/v1/{messages[1]['name']}:edit", json={"text": "mine"})
    assert (edited.status_code, reason(edited)) == (403, "NOT_YOURS")
    ok(ann.call("DELETE", f"/api/v1/{messages[0]['name']}"))
    assert ok(bob.call("GET", f"/api/v1/{meeting}/notes"))["text"] == "Decided"
    attended = ok(ann.call("GET", f"/api/v1/{meeting}/attendances"))["attendances"]
    assert [each["display_name"] for each in attended] == ["Ann", "Bob"]
    refused = bob.call("GET", f"/api/v1/{meeting}/attendances")
    assert (refused.status_code, reason(refused)) == (403, "NOT_HOST")
    statistics = bob.call("GET", "/api/v1/admin/statistics")
    assert (statistics.status_code, reason(statistics)) == (403, "PERMISSION_DENIED")


def test_files_in_the_chat_are_read_by_those_who_came(
    stack: RunningStack, http: httpx.Client, ann: Person, bob: Person
) -> None:
    meeting = ann.create_meeting()
    join(ann, meeting, "Ann")
    ticket = join(bob, meeting, "Bob")["ticket"]

    async def connects() -> None:
        async with connect(f"{stack.http.replace('http', 'ws')}/ws/signaling") as socket:
            await socket.send(json.dumps({"join": {"ticket": ticket}}))
            await hear(socket, "joined")

    asyncio.run(connects())
    plain, named = {"content-type": "text/plain"}, {"name": "plan.txt", "request_id": str(uuid4())}
    first, again = (
        ok(ann.call("POST", "/api/v1/media", params=named, content=b"The plan", headers=plain))
        for _ in range(2)
    )
    assert again == first
    media = first["name"]
    hidden = bob.call("GET", f"/api/v1/{media}:download")
    assert (hidden.status_code, reason(hidden)) == (404, "MEDIA_NOT_FOUND")
    path = f"/api/v1/{meeting}/chatMessages"
    written = ok(ann.call("POST", path, json={"chat_message": {"media": [media]}}))
    assert written["media"] == [media]
    assert ok(bob.call("GET", f"/api/v1/{media}"))["display_name"] == "plan.txt"
    assert bob.call("GET", f"/api/v1/{media}:download").content == b"The plan"
    stranger = sign_up(http, "eve").call("GET", f"/api/v1/{media}:download")
    assert (stranger.status_code, reason(stranger)) == (404, "MEDIA_NOT_FOUND")
    passed_on = bob.call("POST", path, json={"chat_message": {"media": [media]}})
    assert (passed_on.status_code, reason(passed_on)) == (404, "MEDIA_NOT_FOUND")
    ok(ann.call("DELETE", f"/api/v1/{written['name']}"))
    gone = bob.call("GET", f"/api/v1/{media}:download")
    assert (gone.status_code, reason(gone)) == (404, "MEDIA_NOT_FOUND")
