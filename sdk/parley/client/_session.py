"""The access token of the moment: had anew before it expires, or when the server refuses it, by one caller for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
from parley.client._credentials import Credentials, Tokens
from parley.client._errors import ParleyError

MARGIN_SECONDS = 30.0
"""A token is renewed so long before it expires, or when four fifths of its life are over."""

_FINAL = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
)
"""Of these errors nothing becomes better by asking again: wrong passwords tried often lock accounts."""


class Session:
    """Signed in from `begin` to `end`. A renewal that was refused for good stays so, for everybody."""

    def __init__(
        self, credentials: Credentials, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._channel: grpc.aio.Channel | None = None
        self._tokens = Tokens("")
        self._renew_at = self._expires_at = 0.0
        self._renewable = True
        self._refused: ParleyError | None = None
        self._renewing = asyncio.Lock()

    async def begin(self, channel: grpc.aio.Channel) -> None:
        """Sign in. Raises ParleyError."""
        self._channel = channel
        self._keep(await self._credentials.sign_in(channel))

    async def end(self) -> None:
        """Sign out. Raises ParleyError."""
        if self._channel is not None:
            await self._credentials.sign_out(self._channel, self._tokens)

    async def token(self) -> str:
        """Give a token that is good for a while yet, if there is one. Raises ParleyError."""
        if self._clock() >= self._renew_at:
            try:
                await self.renew(self._tokens.access)
            except ParleyError:
                if self._refused is not None or self._clock() >= self._expires_at:
                    raise  # otherwise the old one still serves, and the next call tries again
        return self._tokens.access

    async def renew(self, stale: str) -> bool:
        """Get another token than `stale`; False where these credentials give none. Raises ParleyError."""
        async with self._renewing:
            if self._tokens.access != stale:
                return True
            if self._refused is not None:
                raise self._refused
            if not self._renewable or self._channel is None:
                return False
            try:
                tokens = await self._credentials.renew(self._channel, self._tokens)
            except ParleyError as error:
                if error.code in _FINAL:
                    self._refused = error
                raise
            self._renewable = tokens is not None
            self._keep(tokens or Tokens(stale))
            return self._renewable

    def _keep(self, tokens: Tokens) -> None:
        self._tokens = tokens
        lifetime = float("inf") if tokens.lifetime is None else tokens.lifetime
        self._expires_at = self._clock() + lifetime
        self._renew_at = self._expires_at - min(MARGIN_SECONDS, lifetime / 5)


__all__ = ["Session"]
