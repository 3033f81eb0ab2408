"""People's access tokens for tests, and a stand-in for the user service that publishes the key which signs them."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.user.v1 import user_pb2, user_pb2_grpc

from chassis.auth import ALGORITHM, USER_AUDIENCE, USER_ISSUER


class Keys(user_pb2_grpc.AuthServiceServicer):
    """Publishes the key that signs callers' tokens."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)

    async def GetJsonWebKeySet(
        self, request: user_pb2.GetJsonWebKeySetRequest, context: Any
    ) -> user_pb2.JsonWebKeySet:
        jwk = self._jwk
        key = user_pb2.JsonWebKey(
            kty=jwk["kty"], crv=jwk["crv"], x=jwk["x"], kid="user", alg=ALGORITHM, use="sig"
        )
        return user_pb2.JsonWebKeySet(keys=[key])


def credentials(key: Ed25519PrivateKey, role: str = "user") -> tuple[tuple[str, str], ...]:
    """Sign somebody new in; gives what their calls carry."""
    claims = {
        "iss": USER_ISSUER,
        "aud": USER_AUDIENCE,
        "sub": f"users/{uuid4()}",
        "role": role,
        "exp": int(time.time()) + 600,
    }
    token = jwt.encode(claims, key, ALGORITHM, headers={"kid": "user"})
    return (("authorization", f"Bearer {token}"),)


__all__ = ["Keys", "credentials"]
