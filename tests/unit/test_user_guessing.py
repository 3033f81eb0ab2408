"""How long one waits after wrong guesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.user.credentials.guessing import (
    ACCOUNT,
    ADDRESS,
    FORGOTTEN,
    Guesses,
    password_counters,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOTHING = timedelta(0)


def test_the_first_guesses_are_free_and_then_each_wait_is_twice_the_last() -> None:
    waits = [Guesses(count, NOON).wait(ACCOUNT, NOON) for count in range(9)]
    assert [each.total_seconds() for each in waits] == [0, 0, 0, 0, 0, 1, 2, 4, 8]


def test_no_wait_is_longer_than_its_rule_says_however_many_guessed() -> None:
    assert Guesses(10**9, NOON).wait(ACCOUNT, NOON) == ACCOUNT.longest
    assert Guesses(10**9, NOON).wait(ADDRESS, NOON) == ADDRESS.longest


def test_a_wait_passes_and_guesses_are_forgotten() -> None:
    guesses = Guesses(8, NOON)
    assert guesses.wait(ACCOUNT, NOON + timedelta(seconds=8)) <= NOTHING
    late = NOON + FORGOTTEN
    assert guesses.wait(ACCOUNT, late) == NOTHING
    assert guesses.charged(late).count == 1


@given(st.lists(st.floats(0, 3600, allow_nan=False), max_size=300))
def test_however_guesses_are_timed_few_get_through(pauses: list[float]) -> None:
    """Whoever guesses is stopped after the free ones, then has one for each wait: bounded by the logarithm, then by time."""
    now, guesses, tried = NOON, Guesses(0, NOON), 0
    for pause in pauses:
        now += timedelta(seconds=pause)
        if guesses.wait(ACCOUNT, now) <= NOTHING:
            guesses, tried = guesses.charged(now), tried + 1
    hours = (now - NOON) / timedelta(hours=1)
    assert tried <= (ACCOUNT.free + 11 + 4 * hours) * (1 + hours / 6)


def test_where_an_account_is_known_nobody_elsewhere_is_counted_against_it() -> None:
    home = {it.key for it in password_counters("ann", "1", "192.0.2.1", known=True)}
    away = {it.key for it in password_counters("ann", "1", "198.51.100.7", known=False)}
    neighbour = {it.key for it in password_counters("bob", "2", "192.0.2.1", known=False)}
    assert not home & (away | neighbour)


def test_names_are_counted_whatever_their_case_and_addresses_together() -> None:
    first, second = (
        password_counters(name, "1", "192.0.2.1", known=False) for name in ("Ann", "ann")
    )
    assert first == second
    other = password_counters("bob", "2", "192.0.2.1", known=False)
    assert first[1] == other[1]
    assert len(password_counters("ann", "1", "", known=False)) == 1
