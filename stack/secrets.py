"""Secrets of one stack: random, made once, in a folder that only the owner may enter.

Passwords for the stores, an Ed25519 key per service (`<service>.key`), and `trust.jwks` with the public keys.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SERVICES = ("user", "meeting", "signaling", "media", "ai")


class Secrets:
    """The secrets under one folder; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    @property
    def trust(self) -> Path:
        """The path of the JWKS with every service's public key; key ids are service names."""
        return self._folder / "trust.jwks"

    def password(self, name: str) -> str:
        """Get a password by what it is for."""
        path = self._folder / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24).encode())
        return path.read_text()

    def key(self, service: str) -> Path:
        """Get the path of a service's private key (PEM, PKCS #8)."""
        path = self._folder / f"{service}.key"
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(path, pem)
        return path

    def write_trust(self) -> None:
        """Make `trust.jwks` of the services' keys as they are."""
        keys = [_public(self.key(service), service) for service in SERVICES]
        write_private(self.trust, json.dumps({"keys": keys}).encode())


def _public(path: Path, kid: str) -> dict[str, str]:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is not an Ed25519 key.")
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "alg": "EdDSA", "use": "sig"}


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


__all__ = ["SERVICES", "Secrets", "write_private"]
