"""A REST client of the tests' own: what curl would do, with people who sign up."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.running_stack import RunningStack

PASSWORD = "correct horse battery"
PATIENCE_SECONDS = 60.0


@dataclass
class Person:
    """Somebody who has signed up."""

    http: httpx.Client
    username: str
    name: str
    access_token: str
    refresh_token: str

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call a method as this person."""
        headers = {"authorization": f"Bearer {self.access_token}", **options.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **options)

    def create_meeting(self, **fields: Any) -> str:
        """Make a meeting; returns its resource name."""
        answer = self.call("POST", "/api/v1/meetings", json={"title": "Daily", **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["name"])


def client(stack: RunningStack) -> httpx.Client:
    """Open a client of a stack's gateway."""
    return httpx.Client(base_url=stack.http, timeout=30.0)


def sign_up(http: httpx.Client, nick: str = "ann") -> Person:
    """Register somebody new."""
    username = f"{nick}-{secrets.token_hex(4)}"
    fields = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
    answer = http.post("/api/v1/auth/register", json={**fields, "display_name": nick.title()})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return Person(http, username, body["user"]["name"], body["access_token"], body["refresh_token"])


def reason(answer: httpx.Response) -> str:
    """Read the reason of an error, and see that it has the one shape that errors have."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}, body
    assert body["message"], body
    reasons = [detail["reason"] for detail in body["details"] if "reason" in detail]
    return reasons[0] if reasons else ""


def until(answers: Callable[[], bool], what: str) -> None:
    """Try until it answers; a gateway in trouble may break connections meanwhile."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if answers():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < limit, f"never: {what}"
        time.sleep(0.1)
