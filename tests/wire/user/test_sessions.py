"""Where one is signed in, ending that, and how everybody hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import jwt
import pytest
from parley.user.v1 import session_pb2, session_pb2_grpc, user_pb2
from sqlalchemy import delete, text

from chassis import db, keys
from chassis.auth import SessionEnded
from services.user.app import MIGRATIONS
from services.user.domain import MAX_SESSIONS
from services.user.sessions.store import SessionStore
from services.user.store import SessionRow
from tests.credential_stand import Person, Stand, refused, user_standing
from tests.servers import PostgresServer

PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
async def stand(postgres: PostgresServer) -> AsyncIterator[Stand]:
    async with user_standing(postgres) as it:
        yield it


async def sessions(person: Person, **fields: Any) -> session_pb2.ListSessionsResponse:
    request = session_pb2.ListSessionsRequest(parent="users/me", **fields)
    answer: session_pb2.ListSessionsResponse = await person.call("ListSessions", request)
    return answer


async def end(person: Person, name: str) -> None:
    await person.call("EndSession", session_pb2.EndSessionRequest(name=name))


async def test_one_sees_where_one_is_signed_in_newest_first_page_by_page(stand: Stand) -> None:
    ann = await stand.somebody()
    others = [ann.elsewhere(f"198.51.100.{number}") for number in range(3)]
    for other in others:
        await other.login()
    first = await sessions(ann, page_size=3)
    await ann.elsewhere("203.0.113.9").login()  # pages are stable while sessions are added
    rest = await sessions(ann, page_size=3, page_token=first.next_page_token)
    seen = [*first.sessions, *rest.sessions]
    assert [each.address for each in seen] == [
        *(it.address for it in reversed(others)),
        ann.address,
    ]
    assert [each.current for each in seen] == [False, False, False, True]
    assert all(each.user_agent.startswith("grpc-python-asyncio") for each in seen)
    assert not rest.next_page_token
    assert (await refused(sessions(ann, page_token="x")))[0] == "PAGE_TOKEN_INVALID"


async def test_an_ended_session_is_over_for_both_of_its_tokens(stand: Stand) -> None:
    ann = await stand.somebody()
    phone = ann.elsewhere()
    await phone.login()
    (there,) = [each for each in (await sessions(ann)).sessions if not each.current]
    await end(ann, there.name)
    await end(ann, there.name)  # repeatable
    again = user_pb2.RefreshRequest(refresh_token=phone.refresh_token)
    assert (await refused(phone.call("Refresh", again)))[0] == "REFRESH_TOKEN_INVALID"
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await refused(_keep_asking(phone)))[0] == "SESSION_ENDED"
    assert len((await sessions(ann)).sessions) == 1


async def test_only_ones_own_sessions_can_be_ended(stand: Stand) -> None:
    ann, bob = await stand.somebody(), await stand.somebody()
    (bobs,) = (await sessions(bob)).sessions
    assert (await refused(end(ann, bobs.name)))[0] == "NOT_YOURS"
    mine = f"users/me/sessions/{bobs.name.rpartition('/')[2]}"
    assert (await refused(end(ann, mine)))[0] == "SESSION_NOT_FOUND"
    assert (await refused(end(ann, f"users/me/sessions/{uuid4()}")))[0] == "SESSION_NOT_FOUND"
    assert (await refused(end(ann, f"users/me/sessions/{'-' * 36}")))[0] == "SESSION_NOT_FOUND"
    theirs = session_pb2.ListSessionsRequest(parent=bob.name)
    assert (await refused(ann.call("ListSessions", theirs)))[0] == "NOT_YOURS"
    assert len((await sessions(bob)).sessions) == 1


async def test_all_sessions_end_with_or_without_the_one_that_asks(stand: Stand) -> None:
    ann = await stand.somebody()
    for _ in range(2):
        await ann.elsewhere().login()
    keeping = session_pb2.EndAllSessionsRequest(parent=ann.name, keep_current=True)
    assert (await ann.call("EndAllSessions", keeping)).ended_count == 2
    assert [each.current for each in (await sessions(ann)).sessions] == [True]
    everywhere = session_pb2.EndAllSessionsRequest(parent="users/me")
    assert (await ann.call("EndAllSessions", everywhere)).ended_count == 1
    again = user_pb2.RefreshRequest(refresh_token=ann.refresh_token)
    assert (await refused(ann.call("Refresh", again)))[0] == "REFRESH_TOKEN_INVALID"


async def test_services_hear_of_sessions_that_end_however_they_do(stand: Stand) -> None:
    ann = await stand.somebody()
    phone = ann.elsewhere()
    await phone.login()
    async with keys.verifying(stand.channel) as verifier:
        user = await verifier.verify(ann.access_token)
        await verifier.verify(phone.access_token)
        await phone.call("Logout", user_pb2.LogoutRequest(refresh_token=phone.refresh_token))
        with pytest.raises(SessionEnded):
            await _until_refused(verifier, phone.access_token)
        assert await verifier.verify(ann.access_token) == user
        async with db.connected(stand.database_url, MIGRATIONS) as opened, opened.begin() as it:
            where = {"id": UUID(user.user_id)}
            await it.execute(text("DELETE FROM users WHERE id = :id"), where)
        with pytest.raises(SessionEnded):
            await _until_refused(verifier, ann.access_token)


async def test_who_begins_to_listen_late_hears_of_all_that_matters(stand: Stand) -> None:
    ann = await stand.somebody()
    await ann.call("EndAllSessions", session_pb2.EndAllSessionsRequest(parent="users/me"))
    async with keys.verifying(stand.channel) as verifier:
        with pytest.raises(SessionEnded):
            await _until_refused(verifier, ann.access_token)


async def test_nobody_outside_is_told_whose_sessions_end(stand: Stand) -> None:
    ann = await stand.somebody()
    request = session_pb2.ListEndedSessionsRequest(page_token="x")
    stub: Any = session_pb2_grpc.RevocationServiceStub(stand.channel)
    assert (await refused(stub.ListEndedSessions(request)))[0] == "PAGE_TOKEN_INVALID"
    async with grpc.aio.insecure_channel(stand.target) as outside:
        stranger: Any = session_pb2_grpc.RevocationServiceStub(outside)
        refusal = await refused(stranger.ListEndedSessions(request, metadata=ann.metadata))
        assert refusal[0] == "UNAUTHENTICATED"


async def test_what_ends_is_told_in_pages_without_gaps_also_amid_transactions(
    stand: Stand,
) -> None:
    people = [await stand.somebody() for _ in range(4)]
    async with db.connected(stand.database_url, MIGRATIONS) as opened:
        store = SessionStore(opened, timedelta(minutes=15))
        before = (await store.ended_since("")).token
        async with opened.begin() as slow:  # deletes first, and is committed last
            await slow.execute(_ended(people[0]))
            async with opened.begin() as quick:
                await quick.execute(_ended(people[1], people[2], people[3]))
            heard, token = await _all_news(store, before, 2)
            assert heard == {it.name for it in people[1:]}
        heard, token = await _all_news(store, token, 2)
        assert people[0].name in heard
        assert (await _all_news(store, token, 2))[0] == set()


async def test_an_account_has_a_hundred_sessions_at_most(stand: Stand) -> None:
    ann = await stand.somebody()
    many = "INSERT INTO sessions SELECT gen_random_uuid(), user_id, secret_hash, create_time, expire_time, '', '', refresh_time + n * interval '1 s' FROM sessions, generate_series(1, :n) AS n WHERE user_id = :user"
    async with db.connected(stand.database_url, MIGRATIONS) as opened, opened.begin() as it:
        await it.execute(
            text(many), {"n": MAX_SESSIONS - 1, "user": ann.name.removeprefix("users/")}
        )
    await ann.elsewhere().login()
    again = user_pb2.RefreshRequest(refresh_token=ann.refresh_token)
    assert (await refused(ann.call("Refresh", again)))[0] == "REFRESH_TOKEN_INVALID"


async def _keep_asking(person: Person) -> None:
    while True:
        await sessions(person)
        await asyncio.sleep(0.05)


async def _until_refused(verifier: Any, token: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await verifier.verify(token)
            await asyncio.sleep(0.05)


async def _all_news(store: SessionStore, token: str, limit: int) -> tuple[set[str], str]:
    """Gives whose sessions have ended since a token, by names, and the token for the next time."""
    heard: set[str] = set()
    while True:
        news = await store.ended_since(token, limit)
        heard |= {each.session_id for each in news.ended}
        token = news.token
        if not news.more:
            return {_OWNERS[each] for each in heard}, token


_OWNERS: dict[str, str] = {}


def _ended(*people: Person) -> Any:
    ids = []
    for person in people:
        claims = jwt.decode(person.access_token, options={"verify_signature": False})
        _OWNERS[claims["sid"]] = person.name
        ids.append(UUID(claims["sid"]))
    return delete(SessionRow).where(SessionRow.id.in_(ids))
