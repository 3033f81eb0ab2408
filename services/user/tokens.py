"""Access tokens: JWTs signed with the newest of the service's own Ed25519 keys (RFC 8037, RFC 9068).

The keys lie in the database, whose role nobody else has; all are published, so that a token outlives a new key.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.auth import ALGORITHM, USER_AUDIENCE, USER_ISSUER
from services.user.domain import Session, User
from services.user.store import SigningKeyRow


class AccessTokens:
    """Issues access tokens with the first of `rows`, and publishes them all."""

    def __init__(self, rows: Sequence[SigningKeyRow], lifetime: timedelta) -> None:
        keys = [(row.kid, _loaded(row.private_pem)) for row in rows]
        self._kid, self._key = keys[0]
        self.lifetime = lifetime
        self.published: list[dict[str, str]] = [_public(kid, key) for kid, key in keys]

    def issue(self, user: User, session: Session, now: datetime) -> str:
        """Issue a token for a session of a user."""
        claims = {
            "iss": USER_ISSUER,
            "aud": USER_AUDIENCE,
            "sub": f"users/{user.id}",
            "sid": str(session.id),
            "role": user.role.value,
            "name": user.display_name,
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._kid})

    async def keys(self) -> Mapping[str, jwt.PyJWK]:
        """Give the keys that verify, by id (a chassis.auth.KeySource)."""
        return {key["kid"]: jwt.PyJWK(key, ALGORITHM) for key in self.published}


def fresh_key(now: datetime) -> SigningKeyRow:
    """Make a new signing key."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKeyRow(kid=secrets.token_hex(8), private_pem=pem, create_time=now)


def _loaded(pem: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("A signing key is not an Ed25519 key.")
    return key


def _public(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {
        "kty": jwk["kty"],
        "crv": jwk["crv"],
        "x": jwk["x"],
        "kid": kid,
        "alg": ALGORITHM,
        "use": "sig",
    }
