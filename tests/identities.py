"""Keys and trust for services that tests start: as the stack makes them, in a folder of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SERVICES = ("user", "meeting", "signaling", "media", "ai")


def make_identities(folder: Path) -> Path:
    """Write `<service>.key` for each service and `trust.jwks` with all their public keys; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    public = []
    for service in SERVICES:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{service}.key").write_bytes(pem)
        jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        public.append({**jwk, "kid": service, "alg": "EdDSA", "use": "sig"})
    (folder / "trust.jwks").write_text(json.dumps({"keys": public}))
    return folder
