"""Ways in: what one signs in with, and how the tokens are had anew."""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import grpc
from parley.client._errors import ParleyError
from parley.user.v1 import (
    api_key_pb2,
    api_key_pb2_grpc,
    sign_in_pb2,
    sign_in_pb2_grpc,
    user_pb2,
    user_pb2_grpc,
)

_CODE = re.compile(r"(?<![a-z-])[a-z]{3}-[a-z]{4}-[a-z]{3}(?![a-z-])")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gives; `lifetime` is the access token's, in seconds, None when it is not known.

    `request_id` is of the one refresh that `refresh` is good for: repeated, it gives the same answer, so that an answer
    that was lost costs nothing.
    """

    access: str = field(repr=False)
    lifetime: float | None = None
    refresh: str = field(default="", repr=False)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Credentials(Protocol):
    """Something to sign in with. `channel` retries by itself; its public methods need no token."""

    async def sign_in(self, channel: grpc.aio.Channel) -> Tokens:
        """Begin a session. Raises ParleyError."""

    async def renew(self, channel: grpc.aio.Channel, old: Tokens) -> Tokens | None:
        """Get new tokens; None where these credentials give no others. Raises ParleyError."""

    async def sign_out(self, channel: grpc.aio.Channel, tokens: Tokens) -> None:
        """End the session, if it was begun here. Raises ParleyError."""


@dataclass(frozen=True, slots=True)
class Password:
    """A person's account; `code` gives what their authenticator app shows, and is asked only where it is needed."""

    username_or_email: str
    password: str = field(repr=False)
    code: Callable[[], str | Awaitable[str]] | None = None

    async def sign_in(self, channel: grpc.aio.Channel) -> Tokens:
        """Sign in, with a code where the account has a second factor."""
        try:
            return await self._login(channel, "")
        except ParleyError as error:
            if error.reason != "CODE_REQUIRED" or self.code is None:
                raise
        said = self.code()
        return await self._login(channel, await said if inspect.isawaitable(said) else said)

    async def renew(self, channel: grpc.aio.Channel, old: Tokens) -> Tokens:
        """Refresh; where the session is over, sign in again."""
        request = user_pb2.RefreshRequest(refresh_token=old.refresh, request_id=old.request_id)
        try:
            answer = await user_pb2_grpc.AuthServiceStub(channel).Refresh(request)
        except ParleyError as error:
            if error.code != grpc.StatusCode.UNAUTHENTICATED:
                raise
            return await self.sign_in(channel)
        return Tokens(answer.access_token, answer.expires_in, answer.refresh_token)

    async def sign_out(self, channel: grpc.aio.Channel, tokens: Tokens) -> None:
        """End the session."""
        request = user_pb2.LogoutRequest(refresh_token=tokens.refresh)
        await user_pb2_grpc.AuthServiceStub(channel).Logout(request)

    async def _login(self, channel: grpc.aio.Channel, code: str) -> Tokens:
        request = user_pb2.LoginRequest(
            username_or_email=self.username_or_email, password=self.password, one_time_code=code
        )
        answer = await user_pb2_grpc.AuthServiceStub(channel).Login(request)
        return Tokens(answer.access_token, answer.expires_in, answer.refresh_token)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key, `pk_…` (docs/accounts.md)."""

    secret: str = field(repr=False)

    async def sign_in(self, channel: grpc.aio.Channel) -> Tokens:
        """Trade the key for a token, which lives for less than a minute."""
        request = api_key_pb2.ExchangeApiKeyRequest(secret=self.secret)
        answer = await api_key_pb2_grpc.ApiKeyServiceStub(channel).ExchangeApiKey(request)
        return Tokens(answer.access_token, answer.expires_in)

    async def renew(self, channel: grpc.aio.Channel, _old: Tokens) -> Tokens:
        """Trade it again."""
        return await self.sign_in(channel)

    async def sign_out(self, _channel: grpc.aio.Channel, _tokens: Tokens) -> None:
        """Do nothing: there is no session."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody without an account, by a meeting's link or code; good for that meeting alone, and not renewed."""

    link: str
    name: str

    async def sign_in(self, channel: grpc.aio.Channel) -> Tokens:
        """Become a guest. Raises ParleyError (GUESTS_NOT_ALLOWED), ValueError for a link that names no meeting."""
        request = sign_in_pb2.CreateGuestSessionRequest(
            meeting=meeting_name(self.link), display_name=self.name
        )
        answer = await sign_in_pb2_grpc.SignInServiceStub(channel).CreateGuestSession(request)
        return Tokens(answer.access_token, answer.expires_in)

    async def renew(self, _channel: grpc.aio.Channel, _old: Tokens) -> None:
        """Give nothing: another session would be another guest."""

    async def sign_out(self, _channel: grpc.aio.Channel, _tokens: Tokens) -> None:
        """Do nothing: it ends by itself."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that somebody else has got, and gets anew; it is used as it is."""

    token: str = field(repr=False)

    async def sign_in(self, _channel: grpc.aio.Channel) -> Tokens:
        """Use the token."""
        return Tokens(self.token)

    async def renew(self, _channel: grpc.aio.Channel, _old: Tokens) -> None:
        """Give nothing."""

    async def sign_out(self, _channel: grpc.aio.Channel, _tokens: Tokens) -> None:
        """Do nothing: the session is not ours."""


def meeting_name(link: str) -> str:
    """Read the resource name, `meetings/abc-defg-hij`, out of a link, a name or a bare code. Raises ValueError."""
    address = link.partition("#")[0]  # what follows is a key, for no server
    if (found := _CODE.search(address)) is None:
        raise ValueError(
            f"{address!r} names no meeting: its code is three letters, four, and three."
        )
    return f"meetings/{found[0]}"


__all__ = ["AccessToken", "ApiKey", "Credentials", "Guest", "Password", "Tokens", "meeting_name"]
