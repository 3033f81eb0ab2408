"""Who is calling: user access tokens, service tokens, and the principal of the call that is being served.

Both kinds of token are JWTs signed with Ed25519 (RFC 8037) and verified here whatever the edge has verified before.
Verified tokens are remembered by their hash until they expire, since a signature costs a hundred microseconds.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chassis.config import ServiceConfig
from chassis.errors import Unauthenticated

ALGORITHM = "EdDSA"
USER_ISSUER = "parley"
USER_AUDIENCE = "parley"
MESH_AUDIENCE = "parley-mesh"
SERVICE_TOKEN_METADATA = "x-parley-service-token"
SERVICE_TOKEN_LIFETIME = timedelta(minutes=5)
LEEWAY_SECONDS = 5
CACHE_SIZE = 10_000
TOKEN_LIMIT = 8192
"""Characters that a token may have."""


class TokenInvalid(Unauthenticated):
    """The token is malformed, expired, or not signed by a key that is trusted here. Refresh it or sign in again."""

    reason = "TOKEN_INVALID"
    message = "The token is not valid."


class TokenExpired(TokenInvalid):
    """The token was good but has expired. Refresh it and try again."""

    reason = "TOKEN_EXPIRED"
    message = "The token has expired."


class SessionEnded(TokenInvalid):
    """The session that the token belongs to was ended: by its user, or with the account. Sign in again."""

    reason = "SESSION_ENDED"
    message = "The session was ended: sign in again."


@dataclass(frozen=True, slots=True)
class UserPrincipal:
    """A signed-in user; a program that acts for one, within `scopes`; or a guest of one `meeting`, `meetings/{code}`."""

    user_id: str
    session_id: str
    role: str
    display_name: str = ""
    scopes: frozenset[str] | None = None
    """What an API key's token may do; None for people, who may do what is theirs."""
    meeting: str = ""

    @property
    def is_guest(self) -> bool:
        """Whether there is no account behind it."""
        return bool(self.meeting)

    @property
    def name(self) -> str:
        """The resource name, `users/{id}`."""
        return f"users/{self.user_id}"


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """Another Parley service; `name` is `services/{name}`."""

    name: str


Principal = UserPrincipal | ServicePrincipal

_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)
_ended: ContextVar[Container[str]] = ContextVar("ended", default=frozenset())


def principal() -> Principal:
    """Get the caller of the call that is being served. Raises Unauthenticated when there is none."""
    if (caller := _principal.get()) is None:
        raise Unauthenticated()
    return caller


def caller_name() -> str:
    """Get the resource name of who is calling; empty for nobody that is known."""
    return "" if (caller := _principal.get()) is None else caller.name


def user_principal() -> UserPrincipal:
    """Get the user who is calling. Raises Unauthenticated when it is not a user."""
    if not isinstance(caller := principal(), UserPrincipal):
        raise Unauthenticated()
    return caller


def set_principal(caller: Principal | None) -> None:
    """Say who is calling, for the rest of this context (the chassis does, per call; tests may)."""
    _principal.set(caller)


def check_session() -> None:
    """See that the caller's session has not ended while the call goes on: for streams. Raises SessionEnded."""
    if user_principal().session_id in _ended.get():
        raise SessionEnded


class TokenVerifier:
    """Verifies tokens of one issuer and audience, and remembers those that were good."""

    def __init__(self, issuer: str | None, audience: str, size: int = CACHE_SIZE) -> None:
        self._issuer = issuer
        self._audience = audience
        self._size = size
        self._good: OrderedDict[bytes, tuple[float, Mapping[str, Any]]] = OrderedDict()

    def remembered(self, token: str) -> Mapping[str, Any] | None:
        """Get the claims of a token that was verified before and is still valid."""
        key = hashlib.sha256(token.encode()).digest()
        if (entry := self._good.get(key)) is None:
            return None
        if entry[0] <= time.time():
            del self._good[key]
            return None
        self._good.move_to_end(key)
        return entry[1]

    def verify(self, token: str, keys: Mapping[str, jwt.PyJWK]) -> Mapping[str, Any]:
        """Verify a token by the key that its header names, and get its claims. Raises TokenInvalid, TokenExpired."""
        if (claims := self.remembered(token)) is not None:
            return claims
        claims = _verified(token, keys, self._issuer, self._audience)
        self._good[hashlib.sha256(token.encode()).digest()] = (float(claims["exp"]), claims)
        if len(self._good) > self._size:
            self._good.popitem(last=False)
        return claims


def key_id(token: str) -> str:
    """Read which key signed a token. Raises TokenInvalid."""
    if len(token) > TOKEN_LIMIT:
        raise TokenInvalid
    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except (jwt.InvalidTokenError, UnicodeError):
        raise TokenInvalid from None


def _verified(
    token: str, keys: Mapping[str, jwt.PyJWK], issuer: str | None, audience: str
) -> Mapping[str, Any]:
    if (key := keys.get(key_id(token))) is None:
        raise TokenInvalid
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired from None
    except (jwt.InvalidTokenError, UnicodeError, ValueError):
        raise TokenInvalid from None
    return claims


