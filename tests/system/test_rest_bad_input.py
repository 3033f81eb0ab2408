"""Bad input to every REST method gets the right status and a message that helps, in one shape."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stack.secrets import Secrets
from tests.rest import Person, client, reason, sign_up
from tests.running_stack import RunningStack

ABSENT = "meetings/zzz-zzzz-zzz"


@pytest.fixture(scope="module")
def http(stack: RunningStack) -> Iterator[httpx.Client]:
    with client(stack) as it:
        yield it


@pytest.fixture(scope="module")
def ann(http: httpx.Client) -> Person:
    return sign_up(http, "ann")


@pytest.fixture(scope="module")
def bob(http: httpx.Client) -> Person:
    return sign_up(http, "bob")


OPEN: list[tuple[str, dict[str, Any]]] = [
    (
        "/api/v1/auth/register",
        {"username": "x" * 5, "email": "x@example.org", "password": "12345678"},
    ),
    ("/api/v1/auth/login", {"username_or_email": "x", "password": "x"}),
    ("/api/v1/auth/refresh", {"refresh_token": "x"}),
    ("/api/v1/auth/logout", {"refresh_token": "x"}),
]

CLOSED: list[tuple[str, str]] = [
    ("GET", "/api/v1/users/me"),
    ("PATCH", "/api/v1/users/me"),
    ("POST", "/api/v1/meetings"),
    ("GET", "/api/v1/meetings"),
    ("GET", f"/api/v1/{ABSENT}"),
    ("POST", f"/api/v1/{ABSENT}:join"),
    ("POST", f"/api/v1/{ABSENT}:leave"),
    ("POST", f"/api/v1/{ABSENT}:end"),
    ("GET", f"/api/v1/{ABSENT}/participants"),
]

BODIES = [(method, path) for method, path in CLOSED if method != "GET"]


@pytest.mark.parametrize(("path", "good"), OPEN)
def test_a_missing_field_is_named(http: httpx.Client, path: str, good: dict[str, Any]) -> None:
    for field in good:
        answer = http.post(path, json={key: value for key, value in good.items() if key != field})
        assert answer.status_code == 400, answer.text
        assert field in answer.text


@pytest.mark.parametrize(("path", "good"), OPEN)
def test_a_wrong_type_is_refused(http: httpx.Client, path: str, good: dict[str, Any]) -> None:
    for field in good:
        for wrong in ({"a": 1}, [1], True):
            answer = http.post(path, json={**good, field: wrong})
            assert answer.status_code == 400, answer.text
            reason(answer)


@pytest.mark.parametrize(("path", "good"), OPEN)
def test_a_value_that_is_too_long_is_refused(
    http: httpx.Client, path: str, good: dict[str, Any]
) -> None:
    for field in good:
        answer = http.post(path, json={**good, field: "x" * 5_000})
        assert answer.status_code == 400, answer.text
        assert field in answer.text


@pytest.mark.parametrize("path", [path for path, _ in OPEN])
def test_an_oversized_body_is_refused(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json={"username": "x" * 2_000_000})
    assert answer.status_code == 413
    reason(answer)


@pytest.mark.parametrize("path", [path for path, _ in OPEN])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 2000])
def test_what_is_no_json_object_is_refused(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    reason(answer)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "a b"),
        ("username", "ab"),
        ("username", "-ab"),
        ("email", "not an address"),
        ("password", "short"),
        ("display_name", "x" * 65),
    ],
)
def test_what_registration_does_not_take_is_named(
    http: httpx.Client, field: str, value: str
) -> None:
    good = {"username": "charlie", "email": "c@example.org", "password": "long enough"}
    answer = http.post("/api/v1/auth/register", json={**good, field: value})
    assert answer.status_code == 400
    violations = [
        v["field"] for d in answer.json()["details"] for v in d.get("field_violations", ())
    ]
    assert violations == [field]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_a_token_nobody_is_served(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path, json={} if method != "GET" else None)
    assert answer.status_code == 401
    reason(answer)


def forged(**changed: Any) -> str:
    claims = {"iss": "parley", "aud": "parley", "sub": "users/1", "exp": time.time() + 60}
    key = Ed25519PrivateKey.generate()
    return jwt.encode({**claims, **changed}, key, "EdDSA", headers={"kid": "made-up"})


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_wrong_token_is_refused(http: httpx.Client, method: str, path: str) -> None:
    unsigned = jwt.encode({"iss": "parley", "aud": "parley", "sub": "users/1"}, "", "none")
    for token in ("nonsense", forged(), unsigned):
        headers = {"authorization": f"Bearer {token}"}
        answer = http.request(method, path, headers=headers, json={} if method != "GET" else None)
        assert answer.status_code == 401, answer.text
        reason(answer)


def signed_by_the_server(stack: RunningStack, person: Person, **changed: Any) -> str:
    """Sign with the stack's own key, read from its database, as nobody outside could."""
    password = Secrets(stack.state / "secrets").password("parley_user")
    with psycopg.connect(
        host="127.0.0.1",
        port=stack.layout.port("postgres", "sql"),
        user="parley_user",
        password=password,
        dbname="parley_user",
    ) as database:
        row = database.execute("SELECT kid, private_pem FROM signing_keys").fetchone()
    assert row is not None
    claims = {"iss": "parley", "aud": "parley", "sub": person.name, "exp": time.time() + 60}
    return jwt.encode({**claims, **changed}, bytes(row[1]), "EdDSA", headers={"kid": row[0]})


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_an_expired_token_is_refused(
    stack: RunningStack, ann: Person, method: str, path: str
) -> None:
    good = signed_by_the_server(stack, ann)
    assert ann.http.get("/api/v1/users/me", headers={"authorization": f"Bearer {good}"}).is_success
    expired = signed_by_the_server(stack, ann, exp=time.time() - 300)
    headers = {"authorization": f"Bearer {expired}"}
    answer = ann.http.request(method, path, headers=headers, json={} if method != "GET" else None)
    assert answer.status_code == 401
    reason(answer)


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_malformed_bodies_of_signed_in_people_are_refused(
    ann: Person, method: str, path: str
) -> None:
    for body in (
        b"{",
        b"[1]",
        b"\xff",
        b'{"title": {"a": 1}, "display_name": [2], "participant": {}}',
    ):
        headers = {"content-type": "application/json"}
        answer = ann.call(method, path, content=body, headers=headers)
        assert answer.status_code in (400, 404), (body, answer.text)
        reason(answer)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "x", "capacity": 1}, "capacity"),
        ({"title": "x", "capacity": 100_000}, "capacity"),
        ({"title": "x", "passcode": "123"}, "passcode"),
        ({"title": "x", "description": "x" * 2001}, "description"),
    ],
)
def test_what_a_meeting_can_not_be_is_named(ann: Person, body: dict[str, Any], field: str) -> None:
    answer = ann.call("POST", "/api/v1/meetings", json=body)
    assert answer.status_code == 400, answer.text
    assert field in json.dumps(answer.json()["details"])


