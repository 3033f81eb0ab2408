"""How a service verifies user access tokens: by what the user service tells it, through the mesh.

It asks for the keys that sign them when it meets one that it does not know, and, all the time, for sessions that have
ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC

import grpc
import jwt
from google.protobuf.json_format import MessageToDict
from parley.user.v1 import session_pb2, session_pb2_grpc, user_pb2, user_pb2_grpc

from chassis.auth import ALGORITHM, KeySource, UserTokenVerifier
from chassis.channels import relayed
from chassis.errors import Unavailable
from chassis.revocations import EndedSession, EndedSessions, News, Source
from chassis.stopping import stop

TIMEOUT_SECONDS = 2.0


@asynccontextmanager
async def verifying(mesh: grpc.aio.Channel) -> AsyncIterator[UserTokenVerifier]:
    """Give a verifier that hears of new keys and of ended sessions as long as the block lasts."""
    ended = EndedSessions()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(ended.follow(ended_sessions(mesh)))
        try:
            yield UserTokenVerifier(published_keys(mesh), ended=ended)
        finally:
            await stop(following)


def published_keys(mesh: grpc.aio.Channel) -> KeySource:
    """Make a key source that asks `AuthService.GetJsonWebKeySet`. The source raises Unavailable."""
    stub = user_pb2_grpc.AuthServiceStub(mesh)

    async def fetch() -> Mapping[str, jwt.PyJWK]:
        try:
            published = await stub.GetJsonWebKeySet(user_pb2.GetJsonWebKeySetRequest())
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                text="The keys that verify tokens can't be had: try again."
            ) from error
        return {key.kid: jwt.PyJWK(MessageToDict(key), ALGORITHM) for key in published.keys}

    return fetch


def ended_sessions(mesh: grpc.aio.Channel) -> Source:
    """Make a source that asks `RevocationService.ListEndedSessions`. It raises what the user service answers."""
    stub = session_pb2_grpc.RevocationServiceStub(mesh)

    async def fetch(token: str) -> News:
        request = session_pb2.ListEndedSessionsRequest(page_token=token)
        try:
            answer = await stub.ListEndedSessions(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error
        ended = [
            EndedSession(each.session_id, each.expire_time.ToDatetime(UTC).timestamp())
            for each in answer.ended_sessions
        ]
        return News(ended, answer.next_page_token, answer.more)

    return fetch


__all__ = ["ended_sessions", "published_keys", "verifying"]