def parse_jwks(text: str | bytes) -> dict[str, jwt.PyJWK]:
    """Read a JSON Web Key Set (RFC 7517) into keys by id."""
    return {key["kid"]: jwt.PyJWK(key, ALGORITHM) for key in json.loads(text)["keys"]}


class Trust:
    """The public keys of every service, by its name."""

    def __init__(self, keys: Mapping[str, jwt.PyJWK]) -> None:
        self._keys = keys
        self._verifiers: dict[str, TokenVerifier] = {}

    @classmethod
    def load(cls, path: Path) -> Trust:
        """Read the trust from its JWKS file."""
        return cls(parse_jwks(path.read_bytes()))

    def verify(self, token: str, audience: str, issuer: str | None = None) -> Mapping[str, Any]:
        """Verify a token that a service signed in its own name. Raises TokenInvalid, TokenExpired.

        `issuer` (`services/{name}`), if given, is the only service whose word counts.
        """
        verifier = self._verifiers.setdefault(audience, TokenVerifier(None, audience))
        claims = verifier.verify(token, self._keys)
        signer = f"services/{key_id(token)}"
        if claims["iss"] != signer or (issuer is not None and issuer != signer):
            raise TokenInvalid
        return claims


class ServiceIdentity:
    """A service's own name and key, and whom it trusts."""

    def __init__(self, name: str, key: Ed25519PrivateKey, trust: Trust) -> None:
        self.name = f"services/{name}"
        self.trust = trust
        self._kid = name
        self._key = key
        self._token = ""
        self._token_until = 0.0

    @classmethod
    def load(cls, config: ServiceConfig, name: str) -> ServiceIdentity:
        """Read the key and the trust that the configuration names. Raises ValueError for a key of another kind."""
        key = load_pem_private_key(config.service_key.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{config.service_key} is not an Ed25519 key.")
        return cls(name, key, Trust.load(config.trust))

    def sign(self, claims: Mapping[str, Any], audience: str, lifetime: timedelta) -> str:
        """Sign a token in this service's name; `claims` should have a `sub`."""
        now = time.time()
        issued = {"iss": self.name, "aud": audience, "iat": int(now)}
        payload = {**claims, **issued, "exp": int(now + lifetime.total_seconds())}
        return jwt.encode(payload, self._key, ALGORITHM, headers={"kid": self._kid})

    def service_token(self) -> str:
        """Get a token that shows other services who is calling; made anew when a minute is left of it."""
        now = time.time()
        if now > self._token_until - 60:
            self._token = self.sign({"sub": self.name}, MESH_AUDIENCE, SERVICE_TOKEN_LIFETIME)
            self._token_until = now + SERVICE_TOKEN_LIFETIME.total_seconds()
        return self._token


KeySource = Callable[[], Awaitable[Mapping[str, jwt.PyJWK]]]
"""Fetches the keys that sign user access tokens, by id."""


class UserTokenVerifier:
    """Verifies user access tokens with the user service's published keys.

    Keys are fetched when a token names one that is not known, at most once in `refetch_seconds`, so that made-up key
    ids cost nothing. Tokens of sessions that are in `ended` (chassis.revocations) are refused.
    """

    def __init__(
        self,
        fetch: KeySource,
        refetch_seconds: float = 10.0,
        ended: Container[str] = frozenset(),
    ) -> None:
        self._fetch = fetch
        self._refetch_seconds = refetch_seconds
        self._ended = ended
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched = -refetch_seconds
        self._verifier = TokenVerifier(USER_ISSUER, USER_AUDIENCE)

    async def verify(self, token: str) -> UserPrincipal:
        """Verify an access token, for the call that is being served: `check_session` looks where this has looked.

        Raises TokenInvalid, TokenExpired, SessionEnded, or Unavailable when the keys can't be had.
        """
        _ended.set(self._ended)
        claims = self._verifier.remembered(token)
        if claims is None:
            if key_id(token) not in self._keys:
                await self._refetch()
            claims = self._verifier.verify(token, self._keys)
        kind, _, user_id = str(claims["sub"]).partition("/")
        if kind != "users":
            raise TokenInvalid
        if (session_id := str(claims.get("sid", ""))) in self._ended:
            raise SessionEnded
        scopes = claims.get("scope")
        return UserPrincipal(
            user_id=user_id,
            session_id=session_id,
            role=str(claims.get("role", "")),
            display_name=str(claims.get("name", "")),
            scopes=None if scopes is None else frozenset(str(scopes).split()),
            meeting=str(claims.get("meeting", "")),
        )

    async def _refetch(self) -> None:
        if time.monotonic() - self._fetched >= self._refetch_seconds:
            self._keys = await self._fetch()
            self._fetched = time.monotonic()


__all__ = [
    "ALGORITHM",
    "MESH_AUDIENCE",
    "SERVICE_TOKEN_METADATA",
    "USER_AUDIENCE",
    "USER_ISSUER",
    "KeySource",
    "Principal",
    "ServiceIdentity",
    "ServicePrincipal",
    "SessionEnded",
    "TokenExpired",
    "TokenInvalid",
    "TokenVerifier",
    "Trust",
    "UserPrincipal",
    "UserTokenVerifier",
    "caller_name",
    "check_session",
    "key_id",
    "parse_jwks",
    "principal",
    "set_principal",
    "user_principal",
]
