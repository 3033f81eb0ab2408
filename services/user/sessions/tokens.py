"""Access tokens: JWTs signed with the service's own Ed25519 keys (RFC 8037, RFC 9068).

The keys lie in the database, whose role nobody else has, and are read again every few seconds: another process may have
made one. `keys.py` says which of them signs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis import logs
from chassis.auth import ALGORITHM, USER_AUDIENCE, USER_ISSUER
from chassis.clock import Clock
from chassis.errors import Unavailable
from services.user.domain import Session, User
from services.user.sessions.key_store import KeyStore
from services.user.sessions.keys import RELOAD, SigningKey, signing

log = logs.get("user.tokens")


class AccessTokens:
    """Issues access tokens, and publishes the keys that verify them; `load` comes first."""

    def __init__(self, store: KeyStore, clock: Clock, lifetime: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._keys: list[SigningKey] = []
        self.lifetime = lifetime

    async def load(self) -> None:
        """Read the keys; the first start makes one."""
        self._keys = await self._store.begun(self._clock.now())

    async def keep_loading(self, every: timedelta = RELOAD) -> None:
        """Read the keys again and again."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                await self.load()
            except Unavailable:
                log.warning("signing keys not read")

    async def rotate(self, actor: str) -> dict[str, str]:
        """Publish a key that will sign soon; gives its public half."""
        key = await self._store.rotate(actor, self._clock.now())
        await self.load()
        return published(key)

    @property
    def published(self) -> list[dict[str, str]]:
        """The public keys: the one that signs first, then the newest."""
        now = self._clock.now()
        current = signing(self._keys, now)
        rest = sorted(self._keys, key=lambda key: key.sign_time, reverse=True)
        return [published(key) for key in (current, *(key for key in rest if key != current))]

    def issue(self, user: User, session: Session, now: datetime) -> str:
        """Issue a token for a session of a user."""
        return self.sign(claims_of(user, str(session.id)), now, self.lifetime)

    def sign(self, claims: Mapping[str, Any], now: datetime, lifetime: timedelta) -> str:
        """Sign a token that says `claims`."""
        key = signing(self._keys, now)
        payload = {
            **claims,
            "iss": USER_ISSUER,
            "aud": USER_AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        return jwt.encode(payload, _loaded(key.private_pem), ALGORITHM, headers={"kid": key.kid})

    def secret(self, purpose: str, kid: str = "") -> tuple[str, bytes]:
        """Derive a secret (RFC 5869) that all processes of this service share; gives the id of its key, too.

        Without `kid`, of the key that signs. Raises KeyError for a key that is not there, or no more.
        """
        kept = {key.kid: key for key in self._keys}
        key = kept[kid] if kid else signing(self._keys, self._clock.now())
        derived = HKDF(SHA256(), length=32, salt=None, info=purpose.encode())
        return key.kid, derived.derive(key.private_pem)

    async def keys(self) -> Mapping[str, jwt.PyJWK]:
        """Give the keys that verify, by id (a chassis.auth.KeySource that asks nobody)."""
        return {key["kid"]: jwt.PyJWK(key, ALGORITHM) for key in self.published}


def claims_of(user: User, session: str, scopes: Collection[str] | None = None) -> dict[str, Any]:
    """Say who somebody is, and with `scopes` that no more than these is allowed (RFC 8693 §4.2)."""
    claims = {
        "sub": f"users/{user.id}",
        "sid": session,
        "role": user.role.value,
        "name": user.display_name,
    }
    return claims if scopes is None else {**claims, "scope": " ".join(sorted(scopes))}


@lru_cache(maxsize=64)
def _loaded(pem: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("A signing key is not an Ed25519 key.")
    return key


def published(key: SigningKey) -> dict[str, str]:
    """Give a key's public half as a JSON Web Key."""
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(_loaded(key.private_pem).public_key(), as_dict=True)
    return {
        "kty": jwk["kty"],
        "crv": jwk["crv"],
        "x": jwk["x"],
        "kid": key.kid,
        "alg": ALGORITHM,
        "use": "sig",
    }


__all__ = ["AccessTokens", "claims_of", "published"]
