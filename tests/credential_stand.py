"""A user service on a real Postgres, and people who call it over real gRPC, each from an address of their own."""

from __future__ import annotations

import asyncio
import email as email_module
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import grpc
import pytest
from parley.user.v1 import (
    credential_pb2_grpc,
    session_pb2_grpc,
    user_pb2,
    user_pb2_grpc,
)

from chassis import channels
from chassis.clock import Clock
from services.user.app import running
from services.user.config import Config
from tests.identities import identity_in, make_identities
from tests.servers import PostgresServer, open_folder

PASSWORD = "correct horse battery"
PATIENCE_SECONDS = 20


@dataclass
class Person:
    """Somebody at an address, with the tokens of their newest session."""

    channel: grpc.aio.Channel
    address: str = "192.0.2.1"
    language: str = "en"
    username: str = field(default_factory=lambda: f"p-{secrets.token_hex(6)}")
    access_token: str = ""
    refresh_token: str = ""
    name: str = ""

    @property
    def email(self) -> str:
        return f"{self.username}@example.org"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What this person's calls carry, as the gateway passes it on."""
        said = (("x-forwarded-for", self.address), ("accept-language", self.language))
        bearer = ("authorization", f"Bearer {self.access_token}")
        return (*said, bearer) if self.access_token else said

    async def call(self, method: str, request: Any) -> Any:
        """Call a method by its name."""
        stubs = (
            user_pb2_grpc.AuthServiceStub,
            user_pb2_grpc.UserServiceStub,
            session_pb2_grpc.SessionServiceStub,
            credential_pb2_grpc.CredentialServiceStub,
        )
        made: list[Any] = [stub(self.channel) for stub in stubs]
        stub = next(stub for stub in made if hasattr(stub, method))
        return await getattr(stub, method)(request, metadata=self.metadata)

    async def register(self, **fields: Any) -> Any:
        """Sign up."""
        about = {"username": self.username, "email": self.email, "password": PASSWORD}
        answer = await self.call("Register", user_pb2.RegisterRequest(**{**about, **fields}))
        self._signed_in(answer)
        return answer

    async def login(self, password: str = PASSWORD, **fields: Any) -> Any:
        """Sign in, with a session that is new."""
        about = {"username_or_email": self.username, "password": password}
        answer = await self.call("Login", user_pb2.LoginRequest(**{**about, **fields}))
        self._signed_in(answer)
        return answer

    def elsewhere(self, address: str = "198.51.100.7") -> Person:
        """The same person, or somebody who says so, at another address, signed in nowhere."""
        return Person(self.channel, address, self.language, self.username)

    def _signed_in(self, answer: Any) -> None:
        self.access_token, self.refresh_token = answer.access_token, answer.refresh_token
        self.name = answer.user.name


@dataclass
class Stand:
    """The user service and whom it knows."""

    channel: grpc.aio.Channel
    target: str
    database_url: str
    folder: Path

    async def somebody(self, address: str = "192.0.2.1", **fields: Any) -> Person:
        """Somebody new, who has signed up."""
        person = Person(self.channel, address)
        await person.register(**fields)
        return person

    def mails(self, email: str) -> list[EmailMessage]:
        """Read what was sent to somebody, the oldest first."""
        read = [
            email_module.message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in sorted((self.folder / "outbox").glob("*.eml"))
        ]
        return [mail for mail in read if mail["To"] == email]

    async def token_of_mail(self, email: str, number: int = 1) -> str:
        """Wait for somebody's mail with this number, and read the token in its link."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(mails := self.mails(email)) < number:  # noqa: ASYNC110  # a folder tells nobody
                await asyncio.sleep(0.02)
        link = next(line for line in mails[number - 1].get_content().splitlines() if "#" in line)
        assert link.startswith("https://meet.example.org/")
        return str(link.partition("#")[2])


@asynccontextmanager
async def user_standing(
    postgres: PostgresServer, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Stand]:
    """Run a user service on a database of its own; `settings` are its configuration's."""
    with open_folder() as folder, postgres.migrated_database("user") as url:
        async with _running(folder, url, clock, **settings) as it:
            yield it


@asynccontextmanager
async def _running(
    folder: Path, url: str, clock: Clock | None, **settings: Any
) -> AsyncIterator[Stand]:
    identities = folder / "identities"
    if not identities.exists():
        make_identities(identities)
    config = Config(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        mesh="127.0.0.1:1",
        service_key=identities / "user.key",
        trust=identities / "trust.jwks",
        drain_seconds=0.0,
        database_url=url,
        public_url="https://meet.example.org",
        outbox=folder / "outbox",
        **settings,
    )
    identity = identity_in(identities, "meeting")
    async with (
        running(config, clock) as it,
        channels.direct(f"127.0.0.1:{it.port}", identity, timeout=30) as channel,
    ):
        yield Stand(channel, f"127.0.0.1:{it.port}", url, folder)


@asynccontextmanager
async def another(stand: Stand) -> AsyncIterator[Stand]:
    """Run one more process of a stand's service, on the same database and with the same keys."""
    async with _running(stand.folder, stand.database_url, None) as it:
        yield it


async def refused(call: Any) -> tuple[str, Any]:
    """Expect a call to be refused; returns the reason and the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return channels.reason(caught.value), caught.value


__all__ = ["PASSWORD", "Person", "Stand", "another", "refused", "user_standing"]
