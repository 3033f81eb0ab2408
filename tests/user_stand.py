"""A user service on a real Postgres, and people, admins and programs who call it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from parley.user.v1 import (
    account_pb2_grpc,
    admin_pb2_grpc,
    api_key_pb2_grpc,
    sign_in_pb2_grpc,
    user_pb2,
    user_pb2_grpc,
)

from chassis import channels
from chassis.clock import Clock
from services.user.app import running
from services.user.config import Config
from services.user.promote import promote
from tests.identities import identity_in, make_identities

PASSWORD = "correct horse battery"


class Caller:
    """Somebody with an access token, or nobody without."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "") -> None:
        self.channel = channel
        self.token = token

    async def call(self, stub: Any, method: str, request: Any) -> Any:
        metadata = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        return await getattr(stub(self.channel), method)(request, metadata=metadata)

    async def auth(self, method: str, request: Any) -> Any:
        return await self.call(user_pb2_grpc.AuthServiceStub, method, request)

    async def users(self, method: str, request: Any) -> Any:
        return await self.call(user_pb2_grpc.UserServiceStub, method, request)

    async def admin(self, method: str, request: Any) -> Any:
        return await self.call(admin_pb2_grpc.AdminServiceStub, method, request)

    async def keys(self, method: str, request: Any) -> Any:
        return await self.call(api_key_pb2_grpc.ApiKeyServiceStub, method, request)

    async def account(self, method: str, request: Any) -> Any:
        return await self.call(account_pb2_grpc.AccountServiceStub, method, request)

    async def sign_in(self, method: str, request: Any) -> Any:
        return await self.call(sign_in_pb2_grpc.SignInServiceStub, method, request)


class Person(Caller):
    """Somebody with an account."""

    def __init__(self, channel: grpc.aio.Channel, answer: Any) -> None:
        super().__init__(channel, answer.access_token)
        self.name = str(answer.user.name)
        self.username = str(answer.user.username)
        self.email = str(answer.user.email)
        self.refresh_token = str(answer.refresh_token)

    async def signed_in(self) -> Person:
        """Sign in once more."""
        request = user_pb2.LoginRequest(username_or_email=self.username, password=PASSWORD)
        return Person(self.channel, await self.auth("Login", request))

    async def refreshed(self) -> Any:
        return await self.auth("Refresh", user_pb2.RefreshRequest(refresh_token=self.refresh_token))


@dataclass
class Stand:
    """The user service, and who calls it."""

    channel: grpc.aio.Channel
    address: str
    database_url: str
    config: Config

    @property
    def nobody(self) -> Caller:
        return Caller(self.channel)

    async def person(self, nick: str = "ann") -> Person:
        name = f"{nick}-{secrets.token_hex(4)}"
        request = user_pb2.RegisterRequest(
            username=name, email=f"{name}@example.org", password=PASSWORD
        )
        return Person(self.channel, await self.nobody.auth("Register", request))

    async def admin(self, nick: str = "root") -> Person:
        """Somebody whom the operator has made admin."""
        person = await self.person(nick)
        await promote(self.database_url, person.email)
        return await person.signed_in()


@asynccontextmanager
async def stand_with(
    database_url: str, folder: Path, clock: Clock | None = None, **values: Any
) -> AsyncIterator[Stand]:
    identities = make_identities(folder)
    config = Config(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        trust=identities / "trust.jwks",
        service_key=identities / "user.key",
        drain_seconds=0,
        database_url=database_url,
        **{"mesh": "127.0.0.1:1", **values},
    )
    identity = identity_in(identities, "meeting")
    async with (
        running(config, clock) as server,
        channels.direct(f"127.0.0.1:{server.port}", identity, timeout=30) as channel,
    ):
        yield Stand(channel, f"127.0.0.1:{server.port}", config.database_url, config)


async def refusal(call: Awaitable[Any]) -> str:
    """Make a call that is refused; returns the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return channels.reason(caught.value)


__all__ = ["PASSWORD", "Caller", "Person", "Stand", "refusal", "stand_with"]
