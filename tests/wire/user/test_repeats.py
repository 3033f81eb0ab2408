"""Requests that are repeated: the first answer comes again, whichever process gives it and whoever was faster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pyotp
import pytest
from parley.user.v1 import credential_pb2 as pb
from parley.user.v1 import session_pb2, user_pb2

from chassis import db
from chassis.idempotency import Answers
from services.user.app import MIGRATIONS
from tests.credential_stand import PASSWORD, Person, Stand, another, refused, user_standing
from tests.servers import PostgresServer

NEW = "a new password"


@pytest.fixture(scope="module")
async def stand(postgres: PostgresServer) -> AsyncIterator[Stand]:
    async with user_standing(postgres) as it:
        yield it


def once() -> str:
    return str(uuid4())


def registration(person: Person, **fields: Any) -> user_pb2.RegisterRequest:
    about = {"username": person.username, "email": person.email, "password": PASSWORD}
    return user_pb2.RegisterRequest(**{**about, **fields})


async def test_an_answer_that_was_lost_comes_again_from_another_process(stand: Stand) -> None:
    ann = Person(stand.channel)
    request = registration(ann, request_id=once())
    first = await ann.call("Register", request)
    async with another(stand) as spare:
        there = replace(ann, channel=spare.channel)
        assert await there.call("Register", request) == first
        login = user_pb2.LoginRequest(
            username_or_email=ann.username, password=PASSWORD, request_id=once()
        )
        signed_in = await ann.call("Login", login)
        assert await there.call("Login", login) == signed_in
        refresh = user_pb2.RefreshRequest(refresh_token=signed_in.refresh_token, request_id=once())
        refreshed = await ann.call("Refresh", refresh)
        assert await there.call("Refresh", refresh) == refreshed
        reused = user_pb2.RefreshRequest(refresh_token=signed_in.refresh_token)
        assert (await refused(ann.call("Refresh", reused)))[0] == "REFRESH_TOKEN_REUSED"


async def test_of_many_at_once_one_is_the_first_and_all_have_its_answer(stand: Stand) -> None:
    ann = Person(stand.channel)
    request = registration(ann, request_id=once())
    answers = await asyncio.gather(*(ann.call("Register", request) for _ in range(6)))
    assert all(answer == answers[0] for answer in answers)
    ann.access_token = answers[0].access_token
    change = pb.ChangePasswordRequest(
        name="users/me", current_password=PASSWORD, new_password=NEW, request_id=once()
    )
    await asyncio.gather(*(ann.call("ChangePassword", change) for _ in range(4)))
    refresh = user_pb2.RefreshRequest(refresh_token=answers[0].refresh_token, request_id=once())
    pairs = await asyncio.gather(*(ann.call("Refresh", refresh) for _ in range(4)))
    assert all(pair == pairs[0] for pair in pairs)
    await ann.call("Refresh", user_pb2.RefreshRequest(refresh_token=pairs[0].refresh_token))


async def test_everything_that_changes_something_can_be_repeated(stand: Stand) -> None:
    ann = await stand.somebody()
    begin = pb.BeginTotpRequest(name="users/me", password=PASSWORD, request_id=once())
    secret = (await ann.call("BeginTotp", begin)).secret
    assert (await ann.call("BeginTotp", begin)).secret == secret
    enable = pb.EnableTotpRequest(name="users/me", code=pyotp.TOTP(secret).now(), request_id=once())
    codes = (await ann.call("EnableTotp", enable)).recovery_codes
    assert (await ann.call("EnableTotp", enable)).recovery_codes == codes
    disable = pb.DisableTotpRequest(
        name="users/me", password=PASSWORD, code=codes[0], request_id=once()
    )
    rename = user_pb2.UpdateUserRequest(user=user_pb2.User(name=ann.name, display_name="Anna"))
    rename.request_id = once()
    ask = pb.RequestEmailVerificationRequest(name="users/me", request_id=once())
    await ann.elsewhere().login(one_time_code=codes[1])
    leave = session_pb2.EndAllSessionsRequest(
        parent="users/me", keep_current=True, request_id=once()
    )
    for method, request in (
        ("DisableTotp", disable),
        ("UpdateUser", rename),
        ("RequestEmailVerification", ask),
        ("EndAllSessions", leave),
    ):
        first = await ann.call(method, request)
        assert await ann.call(method, request) == first, method
    assert first.ended_count == 1
    token = await stand.token_of_mail(ann.email)
    links: list[tuple[str, Any]] = [
        ("VerifyEmail", pb.VerifyEmailRequest(token=token, request_id=once())),
        ("RequestPasswordReset", pb.RequestPasswordResetRequest(email=ann.email)),
    ]
    for method, link in links:
        link.request_id = once()
        for _ in range(2):
            await ann.call(method, link)
    token = await stand.token_of_mail(ann.email, 2)
    reset = pb.ResetPasswordRequest(token=token, new_password=NEW, request_id=once())
    for _ in range(2):
        await ann.call("ResetPassword", reset)
    assert len(stand.mails(ann.email)) == 2


async def test_an_id_is_for_one_request_of_one_caller(stand: Stand) -> None:
    ann, bob = await stand.somebody(), await stand.somebody()
    request = user_pb2.UpdateUserRequest(
        user=user_pb2.User(display_name="Ann A."), request_id=once()
    )
    request.user.name = ann.name
    await ann.call("UpdateUser", request)
    request.user.display_name = "Ann B."
    assert (await refused(ann.call("UpdateUser", request)))[0] == "REQUEST_ID_REUSED"
    request.user.name = bob.name
    assert (await bob.call("UpdateUser", request)).display_name == "Ann B."
    request.request_id = "no uuid"
    assert (await refused(bob.call("UpdateUser", request)))[0] == "INVALID_ARGUMENT"


async def test_what_was_refused_is_tried_anew(stand: Stand) -> None:
    ann = await stand.somebody()
    taken = registration(Person(stand.channel), username=ann.username, request_id=once())
    assert (await refused(ann.call("Register", taken)))[0] == "USERNAME_TAKEN"
    wrong = user_pb2.LoginRequest(
        username_or_email=ann.username, password="wrong", request_id=once()
    )
    for _ in range(2):
        assert (await refused(ann.call("Login", wrong)))[0] == "WRONG_CREDENTIALS"


async def test_the_database_has_neither_the_tokens_nor_what_passwords_could_be_tried_against(
    stand: Stand,
) -> None:
    ann = Person(stand.channel)
    request = registration(ann, request_id=once())
    answer = await ann.call("Register", request)
    with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
        query = "SELECT digest, answer FROM answers WHERE request_id = %s"
        ((digest, kept),) = connection.execute(query, [request.request_id]).fetchall()
    assert answer.refresh_token.encode() not in bytes(kept)
    async with db.connected(stand.database_url, MIGRATIONS) as opened:
        assert bytes(digest) != Answers(opened)._digest(request)


async def test_answers_are_forgotten_after_a_day(stand: Stand) -> None:
    ann = Person(stand.channel)
    request = registration(ann, request_id=once())
    await ann.call("Register", request)
    async with db.connected(stand.database_url, MIGRATIONS) as opened:
        answers = Answers(opened)
        assert await answers.prune() == 0
        with psycopg.connect(stand.database_url.replace("+psycopg", "")) as connection:
            connection.execute("UPDATE answers SET create_time = now() - interval '25 hours'")
        assert await answers.prune() > 0
    assert (await refused(ann.call("Register", request)))[0] == "USERNAME_TAKEN"
