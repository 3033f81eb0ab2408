"""Whether something answers: gRPC health, and plain HTTP."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from typing import Any

# Read when grpc is imported: its fork handlers are in the way of who only forks to exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 2.0


async def grpc_serving(address: str) -> bool:
    """Tell whether the server at `host:port` says of itself that it is SERVING."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def http_ok(url: str) -> bool:
    """Tell whether a GET of `url` is answered with 200."""

    def get() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return await asyncio.to_thread(get)


def text(url: str) -> str:
    """Get what `url` says; nothing when it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""


__all__ = ["grpc_serving", "http_ok", "text"]
