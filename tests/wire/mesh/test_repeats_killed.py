"""A service that is killed after its commit and before its reply answers the repeat, once it is back, as it would have.

The service is the process that `./parley up` runs; it is killed by SIGKILL, once Postgres has the row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.user.v1 import user_pb2_grpc

from tests.conftest import DatabaseFactory
from tests.credential_stand import PASSWORD
from tests.identities import as_callers, make_identities
from tests.killed_service import process_of, rows, way_to
from tests.lost_replies import repeatable
from tests.user_keys import Keys, credentials

ASKED = (
    (
        "meeting",
        "MeetingService.CreateMeeting",
        {"meeting": {"title": "Once"}},
        "SELECT 'meetings/' || code FROM meetings",
    ),
    (
        "user",
        "AuthService.Register",
        {"username": "ann", "email": "ann@example.org", "password": PASSWORD},
        "SELECT 'users/' || id FROM users",
    ),
)
"""Of a service, a method, what it is asked, and where the name of what it makes is read."""


@pytest.fixture
def signing() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
async def mesh(signing: Ed25519PrivateKey) -> AsyncIterator[str]:
    """The neighbours, of whom one is there: who publishes the key of callers' tokens."""
    server = grpc.aio.server()
    user_pb2_grpc.add_AuthServiceServicer_to_server(Keys(signing), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.parametrize(("service", "name", "asked", "query"), ASKED, ids=[it[1] for it in ASKED])
async def test_who_asks_again_after_the_process_died_gets_the_first_answer(
    database: DatabaseFactory,
    tmp_path: Path,
    signing: Ed25519PrivateKey,
    mesh: str,
    service: str,
    name: str,
    asked: dict[str, Any],
    query: str,
) -> None:
    url, identities = database(service), make_identities(tmp_path)
    method = repeatable(f"parley.{service}.v1")[name]
    request = method.request(**asked, request_id=str(uuid4()))
    metadata = credentials(signing) if service == "meeting" else None
    async with (
        process_of(service, url, identities, mesh) as (process, port),
        way_to(port) as way,
        as_callers(f"127.0.0.1:{way.port}", identities) as channel,
    ):
        await channel.channel_ready()
        way.withhold()
        call = asyncio.create_task(method.call(channel, request, metadata))
        (made,) = await rows(url, query)
        process.kill()
        await process.wait()
        assert not call.done(), "no reply has come"
        way.cut()
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await call
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    async with (
        process_of(service, url, identities, mesh) as (_, port),
        as_callers(f"127.0.0.1:{port}", identities) as channel,
    ):
        answer = await method.call(channel, request, metadata)
        assert (answer.user.name if service == "user" else answer.name) == made
        assert await method.call(channel, request, metadata) == answer
    assert await rows(url, query) == [made]
