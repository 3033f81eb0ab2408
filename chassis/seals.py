"""What a service encrypts before it goes into its database, and the key of that: derived from the service's own private key.

So a copy of the database alone tells nothing, and the service's key, which lies in `secrets/`, is to be kept with it.
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def derived_key(service_key: Path, purpose: str) -> bytes:
    """Derive a key for one purpose (HKDF, RFC 5869): those of different purposes tell nothing of each other."""
    key = serialization.load_pem_private_key(service_key.read_bytes(), password=None)
    secret = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"parley {purpose}".encode()).derive(
        secret
    )


def seal(service_key: Path, purpose: str) -> Fernet:
    """Make what encrypts and decrypts for one purpose."""
    return Fernet(base64.urlsafe_b64encode(derived_key(service_key, purpose)))


__all__ = ["derived_key", "seal"]
