"""Administration, programs, guests, pictures, exports and deletions by REST, through the whole stack."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from typing import Any

import grpc
import httpx
import pytest
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from PIL import Image

from tests.rest import PASSWORD, PATIENCE_SECONDS, Person, reason, sign_up, until
from tests.running_stack import RunningStack, parley


def with_token(http: httpx.Client, token: str) -> Person:
    """Somebody whom we know by a token alone."""
    return Person(http, "", "", token, "")


@pytest.fixture
def admin(stack: RunningStack, http: httpx.Client) -> Person:
    """Somebody whom the operator makes admin, with the command for that."""
    person = sign_up(http, "root")
    done = parley("admin", f"{person.username}@example.org", "--state", str(stack.state))
    assert done.returncode == 0, done.stderr
    assert person.username in done.stdout
    body = {"refresh_token": person.refresh_token}
    fresh = http.post("/api/v1/auth/refresh", json=body).json()
    person.access_token, person.refresh_token = fresh["access_token"], fresh["refresh_token"]
    return person


def test_the_operator_s_command_says_when_there_is_no_such_account(stack: RunningStack) -> None:
    done = parley("admin", "nobody@example.org", "--state", str(stack.state))
    assert done.returncode == 1
    assert "nobody@example.org" in done.stderr


def test_admins_find_ban_and_unban(http: httpx.Client, admin: Person, bob: Person) -> None:
    refused = bob.call("GET", "/api/v1/admin/users")
    assert (refused.status_code, reason(refused)) == (403, "PERMISSION_DENIED")
    found = admin.call("GET", "/api/v1/admin/users", params={"query": bob.username}).json()
    (account,) = found["accounts"]
    assert account["user"]["name"] == bob.name
    assert account["state"] == "ACCOUNT_STATE_ACTIVE"
    path = f"/api/v1/admin/{bob.name}"
    assert admin.call("POST", f"{path}:ban", json={"reason": "spam"}).status_code == 200
    login = {"username_or_email": bob.username, "password": PASSWORD}
    banned = http.post("/api/v1/auth/login", json=login)
    assert (banned.status_code, reason(banned)) == (403, "ACCOUNT_BANNED")
    assert admin.call("POST", f"{path}:unban", json={}).status_code == 200
    assert http.post("/api/v1/auth/login", json=login).status_code == 200
    role = admin.call("POST", f"{path}:setRole", json={"role": "ROLE_MODERATOR"})
    assert role.json()["user"]["role"] == "ROLE_MODERATOR"


async def test_a_ban_ends_a_call_that_is_under_way(
    stack: RunningStack, admin: Person, ann: Person, bob: Person
) -> None:
    meeting = ann.create_meeting()
    ticket = bob.call("POST", f"/api/v1/{meeting}:join", json={}).json()["ticket"]
    async with (
        grpc.aio.insecure_channel(stack.grpc_target) as channel,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        stub: Any = signaling_pb2_grpc.SignalingServiceStub(channel)
        call = stub.Connect()
        join = signaling_pb2.Join(ticket=ticket)
        await call.write(signaling_pb2.ClientMessage(id="1", join=join))
        while (await call.read()).WhichOneof("message") != "joined":
            pass
        await asyncio.to_thread(admin.call, "POST", f"/api/v1/admin/{bob.name}:ban", json={})
        while (said := await call.read()).WhichOneof("message") != "disconnected":
            assert said is not grpc.aio.EOF
    until(
        lambda: bob.call("POST", f"/api/v1/{meeting}:join", json={}).status_code == 401,
        "access tokens of whoever is banned are refused",
    )


def test_nobody_is_signed_out_by_a_new_key(http: httpx.Client, admin: Person, bob: Person) -> None:
    made = admin.call("POST", "/api/v1/admin/signingKeys:rotate", json={})
    assert made.status_code == 200, made.text
    assert made.json()["key"]["alg"] == "EdDSA"
    for person in (admin, bob):
        assert person.call("GET", "/api/v1/users/me").status_code == 200
    login = {"username_or_email": bob.username, "password": PASSWORD}
    fresh = http.post("/api/v1/auth/login", json=login).json()["access_token"]
    assert with_token(http, fresh).call("GET", "/api/v1/users/me").status_code == 200


def test_a_program_does_what_its_key_says(http: httpx.Client, ann: Person) -> None:
    key = {"display_name": "ci", "scopes": ["API_KEY_SCOPE_MEETINGS_READ"]}
    made = ann.call("POST", "/api/v1/users/me/apiKeys", json={"api_key": key}).json()
    answer = http.post("/api/v1/auth/apiKey", json={"secret": made["secret"]})
    program = with_token(http, answer.json()["access_token"])
    meeting = ann.create_meeting()
    assert program.call("GET", f"/api/v1/{meeting}").status_code == 200
    refused = program.call("POST", "/api/v1/meetings", json={"title": "Mine"})
    assert (refused.status_code, reason(refused)) == (403, "SCOPE_MISSING")
    name = made["api_key"]["name"]
    assert ann.call("POST", f"/api/v1/{name}:revoke", json={}).status_code == 200
    over = http.post("/api/v1/auth/apiKey", json={"secret": made["secret"]})
    assert (over.status_code, reason(over)) == (401, "API_KEY_INVALID")


def test_a_guest_comes_by_the_link_alone(http: httpx.Client, ann: Person) -> None:
    meeting = ann.create_meeting()
    wish = {"meeting": meeting, "display_name": "Gus"}
    refused = http.post("/api/v1/auth/guest", json=wish)
    assert (refused.status_code, reason(refused)) == (403, "GUESTS_NOT_ALLOWED")
    allow = {"guests_allowed": True}
    assert ann.call("PATCH", f"/api/v1/{meeting}/settings", json=allow).status_code == 200
    answer = http.post("/api/v1/auth/guest", json=wish).json()
    assert answer["user"]["role"] == "ROLE_GUEST"
    gus = with_token(http, answer["access_token"])
    joined = gus.call("POST", f"/api/v1/{meeting}:join", json={})
    assert joined.json()["participant"]["display_name"] == "Gus"
    other = gus.call("POST", f"/api/v1/{ann.create_meeting()}:join", json={})
    assert (other.status_code, reason(other)) == (403, "NOT_FOR_GUESTS")
    unknown = http.post("/api/v1/auth/guest", json={**wish, "meeting": "meetings/zzz-zzzz-zzz"})
    assert (unknown.status_code, reason(unknown)) == (404, "MEETING_NOT_FOUND")


def test_a_picture_is_sent_as_a_file_and_asked_for_once(ann: Person, bob: Person) -> None:
    made = io.BytesIO()
    Image.new("RGB", (640, 480), "green").save(made, "JPEG")
    sent = ann.call(
        "PUT",
        f"/api/v1/{ann.name}/avatar",
        content=made.getvalue(),
        headers={"content-type": "image/jpeg"},
    )
    assert sent.status_code == 200, sent.text
    shown = bob.call("GET", f"/api/v1/{ann.name}/avatar")
    assert shown.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(shown.content)).size == (256, 256)
    again = bob.call(
        "GET", f"/api/v1/{ann.name}/avatar", headers={"if-none-match": shown.headers["etag"]}
    )
    assert again.status_code == 304
    refused = ann.call(
        "PUT",
        "/api/v1/users/me/avatar",
        content=b"<svg/>",
        headers={"content-type": "image/svg+xml"},
    )
    assert (refused.status_code, reason(refused)) == (400, "IMAGE_INVALID")
    assert ann.call("DELETE", "/api/v1/users/me/avatar").status_code == 200
    gone = bob.call("GET", f"/api/v1/{ann.name}/avatar")
    assert (gone.status_code, reason(gone)) == (404, "AVATAR_NOT_FOUND")


def test_whoever_leaves_takes_a_copy_and_leaves_nothing(http: httpx.Client, ann: Person) -> None:
    meeting, content = ann.create_meeting(), b"words of mine " * 20_000
    sent = ann.call(
        "POST",
        "/api/v1/media",
        params={"name": "notes.txt"},
        content=content,
        headers={"content-type": "text/plain"},
    )
    media = sent.json()["name"]
    copy = ann.call("GET", "/api/v1/users/me:export")
    assert copy.headers["content-type"] == "application/zip"
    assert "parley-account.zip" in copy.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(copy.content))
    (account,) = json.loads(archive.read("account.json"))
    assert account["username"] == ann.username
    assert meeting in archive.read("meetings.json").decode()
    assert archive.read(f"files/{media.removeprefix('media/')}-notes.txt") == content
    wrong = ann.call("POST", "/api/v1/users/me:delete", json={"password": "a wrong guess"})
    assert (wrong.status_code, reason(wrong)) == (401, "WRONG_CREDENTIALS")
    done = ann.call("POST", "/api/v1/users/me:delete", json={"password": PASSWORD})
    assert done.status_code == 200, done.text
    late = http.post("/api/v1/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert reason(late) == "REFRESH_TOKEN_INVALID"
    bob = sign_up(http, "bob")
    until(lambda: _is_gone(bob, meeting), "the meetings of whoever has left are deleted")


def test_whoever_leaves_takes_their_words_along(ann: Person, bob: Person) -> None:
    meeting = bob.create_meeting()
    for person in (ann, bob):
        assert person.call("POST", f"/api/v1/{meeting}:join", json={}).status_code == 200
    chat = f"/api/v1/{meeting}/chatMessages"
    for person, text in ((ann, "quince jelly"), (bob, "I like it")):
        sent = person.call("POST", chat, json={"chat_message": {"text": text}})
        assert sent.status_code == 200, sent.text
    copy = ann.call("GET", "/api/v1/users/me:export")
    archive = zipfile.ZipFile(io.BytesIO(copy.content))
    words = [each["text"] for each in json.loads(archive.read("chat_messages.json"))]
    assert words == ["quince jelly"]
    (visit,) = json.loads(archive.read("participations.json"))
    assert f"meetings/{visit['meeting']}" == meeting
    done = ann.call("POST", "/api/v1/users/me:delete", json={"password": PASSWORD})
    assert done.status_code == 200, done.text

    def shown() -> list[tuple[str, str]]:
        messages = bob.call("GET", chat).json()["chat_messages"]
        return [(each["sender_display_name"], each.get("text", "")) for each in messages]

    until(lambda: ("Deleted account", "") in shown(), "what somebody wrote goes with them")
    assert len(shown()) == 2
    assert "I like it" in dict(shown()).values()


def test_meetings_go_with_their_host_however_they_stand(
    http: httpx.Client, ann: Person, bob: Person
) -> None:
    over, off, on = (ann.create_meeting() for _ in range(3))
    theirs = bob.create_meeting()
    for meeting in (over, on, theirs):
        for person in (ann, bob):
            joined = person.call("POST", f"/api/v1/{meeting}:join", json={})
            assert joined.status_code == 200, joined.text
    hello = {"chat_message": {"text": "Hello"}}
    assert bob.call("POST", f"/api/v1/{on}/chatMessages", json=hello).status_code == 200
    assert ann.call("POST", f"/api/v1/{over}:end", json={}).status_code == 200
    assert ann.call("POST", f"/api/v1/{off}:cancel", json={}).status_code == 200
    done = ann.call("POST", "/api/v1/users/me:delete", json={"password": PASSWORD})
    assert done.status_code == 200, done.text
    for meeting in (over, off, on):
        until(lambda name=meeting: _is_gone(bob, name), f"{meeting} is deleted")  # type: ignore[misc]
    assert bob.call("GET", f"/api/v1/{on}/chatMessages").status_code == 404
    assert not _is_gone(bob, theirs), "what others host is theirs"


def _is_gone(person: Person, meeting: str) -> bool:
    return person.call("GET", f"/api/v1/{meeting}").status_code == 404
