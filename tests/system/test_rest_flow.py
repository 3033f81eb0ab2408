"""The whole flow by REST, as curl would go through it, at the gateway's one port."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

import httpx

from tests.rest import PASSWORD, Person, reason, until
from tests.running_stack import RunningStack


def login(http: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    body = {"username_or_email": name, "password": password}
    return http.post("/api/v1/auth/login", json=body)


def refresh(http: httpx.Client, token: str) -> httpx.Response:
    return http.post("/api/v1/auth/refresh", json={"refresh_token": token})


def test_login_gives_the_user_and_tokens(http: httpx.Client, ann: Person) -> None:
    body = login(http, f"{ann.username.upper()}@EXAMPLE.org").json()
    assert set(body) == {"user", "access_token", "refresh_token", "expires_in"}
    assert body["user"]["username"] == ann.username
    assert body["expires_in"] == 900


def test_login_answers_alike_whether_or_not_the_user_exists(
    http: httpx.Client, ann: Person
) -> None:
    wrong, nobody = login(http, ann.username, "wrong password"), login(http, "nobody-at-all")
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()
    assert reason(wrong) == "WRONG_CREDENTIALS"


def test_a_taken_name_is_told(http: httpx.Client, ann: Person) -> None:
    body = {"username": ann.username.title(), "email": "x@example.org", "password": PASSWORD}
    taken = http.post("/api/v1/auth/register", json=body)
    assert (taken.status_code, reason(taken)) == (409, "USERNAME_TAKEN")
    body = {"username": f"{ann.username}x"[:32], "email": f"{ann.username}@example.org"}
    taken = http.post("/api/v1/auth/register", json={**body, "password": PASSWORD})
    assert (taken.status_code, reason(taken)) == (409, "EMAIL_TAKEN")


def test_refresh_tokens_rotate_and_one_used_twice_ends_the_session(
    http: httpx.Client, ann: Person
) -> None:
    second = refresh(http, ann.refresh_token).json()["refresh_token"]
    stolen = refresh(http, ann.refresh_token)
    assert (stolen.status_code, reason(stolen)) == (401, "REFRESH_TOKEN_REUSED")
    assert reason(refresh(http, second)) == "REFRESH_TOKEN_INVALID"


def test_after_logout_the_session_is_over(http: httpx.Client, ann: Person) -> None:
    body = {"refresh_token": ann.refresh_token}
    assert http.post("/api/v1/auth/logout", json=body).json() == {}
    assert http.post("/api/v1/auth/logout", json=body).status_code == 200
    assert refresh(http, ann.refresh_token).status_code == 401


def test_the_keys_that_sign_access_tokens_are_published(http: httpx.Client) -> None:
    keys = http.get("/.well-known/jwks.json").json()["keys"]
    assert {(key["kty"], key["crv"], key["alg"]) for key in keys} == {("OKP", "Ed25519", "EdDSA")}


def test_a_profile_is_read_and_changed(ann: Person) -> None:
    before = ann.call("GET", "/api/v1/users/me").json()
    after = ann.call("PATCH", "/api/v1/users/me", json={"display_name": "Anna 安娜"}).json()
    assert (after["name"], after["display_name"]) == (before["name"], "Anna 安娜")
    body = {"display_name": "Late", "etag": before["etag"]}
    late = ann.call("PATCH", "/api/v1/users/me", json=body)
    assert (late.status_code, reason(late)) == (409, "ETAG_MISMATCH")


def test_others_see_no_email(ann: Person, bob: Person) -> None:
    seen = bob.call("GET", f"/api/v1/{ann.name}").json()
    assert (seen["display_name"], seen["email"]) == ("Ann", "")


def test_a_meeting_from_its_making_to_its_end(ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting(description="About it")
    assert bob.call("GET", f"/api/v1/{meeting}").json()["title"] == "Daily"
    joined = bob.call("POST", f"/api/v1/{meeting}:join", json={"display_name": "Bobby"}).json()
    assert set(joined) == {"meeting", "participant", "ticket", "signaling_url", "ice_servers"}
    assert joined["participant"]["display_name"] == "Bobby"
    assert joined["participant"]["name"].startswith(f"{meeting}/participants/")
    people = ann.call("GET", f"/api/v1/{meeting}/participants", params={"show_left": True})
    assert [each["user"] for each in people.json()["participants"]] == [bob.name]
    assert bob.call("POST", f"/api/v1/{meeting}:leave", json={}).json() == {}
    ended = ann.call("POST", f"/api/v1/{meeting}:end", json={}).json()
    assert ended["state"] == "MEETING_STATE_ENDED"
    late = bob.call("POST", f"/api/v1/{meeting}:join", json={})
    assert (late.status_code, reason(late)) == (400, "MEETING_ENDED")


def test_making_a_meeting_twice_with_one_request_id_makes_one(ann: Person) -> None:
    params = {"request_id": str(uuid.uuid4())}
    first, second = (
        ann.call("POST", "/api/v1/meetings", params=params, json={"title": "Once"}).json()
        for _ in range(2)
    )
    assert first == second


def test_joining_twice_with_one_request_id_is_one_participant(ann: Person) -> None:
    meeting, body = ann.create_meeting(), {"request_id": str(uuid.uuid4())}
    first, second = (
        ann.call("POST", f"/api/v1/{meeting}:join", json=body).json()["participant"]["name"]
        for _ in range(2)
    )
    assert first == second


def test_lists_are_paged(ann: Person) -> None:
    made = [ann.create_meeting(title=f"Number {number}") for number in range(5)]
    seen, token = [], ""
    while True:
        params = {"page_size": 2, "page_token": token}
        page = ann.call("GET", "/api/v1/meetings", params=params).json()
        seen += [meeting["name"] for meeting in page["meetings"]]
        if not (token := page["next_page_token"]):
            break
    assert seen == made[::-1]


def test_a_passcode_keeps_others_out_and_is_shown_to_the_host_alone(
    ann: Person, bob: Person
) -> None:
    meeting = ann.create_meeting(passcode="open sesame")
    assert ann.call("GET", f"/api/v1/{meeting}").json()["passcode"] == "open sesame"
    seen = bob.call("GET", f"/api/v1/{meeting}").json()
    assert (seen["passcode"], seen["passcode_required"]) == ("", True)
    kept_out = bob.call("POST", f"/api/v1/{meeting}:join", json={"passcode": "close sesame"})
    assert (kept_out.status_code, reason(kept_out)) == (403, "WRONG_PASSCODE")
    let_in = bob.call("POST", f"/api/v1/{meeting}:join", json={"passcode": "open sesame"})
    assert let_in.status_code == 200


def test_a_full_meeting_lets_nobody_in(ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting(capacity=2)
    for person in (ann, bob):
        assert person.call("POST", f"/api/v1/{meeting}:join", json={}).status_code == 200
    full = bob.call("POST", f"/api/v1/{meeting}:join", json={})
    assert (full.status_code, reason(full)) == (429, "MEETING_FULL")


def test_a_request_id_goes_through_all_layers(http: httpx.Client, stack: RunningStack) -> None:
    headers = {"x-request-id": "a-request-of-the-tests"}
    answer = http.post(
        "/api/v1/auth/login", headers=headers, json={"username_or_email": "nobody", "password": "x"}
    )
    assert answer.headers["x-request-id"] == "a-request-of-the-tests"
    for name in ("nginx.access", "envoy.access", "user"):
        log = stack.state / "logs" / f"{name}.log"
        until(partial(_says, log, "a-request-of-the-tests"), f"the id in {log.name}")


def _says(log: Path, text: str) -> bool:
    return text in log.read_text()
