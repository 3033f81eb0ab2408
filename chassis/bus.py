"""Redis: one bounded pool per process, with time-outs; a Redis that is away is `Unavailable`, not a crash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from chassis.errors import Unavailable

POOL_SIZE = 64
TIMEOUT_SECONDS = 5.0


@asynccontextmanager
async def connected(url: str, pool_size: int = POOL_SIZE) -> AsyncIterator[Redis]:
    """Open a client that answers in bytes. It connects when first used, and again after every loss."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=2.0,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=3),
        decode_responses=False,
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.aclose()


async def ping(client: Redis) -> None:
    """Return if Redis answers. Raises Unavailable."""
    with reachable():
        await client.ping()


@contextmanager
def reachable() -> Iterator[None]:
    """Turn a lost or slow Redis within the block into Unavailable."""
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise Unavailable(text="The message store is away: try again.") from error


__all__ = ["POOL_SIZE", "connected", "ping", "reachable"]
