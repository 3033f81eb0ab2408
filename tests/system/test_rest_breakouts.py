"""Breakout rooms by REST, and people moved between them over the WebSocket: a whole stack."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.rest import Person, reason
from tests.running_stack import RunningStack
from tests.system.test_rest_room import hear, join, ok


async def enter(socket: ClientConnection, ticket: str) -> dict[str, Any]:
    await socket.send(json.dumps({"join": {"ticket": ticket}}))
    return await hear(socket, "joined")


async def ask(person: Person, method: str, path: str, **body: Any) -> dict[str, Any]:
    call = asyncio.to_thread(person.call, method, f"/api/v1/{path}", json=body or None)
    return ok(await call)


def test_people_are_moved_to_breakout_rooms_and_back(
    stack: RunningStack, ann: Person, bob: Person
) -> None:
    meeting = ann.create_meeting(passcode="1234")
    host = join(ann, meeting, "Ann")
    answer = bob.call("POST", f"/api/v1/{meeting}:join", json={"passcode": "1234"})
    guest = ok(answer)
    name = guest["participant"]["name"]
    address = f"{stack.http.replace('http', 'ws')}/ws/signaling"

    async def meet() -> None:
        async with connect(address) as anns, connect(address) as bobs, connect(address) as there:
            await enter(anns, host["ticket"])
            await enter(bobs, guest["ticket"])
            opened = await ask(
                ann,
                "POST",
                f"{meeting}/breakouts:open",
                breakouts=[{"title": "One", "participants": [name]}, {"title": "Two"}],
                duration="600s",
            )
            first, second = opened["breakouts"]
            assert first["participants"] == [name]
            told = await hear(anns, "breakouts_changed")
            assert told == {"open": True, "close_time": first["close_time"]}
            assert (await hear(bobs, "moved"))["meeting"] == first["meeting"]
            joined = await ask(bob, "POST", f"{first['meeting']}:join")
            assert joined["meeting"]["breakout_of"] == meeting
            await bobs.send(json.dumps({"leave": {}}))
            assert (await hear(anns, "participant_left"))["participant"] == name
            await enter(there, joined["ticket"])
            refused = await asyncio.to_thread(bob.call, "POST", f"/api/v1/{second['meeting']}:join")
            assert (refused.status_code, reason(refused)) == (403, "BREAKOUT_NOT_ASSIGNED")
            listed = await ask(bob, "GET", f"{meeting}/breakouts")
            assert [each["title"] for each in listed["breakouts"]] == ["One", "Two"]
            await ask(ann, "POST", f"{name}:move", breakout=second["name"])
            assert (await hear(there, "moved"))["meeting"] == second["meeting"]
            await ask(ann, "POST", f"{name}:move")
            assert (await hear(there, "moved"))["meeting"] == meeting
            again = await ask(bob, "POST", f"{meeting}:join")  # without the passcode
            async with connect(address) as back:
                await enter(back, again["ticket"])
                await ask(ann, "POST", f"{meeting}/breakouts:close", notice="1s")
                assert (await hear(back, "breakouts_changed"))["open"] is True
                assert "open" not in await hear(back, "breakouts_changed")

    asyncio.run(meet())
    assert ok(ann.call("GET", f"/api/v1/{meeting}/breakouts"))["breakouts"] == []
    assert not ok(ann.call("GET", f"/api/v1/{meeting}")).get("breakouts_open")


def test_only_hosts_open_and_close_them(ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting()
    join(bob, meeting, "Bob")
    wanted = {"breakouts": [{"title": "One"}]}

    def refusal(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, reason(answer)

    opened = bob.call("POST", f"/api/v1/{meeting}/breakouts:open", json=wanted)
    assert refusal(opened) == (403, "NOT_HOST")
    closed = bob.call("POST", f"/api/v1/{meeting}/breakouts:close")
    assert refusal(closed) == (403, "NOT_HOST")
    ok(ann.call("POST", f"/api/v1/{meeting}/breakouts:open", json=wanted))
    again = ann.call("POST", f"/api/v1/{meeting}/breakouts:open", json=wanted)
    assert refusal(again) == (400, "BREAKOUTS_OPEN")
