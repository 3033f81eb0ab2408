"""Signing in by an OpenID Connect provider that runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from parley.user.v1 import admin_pb2, sign_in_pb2, user_pb2

from tests.conftest import DatabaseFactory
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, RunningProvider, provider_running
from tests.servers import free_port
from tests.user_stand import PASSWORD, Person, Stand, refusal, stand_with

NAME = "identityProviders/test"
PEOPLE: dict[str, dict[str, Any]] = {
    "zoe": {
        "email": "Zoe@acme.example",
        "email_verified": True,
        "name": "Zoë",
        "preferred_username": "zoe",
    },
    "quiet": {"email": "quiet@acme.example", "email_verified": True, "only_user_info": True},
    "nobody": {},
    "proven": {"email": "ann@acme.example", "email_verified": True},
    "unproven": {"email": "ann@acme.example", "email_verified": False},
    "other nonce": {"id_token": {"nonce": "of another sign-in"}},
    "other client": {"id_token": {"aud": "somebody else"}},
    "for another": {"id_token": {"aud": "somebody else", "azp": CLIENT_ID}},
    "other issuer": {"id_token": {"iss": "https://evil.example"}},
    "too old": {"id_token": {"exp": 1}},
    "other token": {"id_token": {"at_hash": "bm90IHRoaXM"}},
    "no subject": {"id_token": {"sub": ""}},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with provider_running(PEOPLE) as it:
        yield it


def told(issuer: str, secret: str = CLIENT_SECRET) -> dict[str, Any]:
    """What the operator says of a provider."""
    about = {"id": "test", "display_name": "Acme", "issuer": issuer, "client_id": CLIENT_ID}
    return {
        "public_url": "http://parley.test",
        "identity_providers": json.dumps([{**about, "client_secret": secret}]),
    }


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, provider: RunningProvider
) -> AsyncIterator[Stand]:
    async with stand_with(database("user"), tmp_path, **told(provider.issuer)) as it:
        yield it


async def begun(stand: Stand) -> Any:
    return await stand.nobody.sign_in("BeginSignIn", sign_in_pb2.BeginSignInRequest(name=NAME))


async def completed(stand: Stand, code: str, state: str) -> Person:
    request = sign_in_pb2.CompleteSignInRequest(name=NAME, code=code, state=state)
    return Person(stand.channel, await stand.nobody.sign_in("CompleteSignIn", request))


async def sign_in(stand: Stand, provider: RunningProvider, login: str) -> Person:
    uri = (await begun(stand)).authorization_uri
    return await completed(stand, *await asyncio.to_thread(provider.sign_in, uri, login))


async def prove(stand: Stand, person: Person, email: str) -> None:
    """Give somebody an address that is proven, as the link in a mail would."""
    url = stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "UPDATE users SET email = %s, email_verified = true WHERE username = %s",
            (email, person.username),
        )


async def test_the_providers_are_listed_and_nothing_of_their_secrets(stand: Stand) -> None:
    request = sign_in_pb2.ListIdentityProvidersRequest()
    answer = await stand.nobody.sign_in("ListIdentityProviders", request)
    (shown,) = answer.identity_providers
    assert (shown.name, shown.display_name) == (NAME, "Acme")
    assert CLIENT_SECRET not in repr(stand.config)


async def test_the_way_there_has_state_nonce_and_a_challenge(stand: Stand) -> None:
    answer, other = await begun(stand), await begun(stand)
    asked = {
        name: value[0] for name, value in parse_qs(urlsplit(answer.authorization_uri).query).items()
    }
    assert asked["state"] == answer.state != other.state
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://parley.test/signed-in/test"
    assert asked["response_type"] == "code"
    assert asked["nonce"]
    unknown = sign_in_pb2.BeginSignInRequest(name="identityProviders/other")
    assert await refusal(stand.nobody.sign_in("BeginSignIn", unknown)) == (
        "IDENTITY_PROVIDER_NOT_FOUND"
    )


async def test_the_first_sign_in_makes_an_account_and_the_next_finds_it(
    stand: Stand, provider: RunningProvider
) -> None:
    first = await sign_in(stand, provider, "zoe")
    assert (first.username, first.email) == ("zoe", "zoe@acme.example")
    assert (await sign_in(stand, provider, "zoe")).name == first.name
    await first.refreshed()
    login = user_pb2.LoginRequest(username_or_email="zoe", password="x")
    assert await refusal(stand.nobody.auth("Login", login)) == "WRONG_CREDENTIALS"
    admin = await stand.admin()
    request = admin_pb2.ListUsersRequest(query="zoe@")
    (account,) = (await admin.admin("ListUsers", request)).accounts
    assert account.email_verified


async def test_a_name_that_is_taken_gets_something_behind_it(
    stand: Stand, provider: RunningProvider
) -> None:
    await stand.nobody.auth(
        "Register",
        user_pb2.RegisterRequest(username="zoe", email="z@example.org", password=PASSWORD),
    )
    assert (await sign_in(stand, provider, "zoe")).username.startswith("zoe-")


async def test_an_address_is_asked_for_where_the_id_token_has_none(
    stand: Stand, provider: RunningProvider
) -> None:
    assert (await sign_in(stand, provider, "quiet")).email == "quiet@acme.example"
    ann, bob = await sign_in(stand, provider, "nobody"), await stand.person("bob")
    assert ann.email == "" != bob.email


async def test_an_account_is_linked_only_if_both_sides_have_proof_of_the_address(
    stand: Stand, provider: RunningProvider
) -> None:
    squatter = await stand.person("squatter")
    url = stand.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "UPDATE users SET email = 'ann@acme.example' WHERE username = %s", (squatter.username,)
        )
    for login in ("proven", "unproven"):
        assert await refusal(sign_in(stand, provider, login)) == "EMAIL_TAKEN"
    await prove(stand, squatter, "ann@acme.example")
    assert await refusal(sign_in(stand, provider, "unproven")) == "EMAIL_TAKEN"
    assert (await sign_in(stand, provider, "proven")).name == squatter.name


async def test_a_linked_account_stays_linked_when_its_address_changes(
    stand: Stand, provider: RunningProvider
) -> None:
    zoe = await sign_in(stand, provider, "zoe")
    move = user_pb2.UpdateUserRequest(user=user_pb2.User(name="users/me", email="new@example.org"))
    await zoe.users("UpdateUser", move)
    assert (await sign_in(stand, provider, "zoe")).name == zoe.name
    admin = await stand.admin()
    found = admin_pb2.ListUsersRequest(query="new@example.org")
    (account,) = (await admin.admin("ListUsers", found)).accounts
    assert not account.email_verified, "a new address is not proven"


async def test_a_banned_account_can_t_come_in_by_its_provider(
    stand: Stand, provider: RunningProvider
) -> None:
    admin, zoe = await stand.admin(), await sign_in(stand, provider, "zoe")
    await admin.admin("BanUser", admin_pb2.BanUserRequest(name=zoe.name))
    assert await refusal(sign_in(stand, provider, "zoe")) == "ACCOUNT_BANNED"


@pytest.mark.parametrize("login", [name for name, claims in PEOPLE.items() if "id_token" in claims])
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    stand: Stand, provider: RunningProvider, login: str
) -> None:
    assert await refusal(sign_in(stand, provider, login)) == "SIGN_IN_INVALID"


async def test_codes_and_states_work_once_and_together(
    stand: Stand, provider: RunningProvider
) -> None:
    first, second = await begun(stand), await begun(stand)
    code, state = await asyncio.to_thread(provider.sign_in, first.authorization_uri, "zoe")
    mixed = completed(stand, code, second.state)
    assert await refusal(mixed) == "SIGN_IN_INVALID", "the challenge is of the other sign-in"
    code, state = await asyncio.to_thread(provider.sign_in, first.authorization_uri, "zoe")
    await completed(stand, code, state)
    assert await refusal(completed(stand, code, state)) == "SIGN_IN_INVALID"
    for made_up in ("x", "a.b.c", f"{state}x", "🙂.1.2.3"):
        assert await refusal(completed(stand, code, made_up)) == "SIGN_IN_INVALID"


async def test_people_who_come_at_once_for_the_first_time_have_one_account(
    stand: Stand, provider: RunningProvider
) -> None:
    people = await asyncio.gather(*(sign_in(stand, provider, "zoe") for _ in range(5)))
    assert len({person.name for person in people}) == 1


async def test_a_provider_s_new_key_is_found(stand: Stand, provider: RunningProvider) -> None:
    zoe = await sign_in(stand, provider, "zoe")
    await asyncio.to_thread(provider.rotate)
    assert (await sign_in(stand, provider, "zoe")).name == zoe.name


async def test_a_wrong_client_secret_is_no_sign_in(
    database: DatabaseFactory, tmp_path: Path, provider: RunningProvider
) -> None:
    values = told(provider.issuer, secret="another")
    async with stand_with(database("user"), tmp_path, **values) as stand:
        assert await refusal(sign_in(stand, provider, "zoe")) == "SIGN_IN_INVALID"


async def test_a_provider_that_is_away_is_told_and_others_can_still_sign_in(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    values = told(f"http://127.0.0.1:{free_port()}")
    async with stand_with(database("user"), tmp_path, **values) as stand:
        assert await refusal(begun(stand)) == "IDENTITY_PROVIDER_AWAY"
        await (await stand.person()).refreshed()
