"""Second factors: codes of an authenticator app (RFC 6238: SHA-1, 6 digits, 30 seconds) and recovery codes. Pure.

A code is good for its own half minute and the two beside it, and once: whoever has read it over a shoulder comes too late.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

import pyotp

from services.user.domain import hash_secret

STEP_SECONDS = 30
DRIFT_STEPS = 1
RECOVERY_CODES = 10
RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks alike; sixteen of these are 79 bits."""
RECOVERY_GROUPS = 4
ISSUER = "Parley"


@dataclass(frozen=True, slots=True)
class Factor:
    """An account's second factor; `last_step` is the half minute of the last code that was taken."""

    secret: str
    enabled: bool
    last_step: int = 0


def new_totp_secret() -> str:
    """Make a secret, in base32 (160 bits, RFC 4226 §4)."""
    return pyotp.random_base32()


def uri(secret: str, account: str) -> str:
    """Write what a QR code has, `otpauth://totp/…`."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def step_of(factor: Factor, code: str, now: datetime) -> int | None:
    """Find the half minute whose code this is; None where it is wrong, too old, or was taken before."""
    totp = pyotp.TOTP(factor.secret)
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        right = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if right and step > factor.last_step:
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Make codes for a lost device, such as `k7wd-2mfa-9qxe-hn4p`."""
    return ["-".join(_group() for _ in range(RECOVERY_GROUPS)) for _ in range(RECOVERY_CODES)]


def recovery_hash(code: str) -> bytes:
    """Hash a recovery code as it is kept, however it was typed."""
    return hash_secret("".join(filter(str.isalnum, code.lower())))


def _group() -> str:
    return "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(4))


__all__ = [
    "Factor",
    "new_recovery_codes",
    "new_totp_secret",
    "recovery_hash",
    "step_of",
    "uri",
]
