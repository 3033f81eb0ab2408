"""Where a service gets the keys that sign user access tokens: from the user service, through the mesh."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import jwt
from google.protobuf.json_format import MessageToDict
from parley.user.v1 import user_pb2, user_pb2_grpc

from chassis.auth import ALGORITHM, KeySource
from chassis.errors import Unavailable


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


__all__ = ["published_keys"]
