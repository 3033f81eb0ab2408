"""A new signing key, while people are signed in and two processes serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import jwt
import pytest
from parley.user.v1 import admin_pb2, user_pb2

from chassis import db
from chassis.clock import SystemClock
from chassis.stopping import stop
from services.user.app import MIGRATIONS
from services.user.sessions.key_store import KeyStore
from services.user.sessions.keys import PUBLISHED_BEFORE
from services.user.sessions.tokens import AccessTokens
from tests.conftest import DatabaseFactory
from tests.user_stand import Caller, Stand, stand_with

PATIENCE_SECONDS = 20
ROTATE = admin_pb2.RotateSigningKeyRequest()
ME = user_pb2.GetUserRequest(name="users/me")


class LaterClock(SystemClock):
    """A clock that is behind the machine's at first, so that what is signed later is not signed in the future."""

    ahead = -PUBLISHED_BEFORE

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
async def stand(
    database: DatabaseFactory, tmp_path: Path, clock: LaterClock
) -> AsyncIterator[Stand]:
    async with stand_with(database("user"), tmp_path, clock) as it:
        yield it


async def published(caller: Caller) -> list[str]:
    answer = await caller.auth("GetJsonWebKeySet", user_pb2.GetJsonWebKeySetRequest())
    return [key.kid for key in answer.keys]


def signed_by(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_nobody_is_signed_out_by_a_new_key(stand: Stand, clock: LaterClock) -> None:
    admin = await stand.admin()
    (old,) = await published(stand.nobody)
    new = (await admin.admin("RotateSigningKey", ROTATE)).key.kid
    assert await published(stand.nobody) == [old, new]
    assert signed_by((await admin.signed_in()).token) == old, "others may not have the new one yet"
    assert (await admin.admin("RotateSigningKey", ROTATE)).key.kid == new, "as long as it waits"
    clock.ahead = timedelta(0)
    fresh = await admin.signed_in()
    assert signed_by(fresh.token) == new
    assert await published(stand.nobody) == [new, old]
    for caller in (admin, fresh):
        await caller.users("GetUser", ME)


async def test_the_old_key_goes_when_its_last_token_is_over(
    stand: Stand, clock: LaterClock
) -> None:
    admin = await stand.admin()
    (old,) = await published(stand.nobody)
    await admin.admin("RotateSigningKey", ROTATE)
    clock.ahead = 2 * PUBLISHED_BEFORE + timedelta(seconds=stand.config.longest_token_seconds)
    newest = (await admin.admin("RotateSigningKey", ROTATE)).key.kid
    kept = await published(stand.nobody)
    assert newest in kept
    assert old not in kept


async def test_other_processes_hear_of_a_key_by_themselves(stand: Stand) -> None:
    admin = await stand.admin()
    longest = timedelta(seconds=stand.config.longest_token_seconds)
    async with db.connected(stand.database_url, MIGRATIONS) as database:
        other = AccessTokens(KeyStore(database, longest), SystemClock(), longest)
        await other.load()
        new = (await admin.admin("RotateSigningKey", ROTATE)).key.kid
        loading = asyncio.create_task(other.keep_loading(every=timedelta(milliseconds=10)))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while new not in await other.keys():  # noqa: ASYNC110  # what is waited for is a list that grows
                await asyncio.sleep(0.01)
        await stop(loading)


async def test_rotations_are_audited(stand: Stand) -> None:
    admin = await stand.admin()
    kid = (await admin.admin("RotateSigningKey", ROTATE)).key.kid
    await admin.admin("RotateSigningKey", ROTATE)
    request = admin_pb2.ListAuditEventsRequest(action="signing_key.*")
    (event,) = (await admin.admin("ListAuditEvents", request)).audit_events
    assert (event.actor, event.subject) == (admin.name, f"signingKeys/{kid}")
