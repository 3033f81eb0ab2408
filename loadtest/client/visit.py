"""One visit to a Parley: who visits, and what the cases have learned for those after them.

A visitor is polite: where the gateway says 429, they wait as long as Retry-After says, a few times. And they clean up:
`clean_up` ends and deletes whatever the visit made.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from loadtest.client.gateway import Gateway

if TYPE_CHECKING:
    from loadtest.client.conversation import Conversation

PATIENT_TRIES = 5
LONGEST_WAIT_SECONDS = 10.0
DONE = frozenset({200, 404, 501})
"""What cleaning up may be answered: it is done, it was gone, or this server does not have the method."""


def _random_name() -> str:
    return f"visitor-{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Step:
    """A call that undoes something."""

    method: str
    path: str
    body: Mapping[str, str] | None = None


@dataclass(slots=True)
class Visit:
    """What a run knows. Empty texts are what it has not learned yet."""

    gateway: Gateway
    http: httpx.AsyncClient
    requests: int = 100
    concurrency: int = 10
    username: str = field(default_factory=_random_name)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    user: str = ""
    access_token: str = ""
    refresh_token: str = ""
    second_refresh_token: str = ""
    meeting: str = ""
    meetings: list[str] = field(default_factory=list)
    participant: str = ""
    ticket: str = ""
    conversation: Conversation | None = None
    media: str = ""
    limited: httpx.Response | None = None
    waited_seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def credentials(self) -> Mapping[str, str]:
        """Give the header that says who calls; nothing before there is a user."""
        return {"authorization": f"Bearer {self.access_token}"} if self.access_token else {}

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call a REST method as the visitor; `options` are httpx's. Waits where a limit says so."""
        headers = {**self.credentials, **options.pop("headers", {})}
        for _ in range(PATIENT_TRIES):
            answer = await self.http.request(method, path, headers=headers, **options)
            wait = _wait_seconds(answer)
            if wait is None:
                break
            self.waited_seconds += wait
            await asyncio.sleep(wait)
        return answer

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Read something."""
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Say something in JSON."""
        return await self.call("POST", path, json=body)

    async def clean_up(self) -> list[str]:
        """Undo what the visit made; returns what could not be, with the answer."""
        if self.conversation is not None:
            await self.conversation.close()
        return [text for step in self._steps() if (text := await self._undone(step))]

    def _steps(self) -> list[Step]:
        """List the calls that undo the visit, in order."""
        files = [Step("DELETE", f"/api/v1/{self.media}")] if self.media else []
        ends = [Step("POST", f"/api/v1/{each}:end", {}) for each in self.meetings]
        deletions = [Step("DELETE", f"/api/v1/{each}") for each in self.meetings]
        tokens = filter(None, (self.second_refresh_token, self.refresh_token))
        logouts = [Step("POST", "/api/v1/auth/logout", {"refresh_token": each}) for each in tokens]
        account = [Step("POST", "/api/v1/users/me:delete", {"password": self.password})]
        return [*files, *ends, *deletions, *(account if self.user else []), *logouts]

    async def _undone(self, step: Step) -> str:
        """Do one step; returns a complaint, or nothing when it is done or this server can't do it."""
        try:
            status = (await self.call(step.method, step.path, json=step.body)).status_code
        except httpx.HTTPError as error:
            return f"{step.method} {step.path}: {str(error) or type(error).__name__}"
        return "" if status in DONE else f"{step.method} {step.path}: HTTP {status}"


def _wait_seconds(answer: httpx.Response) -> float | None:
    """Read how long a refused client should wait; None when there is no use in waiting."""
    after = answer.headers.get("retry-after", "")
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or not after.isdecimal():
        return None
    return float(after) if float(after) <= LONGEST_WAIT_SECONDS else None


__all__ = ["Visit"]
