"""Which key signs, and which still verifies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.user.sessions.keys import (
    PUBLISHED_BEFORE,
    RELOAD,
    SigningKey,
    fresh_key,
    pending,
    retired,
    signing,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONGEST = timedelta(hours=4)
ENVOY_KEEPS = timedelta(seconds=60)


def key(name: str, minute: float) -> SigningKey:
    made = NOON + timedelta(minutes=minute)
    return SigningKey(name, b"", made, made)


def test_a_new_key_signs_after_everybody_can_have_read_it() -> None:
    old, new = key("old", 0), fresh_key(NOON, NOON + PUBLISHED_BEFORE)
    assert signing([new, old], NOON + RELOAD + ENVOY_KEEPS) == old
    assert pending([new, old], NOON + RELOAD + ENVOY_KEEPS) == new
    assert signing([old, new], NOON + PUBLISHED_BEFORE) == new
    assert pending([old, new], NOON + PUBLISHED_BEFORE) is None


def test_a_clock_that_is_behind_still_signs() -> None:
    assert signing([key("b", 2), key("a", 1)], NOON).kid == "a"


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=8, unique=True),
    st.integers(0, 20_000),
    st.integers(0, 240),
)
def test_no_token_outlives_the_key_that_signed_it(
    minutes: list[int], signed: int, age: int
) -> None:
    keys = [key(str(minute), minute) for minute in minutes]
    then = NOON + timedelta(minutes=signed)
    signer = signing(keys, then)
    assert signer.kid not in retired(keys, then + timedelta(minutes=age), LONGEST)


def test_a_key_retires_when_its_last_token_is_over() -> None:
    keys = [key("old", 0), key("new", 60)]
    last = NOON + timedelta(minutes=60) + RELOAD + LONGEST
    assert retired(keys, last, LONGEST) == frozenset()
    assert retired(keys, last + timedelta(seconds=1), LONGEST) == {"old"}
