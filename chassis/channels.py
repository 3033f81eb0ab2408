"""Channels to other services: through the mesh, or straight to one address.

Every call carries this service's token, the id of the request that it serves, and a deadline: what remains of the
caller's own, and for calls with one answer never more than the channel's default.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from chassis import logs
from chassis.auth import SERVICE_TOKEN_METADATA, ServiceIdentity
from chassis.calls import REQUEST_ID_METADATA, TRACEPARENT_METADATA, deadline
from chassis.config import ServiceConfig
from chassis.errors import DomainError, Unavailable

UNARY_TIMEOUT_SECONDS = 5.0
MESSAGE_LIMIT = 4 * 1024 * 1024

OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)


@asynccontextmanager
async def mesh(config: ServiceConfig, identity: ServiceIdentity) -> AsyncIterator[grpc.aio.Channel]:
    """Open the channel on which every other service can be called, through Envoy."""
    async with direct(config.mesh, identity) as channel:
        yield channel


@asynccontextmanager
async def direct(
    address: str, identity: ServiceIdentity, timeout: float = UNARY_TIMEOUT_SECONDS
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to one address (`host:port`); `timeout` in seconds is for calls with one answer."""
    channel = grpc.aio.insecure_channel(
        address, OPTIONS, interceptors=_interceptors(identity, timeout)
    )
    try:
        yield channel
    finally:
        await channel.close()


def status(error: grpc.aio.AioRpcError) -> Status | None:
    """Read the google.rpc.Status that a peer sent with its error; None if it sent none that can be read."""
    try:
        found: Status | None = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has all it reads
    except ValueError:
        return None
    return found


def reason(error: grpc.aio.AioRpcError) -> str:
    """Read the reason (ErrorInfo) of a peer's error; empty if it gave none."""
    if (found := status(error)) is not None:
        for detail in found.details:
            info = ErrorInfo()
            if detail.Unpack(info):
                return str(info.reason)
    return ""


class Relayed(DomainError):
    """What another service answered, passed on as it is."""

    reason = "RELAYED"
    message = "Another service refused."

    def __init__(self, status: Status, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(text=status.message)
        self.status = status
        self.code = code  # type: ignore[misc]  # the peer's own, not this class's
        self.reason = reason  # type: ignore[misc]


def relayed(error: grpc.aio.AioRpcError) -> DomainError:
    """Turn a peer's error into one for the caller: the peer's own, or Unavailable where it gave none."""
    found = status(error)
    if found is None:
        return Unavailable()
    return Relayed(found, error.code(), reason(error))


Amend = Callable[[grpc.aio.ClientCallDetails, bool], grpc.aio.ClientCallDetails]


def _interceptors(identity: ServiceIdentity, timeout: float) -> list[grpc.aio.ClientInterceptor]:
    def amend(details: grpc.aio.ClientCallDetails, unary: bool) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata[SERVICE_TOKEN_METADATA] = identity.service_token()
        if identifier := logs.request_id.get():
            metadata[REQUEST_ID_METADATA] = identifier
        if trace := logs.traceparent.get():
            metadata[TRACEPARENT_METADATA] = trace
        return grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=_timeout(details.timeout, unary),
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    def _timeout(asked: float | None, unary: bool) -> float | None:
        limits = [asked if asked is not None or not unary else timeout]
        if unary and (due := deadline.get()) is not None:
            limits.append(max(0.001, due - time.monotonic()))
        return min((limit for limit in limits if limit is not None), default=None)

    return [_UnaryUnary(amend), _UnaryStream(amend), _StreamUnary(amend), _StreamStream(amend)]


class _Interceptor:
    def __init__(self, amend: Amend) -> None:
        self._amend = amend


class _UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._amend(client_call_details, True), request)


class _UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._amend(client_call_details, False), request)


class _StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._amend(client_call_details, True), request_iterator)


class _StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._amend(client_call_details, False), request_iterator)


__all__ = ["MESSAGE_LIMIT", "OPTIONS", "Relayed", "direct", "mesh", "reason", "relayed", "status"]
