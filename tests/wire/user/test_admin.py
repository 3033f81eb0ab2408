"""Administration over real gRPC: who is found, banned, promoted, and that somebody is always left to do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import grpc
import jwt
import pytest
from parley.user.v1 import admin_pb2, user_pb2
from parley.user.v1.admin_pb2 import ACCOUNT_STATE_ACTIVE, ACCOUNT_STATE_BANNED

from chassis import channels
from chassis.errors import NotFound
from services.user.promote import promote
from tests.conftest import DatabaseFactory
from tests.user_stand import Person, Stand, refusal, stand_with


@pytest.fixture
async def stand(database: DatabaseFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand_with(database("user"), tmp_path) as it:
        yield it


async def found(admin: Person, **wanted: object) -> list[str]:
    answer = await admin.admin("ListUsers", admin_pb2.ListUsersRequest(**wanted))  # type: ignore[arg-type]
    return [account.user.username for account in answer.accounts]


async def test_admins_are_made_by_the_operator_alone(stand: Stand) -> None:
    ann = await stand.person()
    assert await refusal(ann.admin("ListUsers", admin_pb2.ListUsersRequest())) == (
        "PERMISSION_DENIED"
    )
    assert await promote(stand.database_url, ann.email.upper()) == ann.username
    await (await ann.signed_in()).admin("ListUsers", admin_pb2.ListUsersRequest())
    with pytest.raises(NotFound):
        await promote(stand.database_url, "nobody@example.org")
    with pytest.raises(NotFound):
        await promote(stand.database_url, ann.username)  # an address is proof of whom one means


async def test_accounts_are_listed_newest_first_and_pages_are_stable_while_people_sign_up(
    stand: Stand,
) -> None:
    admin = await stand.admin()
    people = [admin, *[await stand.person(f"p{number}") for number in range(4)]]
    names = [person.username for person in reversed(people)]
    first = await admin.admin("ListUsers", admin_pb2.ListUsersRequest(page_size=2))
    await stand.person("late")
    rest = await admin.admin(
        "ListUsers", admin_pb2.ListUsersRequest(page_size=100, page_token=first.next_page_token)
    )
    listed = [account.user.username for account in (*first.accounts, *rest.accounts)]
    assert listed == names
    assert not rest.next_page_token
    assert first.accounts[0].user.email
    bad = admin_pb2.ListUsersRequest(page_token="bm9uc2Vuc2U")
    assert await refusal(admin.admin("ListUsers", bad)) == "PAGE_TOKEN_INVALID"


async def test_search_finds_any_part_of_names_and_addresses_and_takes_no_wildcards(
    stand: Stand,
) -> None:
    admin, zoe = await stand.admin(), await stand.person("Zoe_x")
    await zoe.users(
        "UpdateUser",
        user_pb2.UpdateUserRequest(user=user_pb2.User(name="users/me", display_name="Zoë W")),
    )
    for query in ("zoe", "OE_X", zoe.email[3:], "zoë w"):
        assert await found(admin, query=query) == [zoe.username]
    for query in ("z%e", "zoe?", "oe.x"):
        assert await found(admin, query=query) == []


async def test_a_ban_ends_sessions_refuses_sign_in_and_is_lifted(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    ban = admin_pb2.BanUserRequest(name=bob.name, reason="spam")
    banned = await admin.admin("BanUser", ban)
    assert (banned.state, banned.ban_reason) == (ACCOUNT_STATE_BANNED, "spam")
    assert await admin.admin("BanUser", ban) == banned
    assert await refusal(bob.refreshed()) == "REFRESH_TOKEN_INVALID"
    assert await refusal(bob.signed_in()) == "ACCOUNT_BANNED"
    assert await found(admin, state=ACCOUNT_STATE_BANNED) == [bob.username]
    assert await found(admin, state=ACCOUNT_STATE_ACTIVE) == [admin.username]
    lifted = await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=bob.name))
    assert (lifted.state, lifted.ban_reason) == (ACCOUNT_STATE_ACTIVE, "")
    assert (await bob.signed_in()).token
    unknown = admin_pb2.BanUserRequest(name="users/00000000-0000-0000-0000-000000000000")
    assert await refusal(admin.admin("BanUser", unknown)) == "USER_NOT_FOUND"


async def test_a_wrong_password_does_not_tell_that_an_account_is_banned(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    await admin.admin("BanUser", admin_pb2.BanUserRequest(name=bob.name))
    guess = user_pb2.LoginRequest(username_or_email=bob.username, password="a wrong guess")
    assert await refusal(bob.auth("Login", guess)) == "WRONG_CREDENTIALS"


async def test_a_sign_in_that_races_a_ban_leaves_no_session(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    ban = admin.admin("BanUser", admin_pb2.BanUserRequest(name=bob.name))
    results = await asyncio.gather(
        *(bob.signed_in() for _ in range(4)), ban, return_exceptions=True
    )
    for result in results[:-1]:
        if isinstance(result, Person):
            assert await refusal(result.refreshed()) == "REFRESH_TOKEN_INVALID"
        else:
            assert isinstance(result, grpc.aio.AioRpcError)
            assert channels.reason(result) == "ACCOUNT_BANNED"


async def test_roles_reach_tokens_with_the_next_refresh(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    request = admin_pb2.SetUserRoleRequest(name=bob.name, role=user_pb2.ROLE_MODERATOR)
    changed = await admin.admin("SetUserRole", request)
    assert changed.user.role == user_pb2.ROLE_MODERATOR
    assert await admin.admin("SetUserRole", request) == changed
    token = (await bob.refreshed()).access_token
    assert jwt.decode(token, options={"verify_signature": False})["role"] == "moderator"


async def test_somebody_is_always_left_to_administer(stand: Stand) -> None:
    admin = await stand.admin()
    demote = admin_pb2.SetUserRoleRequest(name=admin.name, role=user_pb2.ROLE_USER)
    assert await refusal(admin.admin("SetUserRole", demote)) == "LAST_ADMIN"
    assert await refusal(admin.admin("BanUser", admin_pb2.BanUserRequest(name=admin.name))) == (
        "LAST_ADMIN"
    )
    program = await admin.admin(
        "CreateServiceAccount", admin_pb2.CreateServiceAccountRequest(username="bot")
    )
    await admin.admin(
        "SetUserRole",
        admin_pb2.SetUserRoleRequest(name=program.user.name, role=user_pb2.ROLE_ADMIN),
    )
    assert await refusal(admin.admin("SetUserRole", demote)) == "LAST_ADMIN"


async def test_of_two_admins_who_demote_each_other_one_is_left(stand: Stand) -> None:
    ann, bob = await stand.admin("ann"), await stand.admin("bob")
    results = await asyncio.gather(
        *(
            one.admin(
                "SetUserRole",
                admin_pb2.SetUserRoleRequest(name=other.name, role=user_pb2.ROLE_USER),
            )
            for one, other in ((ann, bob), (bob, ann))
        ),
        return_exceptions=True,
    )
    refused = [each for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert [channels.reason(each) for each in refused] == ["LAST_ADMIN"]


async def test_a_service_account_has_no_password_and_no_address(stand: Stand) -> None:
    admin = await stand.admin()
    request = admin_pb2.CreateServiceAccountRequest(username="Recorder", display_name="Recorder")
    made = await admin.admin("CreateServiceAccount", request)
    assert (made.user.username, made.user.email, made.service_account) == ("recorder", "", True)
    assert await refusal(admin.admin("CreateServiceAccount", request)) == "USERNAME_TAKEN"
    for password in ("x", "argon2"):
        login = user_pb2.LoginRequest(username_or_email="recorder", password=password)
        assert await refusal(stand.nobody.auth("Login", login)) == "WRONG_CREDENTIALS"
    second = admin_pb2.CreateServiceAccountRequest(username="notifier")
    assert (await admin.admin("CreateServiceAccount", second)).user.display_name == "notifier"


async def test_a_repeated_request_changes_nothing_that_came_after_it(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    ban = admin_pb2.BanUserRequest(name=bob.name, request_id=str(uuid4()))
    first = await admin.admin("BanUser", ban)
    await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=bob.name))
    assert await admin.admin("BanUser", ban) == first
    await bob.signed_in()
    made = admin_pb2.CreateServiceAccountRequest(username="bot", request_id=str(uuid4()))
    bot = await admin.admin("CreateServiceAccount", made)
    assert await admin.admin("CreateServiceAccount", made) == bot
    rotate = admin_pb2.RotateSigningKeyRequest(request_id=str(uuid4()))
    key = await admin.admin("RotateSigningKey", rotate)
    assert await admin.admin("RotateSigningKey", rotate) == key
    role = admin_pb2.SetUserRoleRequest(
        name=bob.name, role=user_pb2.ROLE_ADMIN, request_id=str(uuid4())
    )
    given = await admin.admin("SetUserRole", role)
    assert await admin.admin("SetUserRole", role) == given
    lift = admin_pb2.UnbanUserRequest(name=bob.name, request_id=str(uuid4()))
    lifted = await admin.admin("UnbanUser", lift)
    await admin.admin("BanUser", admin_pb2.BanUserRequest(name=bob.name))
    assert await admin.admin("UnbanUser", lift) == lifted
    assert await refusal(bob.signed_in()) == "ACCOUNT_BANNED"


async def test_what_admins_do_is_in_the_audit_log_once(stand: Stand) -> None:
    admin, bob = await stand.admin(), await stand.person("bob")
    for _ in range(2):
        await admin.admin("BanUser", admin_pb2.BanUserRequest(name=bob.name, reason="spam"))
        await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=bob.name))
        await admin.admin("UnbanUser", admin_pb2.UnbanUserRequest(name=bob.name))
    request = admin_pb2.ListAuditEventsRequest(subject=bob.name)
    events = (await admin.admin("ListAuditEvents", request)).audit_events
    assert [event.action for event in events] == ["user.unban", "user.ban"] * 2
    assert events[1].actor == admin.name
    assert events[1].details["reason"] == "spam"