@pytest.mark.parametrize(
    "params", [{"page_size": -1}, {"page_size": 101}, {"page_size": "x"}, {"page_token": "forged"}]
)
def test_a_bad_page_is_refused(ann: Person, params: dict[str, Any]) -> None:
    answer = ann.call("GET", "/api/v1/meetings", params=params)
    assert answer.status_code == 400, answer.text
    reason(answer)


def test_a_code_that_is_no_code_is_refused_and_an_absent_one_not_found(ann: Person) -> None:
    assert ann.call("GET", "/api/v1/meetings/nonsense").status_code == 400
    for method, path in CLOSED[4:]:
        answer = ann.call(method, path, json={} if method != "GET" else None)
        assert (answer.status_code, reason(answer)) == (404, "MEETING_NOT_FOUND")


def test_another_users_meeting_can_not_be_ended_or_looked_into(ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting()
    ended = bob.call("POST", f"/api/v1/{meeting}:end", json={})
    assert (ended.status_code, reason(ended)) == (403, "NOT_HOST")
    seen = bob.call("GET", f"/api/v1/{meeting}/participants")
    assert (seen.status_code, reason(seen)) == (403, "NOT_PARTICIPANT")
    participant = ann.call("POST", f"/api/v1/{meeting}:join", json={}).json()["participant"]["name"]
    left = bob.call("POST", f"/api/v1/{meeting}:leave", json={"participant": participant})
    assert (left.status_code, reason(left)) == (404, "PARTICIPANT_NOT_FOUND")


def test_another_users_profile_can_not_be_changed(ann: Person, bob: Person) -> None:
    answer = bob.call("PATCH", f"/api/v1/{ann.name}", json={"display_name": "Eve"})
    assert (answer.status_code, reason(answer)) == (403, "NOT_YOURS")


def test_fields_that_are_the_servers_can_not_be_changed(ann: Person) -> None:
    params = {"update_mask": "role"}
    answer = ann.call("PATCH", "/api/v1/users/me", params=params, json={"role": "ROLE_ADMIN"})
    assert answer.status_code == 400
    assert ann.call("GET", "/api/v1/users/me").json()["role"] == "ROLE_USER"


def test_unknown_addresses_and_internal_methods_are_not_there(
    http: httpx.Client, ann: Person
) -> None:
    for path in ("/api/v1/nothing", "/api/v2/users/me", "/api/v1/meetings/a/b/c/d"):
        answer = ann.call("GET", path)
        assert answer.status_code == 404, (path, answer.text)
        reason(answer)
    internal = "/parley.media.v1.RoomService/CloseRoom"
    answer = ann.call(
        "POST", internal, content=b"", headers={"content-type": "application/grpc-web+proto"}
    )
    assert answer.status_code == 404 or answer.headers.get("grpc-status") == "12"
