"""What the services have for one another: each service calls what is for it through the mesh, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from parley.options.v1.options_pb2 import Access

from chassis.auth import SERVICE_TOKEN_METADATA
from stack.rest import Method, described, methods
from stack.state import State
from tests.identities import SERVICES, identity_in
from tests.running_stack import RunningStack

INTERNAL = [each for each in methods(described()) if each.access == Access.ACCESS_SERVICE]


@pytest.fixture(scope="module")
def mesh(stack: RunningStack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{stack.layout.port('envoy', 'mesh')}") as channel:
        yield channel


def refusal(mesh: grpc.Channel, method: Method, token: str) -> grpc.StatusCode | None:
    """Call a method with nothing in its request; returns how that was refused, if it was."""
    metadata = [(SERVICE_TOKEN_METADATA, token)]
    try:
        if method.streaming:
            stream: Any = mesh.stream_stream(method.path)
            next(stream(iter([b""]), metadata=metadata, timeout=30), None)
        else:
            send: Any = mesh.unary_unary(method.path)
            send(b"", metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        refused: Any = error
        return refused.code()  # type: ignore[no-any-return]
    return None


@pytest.mark.parametrize("method", INTERNAL, ids=lambda method: method.path)
def test_a_method_is_for_its_callers_alone(
    stack: RunningStack, mesh: grpc.Channel, method: Method
) -> None:
    for service in SERVICES:
        identity = identity_in(State(stack.state).secrets, service)
        refused = refusal(mesh, method, identity.service_token())
        if service in method.callers:
            outside = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
            assert refused not in outside, service
        else:
            assert refused is grpc.StatusCode.PERMISSION_DENIED, service
    assert refusal(mesh, method, "") is grpc.StatusCode.UNAUTHENTICATED
