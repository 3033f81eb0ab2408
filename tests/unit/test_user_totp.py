"""Codes of authenticator apps and recovery codes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from services.user.credentials.totp import (
    RECOVERY_CODES,
    Factor,
    new_recovery_codes,
    new_totp_secret,
    recovery_hash,
    step_of,
    uri,
)

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""RFC 6238, appendix B."""


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_the_standard(seconds: int, code: str) -> None:
    assert step_of(Factor(SECRET, enabled=True), code, at(seconds)) == seconds // 30


def test_a_code_is_good_in_its_half_minute_and_those_beside_it() -> None:
    factor, now = Factor(SECRET, enabled=True), at(1111111109)
    good = [
        step_of(factor, "081804", now + timedelta(seconds=30 * steps)) is not None
        for steps in (-2, -1, 0, 1, 2)
    ]
    assert good == [False, True, True, True, False]


def test_a_code_works_once_and_none_before_it_does() -> None:
    now = at(1111111109)
    used = Factor(SECRET, enabled=True, last_step=1111111109 // 30)
    assert step_of(used, "081804", now) is None
    assert step_of(used, "050471", at(1111111111)) is not None


@pytest.mark.parametrize("code", ["", "81804", "0081804", "abcdef", "０８１８０４", "081804 "])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert step_of(Factor(SECRET, enabled=True), code, at(1111111109)) is None


def test_secrets_are_random_and_long_and_apps_can_read_them() -> None:
    first, second = new_totp_secret(), new_totp_secret()
    assert first != second
    assert len(base64.b32decode(first)) >= 20
    assert uri(first, "ann") == f"otpauth://totp/Parley:ann?secret={first}&issuer=Parley"


def test_recovery_codes_differ_and_are_read_however_they_are_typed() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES
    assert recovery_hash(codes[0]) == recovery_hash(f" {codes[0].upper().replace('-', ' ')} ")
    assert recovery_hash(codes[0]) != recovery_hash(codes[1])
