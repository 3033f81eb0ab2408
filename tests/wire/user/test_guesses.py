"""Guessing passwords and codes, and that it keeps nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from parley.user.v1 import credential_pb2 as pb

from chassis import channels
from chassis.clock import ManualClock
from services.user.credentials.guessing import ACCOUNT, ADDRESS
from tests.credential_stand import PASSWORD, Person, Stand, refused, user_standing
from tests.servers import PostgresServer

ELSEWHERE = "198.51.100.7"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """Begins a day ago, since nobody believes tokens of tomorrow."""
    return ManualClock(datetime.now(UTC) - timedelta(days=1))


@pytest.fixture(scope="module")
async def stand(postgres: PostgresServer, clock: ManualClock) -> AsyncIterator[Stand]:
    async with user_standing(postgres, clock, access_token_seconds=10**8) as it:
        yield it


async def guess(person: Person, times: int) -> list[str]:
    """Try wrong passwords one after another; gives the reasons."""
    return [(await refused(person.login("wrong")))[0] for _ in range(times)]


def wait_of(error: grpc.aio.AioRpcError) -> float:
    status: Any = channels.status(error)
    for detail in status.details:
        retry = RetryInfo()
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    raise AssertionError("It does not say how long to wait.")


async def test_after_some_wrong_passwords_one_waits_longer_and_longer(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    thief = ann.elsewhere(ELSEWHERE)
    assert await guess(thief, ACCOUNT.free) == ["WRONG_CREDENTIALS"] * ACCOUNT.free
    for seconds in (1, 2, 4):
        reason, error = await refused(thief.login("wrong"))
        assert (reason, error.code()) == ("TOO_MANY_SIGN_INS", grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert wait_of(error) == seconds
        assert (await refused(thief.login()))[0] == "TOO_MANY_SIGN_INS"  # nor with the right one
        clock.advance(seconds)
        assert await guess(thief, 1) == ["WRONG_CREDENTIALS"]
    clock.advance(8)
    await thief.login()


async def test_names_that_nobody_has_are_treated_alike(stand: Stand) -> None:
    nobody = Person(stand.channel, "198.51.100.8")
    reasons = await guess(nobody, ACCOUNT.free + 1)
    assert reasons == [*["WRONG_CREDENTIALS"] * ACCOUNT.free, "TOO_MANY_SIGN_INS"]


async def test_nobody_can_lock_the_owner_out_where_they_have_signed_in_before(
    stand: Stand,
) -> None:
    ann = await stand.somebody("192.0.2.77")
    thief = ann.elsewhere("198.51.100.9")
    await guess(thief, ACCOUNT.free + 1)
    await ann.login()


async def test_from_a_new_place_a_link_lets_the_owner_in(stand: Stand) -> None:
    ann = await stand.somebody()
    abroad = ann.elsewhere("203.0.113.80")
    await guess(abroad, ACCOUNT.free)
    assert (await refused(abroad.login()))[0] == "TOO_MANY_SIGN_INS"
    ask = pb.RequestPasswordResetRequest(email=ann.email)
    await abroad.call("RequestPasswordReset", ask)
    token = await stand.token_of_mail(ann.email)
    reset = pb.ResetPasswordRequest(token=token, new_password="a new password")
    await abroad.call("ResetPassword", reset)
    await abroad.login("a new password")


async def test_an_address_that_tries_many_accounts_waits_too(
    stand: Stand, clock: ManualClock
) -> None:
    address = "2001:db8:0:1::1"
    for number in range(ADDRESS.free):
        stranger = Person(stand.channel, f"2001:db8:0:1::{number + 1:x}")
        assert await guess(stranger, 1) == ["WRONG_CREDENTIALS"]
    reason, error = await refused(Person(stand.channel, address).login("wrong"))
    assert reason == "TOO_MANY_SIGN_INS"
    assert wait_of(error) <= ADDRESS.longest.total_seconds()
    clock.advance(1)
    await stand.somebody(address)


async def test_guesses_at_the_same_time_are_counted_all(stand: Stand) -> None:
    ann = await stand.somebody()
    thieves = [ann.elsewhere("203.0.113.90") for _ in range(20)]
    reasons = await asyncio.gather(*(guess(each, 1) for each in thieves))
    assert reasons.count(["WRONG_CREDENTIALS"]) == ACCOUNT.free


async def test_who_is_right_is_not_counted(stand: Stand) -> None:
    ann = await stand.somebody()
    abroad = ann.elsewhere("203.0.113.91")
    for _ in range(3):
        await guess(abroad, ACCOUNT.free - 1)
        await abroad.login()


async def test_codes_and_ones_own_password_can_not_be_guessed_either(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    begin = pb.BeginTotpRequest(name="users/me", password="wrong")
    for _ in range(ACCOUNT.free):
        assert (await refused(ann.call("BeginTotp", begin)))[0] == "WRONG_CREDENTIALS"
    assert (await refused(ann.call("BeginTotp", begin)))[0] == "TOO_MANY_SIGN_INS"
    clock.advance(1)
    begin.password = PASSWORD
    await ann.call("BeginTotp", begin)
    enable = pb.EnableTotpRequest(name="users/me", code="000000")
    reasons = [(await refused(ann.call("EnableTotp", enable)))[0] for _ in range(6)]
    assert reasons[-1] == "TOO_MANY_SIGN_INS"
    assert "WRONG_CODE" in reasons


async def test_the_database_has_neither_names_nor_addresses_of_who_guesses(stand: Stand) -> None:
    await guess(Person(stand.channel, "203.0.113.92", username="somebody-s-name"), 1)
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        keys = [bytes(row[0]) for row in connection.execute("SELECT key FROM guesses")]
    assert keys
    assert all(len(key) == 16 for key in keys)
