"""Every public method of the contracts is there: built, or saying that it is not, but never a bare proxy's answer."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from parley.options.v1.options_pb2 import Access

from chassis import channels
from stack.rest import Method, described, methods
from tests.rest import client, sign_up
from tests.running_stack import RunningStack

PUBLIC = [
    method
    for method in methods(described())
    if method.access in (Access.ACCESS_PUBLIC, Access.ACCESS_USER) and not method.streaming
]


@pytest.fixture(scope="module")
def token(stack: RunningStack) -> str:
    with client(stack) as http:
        return sign_up(http).access_token


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.path)
def test_a_method_answers_or_says_why_not(stack: RunningStack, token: str, method: Method) -> None:
    with grpc.insecure_channel(stack.grpc_target) as channel:
        send: Any = channel.unary_unary(method.path)
        try:
            send(b"", metadata=[("authorization", f"Bearer {token}")], timeout=30)
        except grpc.RpcError as error:
            refused: Any = error
            assert channels.reason(refused), (refused.code(), refused.details())
            assert refused.code() not in (
                grpc.StatusCode.UNAUTHENTICATED,
                grpc.StatusCode.INTERNAL,
                grpc.StatusCode.UNKNOWN,
            )
