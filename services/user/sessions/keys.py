"""The keys that sign access tokens, and when each does. Pure: no I/O, no proto.

A new key is published for PUBLISHED_BEFORE before it signs, so that everybody who verifies has it by then: Envoy keeps
published keys for a minute, Nginx for half of one, and a process reads the others' keys within RELOAD. The key before it
goes on verifying until the last token that it can have signed is over. So nobody is signed out by a rotation.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLISHED_BEFORE = timedelta(minutes=3)
RELOAD = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key; it signs from `sign_time` on, until the next one does."""

    kid: str
    private_pem: bytes
    create_time: datetime
    sign_time: datetime


def fresh_key(now: datetime, sign_time: datetime) -> SigningKey:
    """Make a new key."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKey(secrets.token_hex(8), pem, now, sign_time)


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Choose the key that signs now: the last whose time has come; the first, should none's have."""
    ordered = sorted(keys, key=lambda key: key.sign_time)
    return next((key for key in reversed(ordered) if key.sign_time <= now), ordered[0])


def pending(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """Find a key that is published but does not sign yet."""
    return next((key for key in keys if key.sign_time > now), None)


def retired(keys: Sequence[SigningKey], now: datetime, longest: timedelta) -> frozenset[str]:
    """Say which keys have nothing left to verify; `longest` is how long a token may live."""
    ordered = sorted(keys, key=lambda key: key.sign_time)
    return frozenset(
        key.kid for key, after in pairwise(ordered) if after.sign_time + RELOAD + longest < now
    )


__all__ = [
    "PUBLISHED_BEFORE",
    "RELOAD",
    "SigningKey",
    "fresh_key",
    "pending",
    "retired",
    "signing",
]
