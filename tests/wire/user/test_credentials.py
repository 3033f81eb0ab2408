"""Passwords, links by mail and second factors, as clients meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import psycopg
import pyotp
import pytest
from parley.user.v1 import credential_pb2 as pb
from parley.user.v1 import session_pb2, user_pb2

from chassis.clock import ManualClock
from chassis.db import connected
from services.user.accounts.store import AccountStore, Search
from services.user.app import MIGRATIONS
from services.user.credentials.rules import MAX_LINKS
from tests.credential_stand import PASSWORD, Person, Stand, refused, user_standing
from tests.servers import PostgresServer

NEW = "a new password"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """Begins a day ago, since nobody believes tokens of tomorrow."""
    return ManualClock(datetime.now(UTC) - timedelta(days=1))


@pytest.fixture(scope="module")
async def stand(postgres: PostgresServer, clock: ManualClock) -> AsyncIterator[Stand]:
    async with user_standing(postgres, clock, access_token_seconds=10**8) as it:
        yield it


async def is_signed_in(person: Person) -> bool:
    request = user_pb2.RefreshRequest(refresh_token=person.refresh_token)
    try:
        answer = await person.call("Refresh", request)
    except grpc.aio.AioRpcError:
        return False
    person.access_token, person.refresh_token = answer.access_token, answer.refresh_token
    return True


async def change_password(person: Person, current: str = PASSWORD) -> None:
    request = pb.ChangePasswordRequest(name="users/me", current_password=current, new_password=NEW)
    await person.call("ChangePassword", request)


async def ask_for_reset(person: Person, email: str) -> None:
    await person.call("RequestPasswordReset", pb.RequestPasswordResetRequest(email=email))


async def reset(person: Person, token: str, password: str = NEW) -> None:
    await person.call("ResetPassword", pb.ResetPasswordRequest(token=token, new_password=password))


async def begin_totp(person: Person) -> pyotp.TOTP:
    request = pb.BeginTotpRequest(name="users/me", password=PASSWORD)
    return pyotp.TOTP((await person.call("BeginTotp", request)).secret)


async def enable_totp(person: Person, clock: ManualClock) -> tuple[pyotp.TOTP, list[str]]:
    totp = await begin_totp(person)
    request = pb.EnableTotpRequest(name="users/me", code=totp.at(clock.now()))
    codes = (await person.call("EnableTotp", request)).recovery_codes
    clock.advance(60)
    return totp, list(codes)


async def test_a_changed_password_ends_every_other_session(stand: Stand) -> None:
    ann = await stand.somebody()
    phone = ann.elsewhere()
    await phone.login()
    assert (await refused(change_password(ann, "wrong")))[0] == "WRONG_CREDENTIALS"
    await change_password(ann)
    assert await is_signed_in(ann)
    assert not await is_signed_in(phone)
    assert (await refused(phone.login()))[0] == "WRONG_CREDENTIALS"
    await phone.login(NEW)


async def test_somebody_elses_credentials_are_not_ones_own(stand: Stand) -> None:
    ann, bob = await stand.somebody(), await stand.somebody()
    for method, request in (
        ("ChangePassword", pb.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW)),
        ("RequestEmailVerification", pb.RequestEmailVerificationRequest()),
        ("BeginTotp", pb.BeginTotpRequest(password=PASSWORD)),
        ("EnableTotp", pb.EnableTotpRequest(code="123456")),
        ("DisableTotp", pb.DisableTotpRequest(password=PASSWORD, code="123456")),
        ("ReplaceRecoveryCodes", pb.ReplaceRecoveryCodesRequest(password=PASSWORD, code="123456")),
    ):
        request.name = bob.name
        assert (await refused(ann.call(method, request)))[0] == "NOT_YOURS", method


async def test_a_link_sets_a_new_password_once_and_ends_every_session(stand: Stand) -> None:
    ann = await stand.somebody()
    stranger = Person(stand.channel, "203.0.113.5")
    await ask_for_reset(stranger, ann.email.upper())
    token = await stand.token_of_mail(ann.email)
    await reset(stranger, token)
    assert not await is_signed_in(ann)
    assert (await refused(reset(stranger, token)))[0] == "LINK_INVALID"
    assert (await refused(reset(stranger, "made up")))[0] == "LINK_INVALID"
    await ann.login(NEW)


async def test_nothing_tells_whether_an_address_has_an_account(stand: Stand) -> None:
    ann = await stand.somebody()
    stranger = Person(stand.channel, "203.0.113.6")
    await ask_for_reset(stranger, "nobody@example.org")
    await ask_for_reset(stranger, ann.email)
    await stand.token_of_mail(ann.email)
    assert not stand.mails("nobody@example.org")


async def test_links_run_out_and_there_are_few_at_a_time(stand: Stand, clock: ManualClock) -> None:
    ann = await stand.somebody()
    for number in range(1, MAX_LINKS + 1):
        await ask_for_reset(ann, ann.email)
        token = await stand.token_of_mail(ann.email, number)
    bob = await stand.somebody()
    await ask_for_reset(ann, ann.email)
    await ask_for_reset(ann, bob.email)  # is looked up after what was asked before
    await stand.token_of_mail(bob.email)
    assert len(stand.mails(ann.email)) == MAX_LINKS
    clock.advance(3600)
    assert (await refused(reset(ann, token)))[0] == "LINK_INVALID"
    await ask_for_reset(ann, ann.email)
    await reset(ann, await stand.token_of_mail(ann.email, MAX_LINKS + 1))


async def test_mail_is_in_the_readers_language(stand: Stand) -> None:
    li = Person(stand.channel, language="zh-CN,zh;q=0.9")
    await li.register()
    await ask_for_reset(li, li.email)
    await stand.token_of_mail(li.email)
    (mail,) = stand.mails(li.email)
    assert "密码" in mail["Subject"]
    assert mail["From"] == "Parley <parley@localhost>"
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_an_address_is_proven_by_its_link_and_another_is_not(stand: Stand) -> None:
    ann = await stand.somebody()
    ask = pb.RequestEmailVerificationRequest(name="users/me")
    await ann.call("RequestEmailVerification", ask)
    old = await stand.token_of_mail(ann.email)
    moved = user_pb2.User(name=ann.name, email=f"new-{ann.email}")
    await ann.call("UpdateUser", user_pb2.UpdateUserRequest(user=moved))
    verify = pb.VerifyEmailRequest(token=old)
    assert (await refused(ann.call("VerifyEmail", verify)))[0] == "LINK_INVALID"
    await ann.call("RequestEmailVerification", ask)
    token = await stand.token_of_mail(f"new-{ann.email}")
    wrong_kind = pb.ResetPasswordRequest(token=token, new_password=NEW)
    assert (await refused(ann.call("ResetPassword", wrong_kind)))[0] == "LINK_INVALID"
    await ann.call("VerifyEmail", pb.VerifyEmailRequest(token=token))
    assert (await refused(ann.call("RequestEmailVerification", ask)))[0] == "EMAIL_VERIFIED"


async def test_too_many_links_are_refused_to_who_is_signed_in(stand: Stand) -> None:
    ann = await stand.somebody()
    ask = pb.RequestEmailVerificationRequest(name="users/me")
    for _ in range(MAX_LINKS):
        await ann.call("RequestEmailVerification", ask)
    assert (await refused(ann.call("RequestEmailVerification", ask)))[0] == "TOO_MANY_MAILS"


async def test_where_addresses_are_to_be_proven_one_signs_in_only_then(
    postgres: PostgresServer,
) -> None:
    async with user_standing(postgres, verify_email=True) as strict:
        ann = Person(strict.channel)
        made = await ann.register()
        assert (made.access_token, made.refresh_token, made.expires_in) == ("", "", 0)
        assert (await refused(ann.login("wrong")))[0] == "WRONG_CREDENTIALS"
        assert (await refused(ann.login()))[0] == "EMAIL_NOT_VERIFIED"
        token = await strict.token_of_mail(ann.email, 2)
        await ann.call("VerifyEmail", pb.VerifyEmailRequest(token=token))
        await ann.login()


async def test_a_second_factor_is_asked_for_once_it_is_on(stand: Stand, clock: ManualClock) -> None:
    ann = await stand.somebody()
    totp = await begin_totp(ann)
    await ann.elsewhere().login()  # nothing has changed yet
    wrong = pb.EnableTotpRequest(
        name="users/me", code=f"{(int(totp.at(clock.now())) + 1) % 10**6:06}"
    )
    assert (await refused(ann.call("EnableTotp", wrong)))[0] == "WRONG_CODE"
    totp, _ = await enable_totp(ann, clock)
    phone = ann.elsewhere()
    assert (await refused(phone.login()))[0] == "CODE_REQUIRED"
    assert (await refused(phone.login("wrong", one_time_code="1")))[0] == "WRONG_CREDENTIALS"
    code = totp.at(clock.now())
    await phone.login(one_time_code=code)
    assert (await refused(phone.login(one_time_code=code)))[0] == "WRONG_CODE"  # it works once
    begin = pb.BeginTotpRequest(name="users/me", password=PASSWORD)
    assert (await refused(ann.call("BeginTotp", begin)))[0] == "TOTP_ENABLED"


async def test_admins_see_who_has_a_second_factor(stand: Stand, clock: ManualClock) -> None:
    ann, bob = await stand.somebody(), await stand.somebody()
    await begin_totp(bob)
    await enable_totp(ann, clock)
    async with connected(stand.database_url, MIGRATIONS) as database:
        accounts = AccountStore(database)
        listed = {each.user.id: each for each in await accounts.page(Search(), None, 1000)}
        for person, has in ((ann, True), (bob, False)):
            user_id = UUID(person.name.removeprefix("users/"))
            assert listed[user_id].totp_enabled is has
            assert (await accounts.account(user_id)).totp_enabled is has


async def test_one_code_lets_one_of_many_in(stand: Stand, clock: ManualClock) -> None:
    ann = await stand.somebody()
    totp, _ = await enable_totp(ann, clock)
    code = totp.at(clock.now())
    tries = (ann.elsewhere(f"198.51.100.{n}").login(one_time_code=code) for n in range(4))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in results) == 1


async def test_recovery_codes_work_once_each_until_they_are_replaced(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    totp, codes = await enable_totp(ann, clock)
    assert len(codes) == 10
    await ann.elsewhere().login(one_time_code=codes[0].upper())
    assert (await refused(ann.elsewhere().login(one_time_code=codes[0])))[0] == "WRONG_CODE"
    replace = pb.ReplaceRecoveryCodesRequest(
        name="users/me", password=PASSWORD, code=totp.at(clock.now())
    )
    fresh = (await ann.call("ReplaceRecoveryCodes", replace)).recovery_codes
    assert (await refused(ann.elsewhere().login(one_time_code=codes[1])))[0] == "WRONG_CODE"
    await ann.elsewhere().login(one_time_code=fresh[0])


async def test_a_second_factor_goes_with_password_and_code(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    totp, codes = await enable_totp(ann, clock)

    def disable(password: str, code: str) -> Any:
        request = pb.DisableTotpRequest(name="users/me", password=password, code=code)
        return ann.call("DisableTotp", request)

    good = totp.at(clock.now())
    assert (await refused(disable("wrong", good)))[0] == "WRONG_CREDENTIALS"
    assert (await refused(disable(PASSWORD, "not the code")))[0] == "WRONG_CODE"
    await disable(PASSWORD, codes[3])
    await ann.elsewhere().login()
    assert (await refused(disable(PASSWORD, good)))[0] == "TOTP_DISABLED"
    enable = pb.EnableTotpRequest(name="users/me", code=good)
    assert (await refused(ann.call("EnableTotp", enable)))[0] == "TOTP_NOT_BEGUN"


async def test_secrets_of_second_factors_are_not_to_be_read_in_the_database(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    totp, codes = await enable_totp(ann, clock)
    url = stand.database_url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT sealed_secret FROM totp").fetchall()
        kept = connection.execute("SELECT code_hash FROM recovery_codes").fetchall()
    assert rows
    assert not any(totp.secret.encode() in bytes(row[0]) for row in rows)
    assert not any(codes[0].encode() in bytes(row[0]) for row in kept)


async def test_what_was_done_to_an_account_is_in_the_audit_log(
    stand: Stand, clock: ManualClock
) -> None:
    ann = await stand.somebody()
    await enable_totp(ann, clock)
    await change_password(ann)
    url = stand.database_url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        query = "SELECT action FROM audit_events WHERE actor = %s ORDER BY time"
        actions = [row[0] for row in connection.execute(query, [ann.name])]
    assert actions == ["totp.enable", "password.change"]
    await ann.call("EndAllSessions", session_pb2.EndAllSessionsRequest(parent="users/me"))
