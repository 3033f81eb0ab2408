"""Signing in by an OpenID Connect provider, from begin to account."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from chassis.clock import Clock
from services.user.domain import User
from services.user.sessions.identity_store import IdentityStore
from services.user.sessions.oidc import Client
from services.user.sessions.providers import (
    Provider,
    SignInInvalid,
    begin,
    key_id_of,
    provider_named,
    resume,
)
from services.user.sessions.tokens import AccessTokens

PURPOSE = "parley sign-in state"


class OidcSignIn:
    """Signs people in by `providers`; each sends browsers back to `{public_url}/signed-in/{id}`."""

    def __init__(
        self,
        providers: Sequence[Provider],
        public_url: str,
        identities: IdentityStore,
        tokens: AccessTokens,
        clock: Clock,
    ) -> None:
        self.providers = tuple(providers)
        self._identities = identities
        self._tokens = tokens
        self._clock = clock
        tls = httpx.create_ssl_context()
        self._clients = {
            each.id: Client(each, f"{public_url.rstrip('/')}/signed-in/{each.id}", tls)
            for each in providers
        }

    async def begin(self, name: str) -> tuple[str, str]:
        """Begin; gives where to send the browser, and the state. Raises IdentityProviderNotFound, IdentityProviderAway."""
        provider = provider_named(self.providers, name)
        key_id, secret = self._tokens.secret(PURPOSE)
        begun = begin(secret, key_id, provider, self._clock.now())
        return await self._clients[provider.id].authorization_uri(begun), begun.state

    async def complete(self, name: str, code: str, state: str) -> User:
        """Complete; gives the account.

        Raises IdentityProviderNotFound, SignInInvalid, IdentityProviderAway, EmailTaken.
        """
        provider, now = provider_named(self.providers, name), self._clock.now()
        try:
            _, secret = self._tokens.secret(PURPOSE, key_id_of(state))
        except KeyError:
            raise SignInInvalid from None
        begun = resume(secret, provider, state, now)
        claims = await self._clients[provider.id].claims(code, begun)
        return await self._identities.account(provider.id, claims, now)


__all__ = ["OidcSignIn"]
