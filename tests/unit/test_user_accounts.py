"""Administration's rules: whatever admins do to each other, somebody is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.user.accounts.rules import (
    Account,
    AccountState,
    LastAdmin,
    Rule,
    ban,
    check_deletable,
    give,
    unban,
)
from services.user.domain import Role, User

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def account(number: int = 1, role: Role = Role.USER, **fields: object) -> Account:
    user = User(UUID(int=number), f"u{number}", "", "U", role, NOON, NOON)
    return replace(Account(user), **fields)  # type: ignore[arg-type]


RULES: list[Rule] = [ban("", NOON), unban, *(give(role, NOON) for role in Role)]


def deleted(one: Account, others: int) -> None:
    check_deletable(one, others)


@given(
    st.lists(st.sampled_from(list(Role)), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, len(RULES))), max_size=30),
)
def test_somebody_administers_for_as_long_as_somebody_has(
    roles: list[Role], programs: list[bool], steps: list[tuple[int, int]]
) -> None:
    accounts = {
        number: account(number, role, service_account=programs[number])
        for number, role in enumerate(roles)
    }
    for number, step in steps:
        if number not in accounts:
            continue
        before = [each for each in accounts.values() if each.administers]
        others = sum(each.administers for at, each in accounts.items() if at != number)
        try:
            if step == len(RULES):
                deleted(accounts[number], others)
                del accounts[number]
            else:
                accounts[number] = RULES[step](accounts[number], others)
        except LastAdmin:
            assert before == [accounts[number]]
        assert not before or any(each.administers for each in accounts.values())


def test_a_ban_keeps_when_it_began_and_takes_the_newest_reason() -> None:
    once = ban("spam", NOON)(account(), 0)
    again = ban("worse", NOON.replace(hour=13))(once, 0)
    assert (again.ban_time, again.ban_reason) == (NOON, "worse")
    assert unban(again, 0) == account()


def test_a_role_that_is_new_changes_the_etag_and_one_that_is_not_does_not() -> None:
    before = account()
    assert give(Role.USER, NOON)(before, 0) is before
    assert give(Role.ADMIN, NOON)(before, 0).user.etag != before.user.etag


@pytest.mark.parametrize(
    ("one", "must_verify", "state"),
    [
        (account(), False, AccountState.ACTIVE),
        (account(), True, AccountState.UNVERIFIED),
        (account(email_verified=True), True, AccountState.ACTIVE),
        (account(service_account=True), True, AccountState.ACTIVE),
        (account(ban_time=NOON, email_verified=True), True, AccountState.BANNED),
    ],
)
def test_the_state_says_who_may_sign_in(
    one: Account, must_verify: bool, state: AccountState
) -> None:
    assert one.state(must_verify=must_verify) is state
