"""Sessions and a forgotten password by REST, through the whole stack."""

from __future__ import annotations

import email
from email import policy

import httpx

from tests.rest import PASSWORD, Person, reason, until
from tests.running_stack import RunningStack, eventually

AGENT = "a phone"


def login(http: httpx.Client, person: Person, password: str = PASSWORD) -> httpx.Response:
    body = {"username_or_email": person.username, "password": password}
    headers = {"user-agent": AGENT}
    return http.post("/api/v1/auth/login", json=body, headers=headers)


def test_a_session_that_is_ended_is_refused_by_every_service(
    http: httpx.Client, ann: Person
) -> None:
    phone = {"authorization": f"Bearer {login(http, ann).json()['access_token']}"}
    sessions = ann.call("GET", "/api/v1/users/me/sessions").json()["sessions"]
    assert [each["current"] for each in sessions] == [False, True]
    assert (sessions[0]["user_agent"], sessions[0]["address"]) == (AGENT, "127.0.0.1")
    assert http.get("/api/v1/meetings", headers=phone).status_code == 200
    assert ann.call("POST", f"/api/v1/{sessions[0]['name']}:end", json={}).status_code == 200
    for path in ("/api/v1/meetings", "/api/v1/users/me", "/api/v1/media", "/api/v1/ai/models"):

        def is_refused(path: str = path) -> bool:
            answer = http.get(path, headers=phone)
            return answer.status_code == 401 and reason(answer) == "SESSION_ENDED"

        until(is_refused, f"{path} refuses whose session has ended")
        assert ann.call("GET", path).status_code == 200


def test_a_forgotten_password_is_set_anew_by_the_link_in_the_outbox(
    stack: RunningStack, http: httpx.Client, ann: Person
) -> None:
    address = f"{ann.username}@example.org"
    asked = http.post("/api/v1/auth/password:requestReset", json={"email": address})
    assert (asked.status_code, asked.json()) == (200, {})
    found: list[str] = []

    def has_come() -> bool:
        for path in (stack.state / "outbox").glob("*.eml"):
            mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            if mail["To"] == address:
                lines = mail.get_content().splitlines()
                found.append(next(line for line in lines if line.startswith(stack.http)))
        return bool(found)

    eventually(has_come, "the mail is in the outbox")
    body = {"token": found[0].partition("#")[2], "new_password": "a new password"}
    assert http.post("/api/v1/auth/password:reset", json=body).status_code == 200
    again = http.post("/api/v1/auth/password:reset", json=body)
    assert (again.status_code, reason(again)) == (401, "LINK_INVALID")
    wrong = login(http, ann)
    assert (wrong.status_code, reason(wrong)) == (401, "WRONG_CREDENTIALS")
    assert login(http, ann, "a new password").status_code == 200
