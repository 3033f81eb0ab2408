"""API keys over real gRPC: made, shown once, traded for tokens that may do less, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import jwt
import psycopg
import pytest
from parley.user.v1 import admin_pb2, api_key_pb2, user_pb2
from parley.user.v1.api_key_pb2 import (
    API_KEY_SCOPE_ADMIN,
    API_KEY_SCOPE_AI,
    API_KEY_SCOPE_MEETINGS_READ,
)

from chassis import channels
from services.user.programs.rules import MAX_KEYS
from tests.conftest import DatabaseFactory
from tests.user_stand import Caller, Stand, refusal, stand_with

PATIENCE_SECONDS = 20
READ = [API_KEY_SCOPE_MEETINGS_READ]


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand_with(database("user"), tmp_path) as it:
        yield it


async def make(person: Caller, parent: str = "users/me", **fields: Any) -> Any:
    key = api_key_pb2.ApiKey(**{"display_name": "ci", "scopes": READ, **fields})
    return await person.keys(
        "CreateApiKey", api_key_pb2.CreateApiKeyRequest(parent=parent, api_key=key)
    )


async def exchange(stand: Stand, secret: str) -> Caller:
    request = api_key_pb2.ExchangeApiKeyRequest(secret=secret)
    answer = await stand.nobody.keys("ExchangeApiKey", request)
    assert 0 < answer.expires_in <= 55
    return Caller(stand.channel, answer.access_token)


async def listed(person: Caller, parent: str = "users/me", **page: Any) -> Any:
    return await person.keys("ListApiKeys", api_key_pb2.ListApiKeysRequest(parent=parent, **page))


async def revoke(person: Caller, name: str) -> None:
    await person.keys("RevokeApiKey", api_key_pb2.RevokeApiKeyRequest(name=name))


async def test_a_key_s_secret_is_shown_once_and_kept_as_a_hash(stand: Stand) -> None:
    ann = await stand.person()
    made = await make(ann, scopes=[API_KEY_SCOPE_AI, API_KEY_SCOPE_MEETINGS_READ])
    assert made.secret.startswith("pk_")
    assert len(made.secret) == 46
    (shown,) = (await listed(ann)).api_keys
    assert shown == made.api_key
    assert made.api_key.name.startswith(f"{ann.name}/apiKeys/")
    assert made.secret not in str(shown)


async def test_a_program_acts_for_the_account_within_its_scopes(stand: Stand) -> None:
    ann = await stand.person()
    program = await exchange(stand, (await make(ann)).secret)
    me = await program.users("GetUser", user_pb2.GetUserRequest(name="users/me"))
    assert me.name == ann.name
    claims = jwt.decode(program.token, options={"verify_signature": False})
    assert claims["scope"] == "meetings.read"
    rename = user_pb2.UpdateUserRequest(user=user_pb2.User(name="users/me", display_name="X"))
    assert await refusal(program.users("UpdateUser", rename)) == "SCOPE_MISSING"
    assert await refusal(make(program)) == "SCOPE_MISSING", "keys beget no keys"
    assert await refusal(program.admin("ListUsers", admin_pb2.ListUsersRequest())) == (
        "SCOPE_MISSING"
    )
    (used,) = (await listed(ann)).api_keys
    assert used.last_use_time.ToDatetime(UTC).minute == 0


async def test_the_admin_scope_is_for_admins_keys_and_while_they_are_admins(stand: Stand) -> None:
    admin, ann = await stand.admin(), await stand.person()
    assert await refusal(make(ann, scopes=[API_KEY_SCOPE_ADMIN])) == "SCOPE_NOT_YOURS"
    second = await stand.admin("second")
    secret = (await make(second, scopes=[API_KEY_SCOPE_ADMIN])).secret
    await (await exchange(stand, secret)).admin("ListUsers", admin_pb2.ListUsersRequest())
    reader = await exchange(stand, (await make(second)).secret)
    assert await refusal(reader.admin("ListUsers", admin_pb2.ListUsersRequest())) == (
        "SCOPE_MISSING"
    )
    await admin.admin(
        "SetUserRole",
        admin_pb2.SetUserRoleRequest(name=second.name, role=user_pb2.ROLE_USER),
    )
    demoted = await exchange(stand, secret)
    assert await refusal(demoted.admin("ListUsers", admin_pb2.ListUsersRequest())) == (
        "PERMISSION_DENIED"
    )


async def test_a_revoked_key_is_gone_and_revoking_it_again_succeeds(stand: Stand) -> None:
    ann, bob = await stand.person(), await stand.person("bob")
    made = await make(ann)
    other = made.api_key.name.replace(ann.name, bob.name)
    assert await refusal(revoke(bob, made.api_key.name)) == "NOT_YOURS"
    assert await refusal(revoke(bob, other)) == "API_KEY_NOT_FOUND"
    for _ in range(2):
        await revoke(ann, made.api_key.name)
    assert not (await listed(ann)).api_keys
    assert await refusal(exchange(stand, made.secret)) == "API_KEY_INVALID"
    assert await refusal(exchange(stand, "pk_" + "x" * 43)) == "API_KEY_INVALID"
    assert await refusal(revoke(ann, "users/me/apiKeys/" + "-" * 36)) == "API_KEY_NOT_FOUND"


async def test_a_key_expires_and_no_token_outlives_it(stand: Stand) -> None:
    ann = await stand.person()
    past = datetime.now(UTC) - timedelta(seconds=1)
    assert await refusal(make(ann, expire_time=past)) == "INVALID_ARGUMENT"
    soon = datetime.now(UTC) + timedelta(seconds=20)
    program = await exchange(stand, (await make(ann, expire_time=soon)).secret)
    claims = jwt.decode(program.token, options={"verify_signature": False})
    assert claims["exp"] <= soon.timestamp()


async def test_a_banned_account_s_keys_do_not_work(stand: Stand) -> None:
    admin, ann = await stand.admin(), await stand.person()
    secret = (await make(ann)).secret
    await admin.admin("BanUser", admin_pb2.BanUserRequest(name=ann.name))
    assert await refusal(exchange(stand, secret)) == "API_KEY_INVALID"
    await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=ann.name))
    await exchange(stand, secret)


async def test_tokens_of_a_banned_account_s_keys_die_with_its_sessions(stand: Stand) -> None:
    admin, ann = await stand.admin(), await stand.person()
    program = await exchange(stand, (await make(ann)).secret)
    me = user_pb2.GetUserRequest(name="users/me")
    await program.users("GetUser", me)
    await admin.admin("BanUser", admin_pb2.BanUserRequest(name=ann.name))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await program.users("GetUser", me)
            except grpc.aio.AioRpcError as error:
                assert channels.reason(error) == "SESSION_ENDED"
                return
            await asyncio.sleep(0.05)


async def test_a_repeated_request_gets_the_same_key_and_another_one_is_refused(
    stand: Stand,
) -> None:
    ann, bob = await stand.person(), await stand.person("bob")
    key = api_key_pb2.ApiKey(display_name="ci", scopes=READ)
    request = api_key_pb2.CreateApiKeyRequest(
        parent="users/me", api_key=key, request_id=str(uuid4())
    )
    first, *rest = await asyncio.gather(*(ann.keys("CreateApiKey", request) for _ in range(4)))
    assert all(answer == first for answer in rest)
    assert len((await listed(ann)).api_keys) == 1
    await exchange(stand, first.secret)
    assert (await bob.keys("CreateApiKey", request)).secret != first.secret
    request.api_key.display_name = "another"
    assert await refusal(ann.keys("CreateApiKey", request)) == "REQUEST_ID_REUSED"
    url = stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        kept = await (await connection.execute("SELECT answer FROM answers")).fetchall()
    assert kept
    assert all(first.secret.encode() not in bytes(row[0]) for row in kept)


async def test_admins_make_keys_for_service_accounts_and_for_nobody_else(stand: Stand) -> None:
    admin, ann = await stand.admin(), await stand.person()
    request = admin_pb2.CreateServiceAccountRequest(username="bot")
    bot = (await admin.admin("CreateServiceAccount", request)).user
    made = await make(admin, bot.name)
    assert (await listed(admin, bot.name)).api_keys == [made.api_key]
    program = await exchange(stand, made.secret)
    me = await program.users("GetUser", user_pb2.GetUserRequest(name="users/me"))
    assert me.username == "bot"
    assert await refusal(make(ann, bot.name)) == "NOT_YOURS"
    assert await refusal(make(admin, ann.name)) == "NOT_YOURS"
    assert await refusal(make(admin, bot.name, scopes=[API_KEY_SCOPE_ADMIN])) == "SCOPE_NOT_YOURS"
    await revoke(admin, made.api_key.name)
    assert await refusal(exchange(stand, made.secret)) == "API_KEY_INVALID"


async def test_an_account_has_a_bounded_number_of_keys_however_they_race(stand: Stand) -> None:
    ann = await stand.person()
    results = await asyncio.gather(
        *(make(ann, display_name=str(number)) for number in range(MAX_KEYS + 5)),
        return_exceptions=True,
    )
    refused = [each for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert [channels.reason(each) for each in refused] == ["TOO_MANY_API_KEYS"] * 5
    first = await listed(ann, page_size=30)
    rest = await listed(ann, page_size=30, page_token=first.next_page_token)
    names = [key.name for key in (*first.api_keys, *rest.api_keys)]
    assert len(set(names)) == len(names) == MAX_KEYS
    assert not rest.next_page_token
    await revoke(ann, names[0])
    await make(ann)


async def test_keys_are_audited(stand: Stand) -> None:
    admin, ann = await stand.admin(), await stand.person()
    name = (await make(ann)).api_key.name
    for _ in range(2):
        await revoke(ann, name)
    request = admin_pb2.ListAuditEventsRequest(subject=name)
    events = (await admin.admin("ListAuditEvents", request)).audit_events
    assert [event.action for event in events] == ["api_key.revoke", "api_key.create"]
    assert events[1].details["scopes"] == "meetings.read"
