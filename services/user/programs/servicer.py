"""ApiKeyService: proto to domain and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from parley.user.v1 import api_key_pb2, api_key_pb2_grpc

from chassis import paging, scopes
from chassis.auth import user_principal
from chassis.clock import Clock
from services.user.accounts.rules import Account
from services.user.accounts.store import AccountStore
from services.user.audit import did
from services.user.domain import hash_secret
from services.user.programs.rules import (
    ApiKey,
    ApiKeyNotFound,
    check_manages,
    check_new,
    new_api_secret,
)
from services.user.programs.store import ApiKeyStore
from services.user.repeats import Repeats
from services.user.sessions.tokens import AccessTokens, claims_of

DEFAULT_KEYS = 20
SCOPES = {
    api_key_pb2.API_KEY_SCOPE_MEETINGS_READ: scopes.MEETINGS_READ,
    api_key_pb2.API_KEY_SCOPE_MEETINGS_WRITE: scopes.MEETINGS_WRITE,
    api_key_pb2.API_KEY_SCOPE_MEDIA_READ: scopes.MEDIA_READ,
    api_key_pb2.API_KEY_SCOPE_MEDIA_WRITE: scopes.MEDIA_WRITE,
    api_key_pb2.API_KEY_SCOPE_AI: scopes.AI,
    api_key_pb2.API_KEY_SCOPE_EVENTS: scopes.EVENTS,
    api_key_pb2.API_KEY_SCOPE_ADMIN: scopes.ADMIN,
}
_NUMBERS = {scope: number for number, scope in SCOPES.items()}


class ApiKeyServicer(api_key_pb2_grpc.ApiKeyServiceServicer):
    """Makes, lists, revokes and trades keys; `lifetime` is a traded token's."""

    def __init__(
        self,
        keys: ApiKeyStore,
        accounts: AccountStore,
        tokens: AccessTokens,
        answers: Repeats,
        clock: Clock,
        lifetime: timedelta,
    ) -> None:
        self._keys = keys
        self._accounts = accounts
        self._tokens = tokens
        self._answers = answers
        self._clock = clock
        self._lifetime = lifetime

    async def CreateApiKey(
        self, request: api_key_pb2.CreateApiKeyRequest, context: Any
    ) -> api_key_pb2.CreateApiKeyResponse:
        """Make a key, and show its secret this once."""
        owner, now, secret = await self._owner(request.parent), self._clock.now(), new_api_secret()
        wanted = request.api_key
        key = ApiKey(
            id=uuid4(),
            user_id=owner,
            secret_hash=hash_secret(secret),
            display_name=wanted.display_name,
            scopes=tuple(SCOPES[number] for number in wanted.scopes),
            create_time=now,
            expire_time=wanted.expire_time.ToDatetime(UTC)
            if wanted.HasField("expire_time")
            else None,
        )
        shown = _shown(key)
        details = {"scopes": " ".join(key.scopes), "display_name": key.display_name}
        event = did(user_principal().name, "api_key.create", shown.name, now, details)

        def check(owner: Account, count: int) -> None:
            check_new(owner, key.scopes, key.expire_time, now, count)

        async def add() -> api_key_pb2.CreateApiKeyResponse:
            await self._keys.add(key, check, event)
            return api_key_pb2.CreateApiKeyResponse(api_key=shown, secret=secret)

        return await self._answers.answer(request, api_key_pb2.CreateApiKeyResponse, add)

    async def ListApiKeys(
        self, request: api_key_pb2.ListApiKeysRequest, context: Any
    ) -> api_key_pb2.ListApiKeysResponse:
        """List keys, newest first."""
        owner, size = await self._owner(request.parent), request.page_size or DEFAULT_KEYS
        found = await self._keys.page(owner, paging.moment_and_id(request.page_token), size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = paging.encode((last.create_time.isoformat(), str(last.id)))
        shown = map(_shown, found[:size])
        return api_key_pb2.ListApiKeysResponse(api_keys=shown, next_page_token=token)

    async def RevokeApiKey(
        self, request: api_key_pb2.RevokeApiKeyRequest, context: Any
    ) -> api_key_pb2.RevokeApiKeyResponse:
        """Revoke a key."""
        parent, _, identifier = request.name.partition("/apiKeys/")
        owner, now, key_id = await self._owner(parent), self._clock.now(), _uuid(identifier)
        event = did(user_principal().name, "api_key.revoke", f"users/{owner}/apiKeys/{key_id}", now)
        await self._keys.revoke(owner, key_id, now, event)
        return api_key_pb2.RevokeApiKeyResponse()

    async def ExchangeApiKey(
        self, request: api_key_pb2.ExchangeApiKeyRequest, context: Any
    ) -> api_key_pb2.ExchangeApiKeyResponse:
        """Trade a key for an access token."""
        now = self._clock.now()
        key, account = await self._keys.used(hash_secret(request.secret), now)
        lifetime = key.token_lifetime(now, self._lifetime)
        claims = claims_of(account.user, str(key.id), key.scopes)
        return api_key_pb2.ExchangeApiKeyResponse(
            access_token=self._tokens.sign(claims, now, lifetime),
            expires_in=int(lifetime.total_seconds()),
        )

    async def _owner(self, parent: str) -> UUID:
        """Say whose keys these are, if the caller may look after them. Raises NotYours, UserNotFound."""
        caller = user_principal()
        if parent in ("users/me", caller.name):
            return UUID(caller.user_id)
        owner = await self._accounts.account(_uuid(parent.removeprefix("users/")))
        check_manages(UUID(caller.user_id), caller.role, owner)
        return owner.user.id


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ApiKeyNotFound from None


def _shown(key: ApiKey) -> api_key_pb2.ApiKey:
    shown = api_key_pb2.ApiKey(
        name=f"users/{key.user_id}/apiKeys/{key.id}",
        display_name=key.display_name,
        scopes=[_NUMBERS[scope] for scope in key.scopes],
    )
    for name in ("create_time", "expire_time", "last_use_time"):
        time: datetime | None = getattr(key, name)
        if time is not None:
            getattr(shown, name).FromDatetime(time)
    return shown


__all__ = ["ApiKeyServicer"]
