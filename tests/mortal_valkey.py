"""A Valkey of a test's own, that can be killed, and forget the end of what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis.asyncio
import redis.exceptions

from stack import valkey as valkey_server
from tests.servers import free_port

PASSWORD = "secret"


class MortalValkey:
    """It keeps its append-only file, as the stack's does."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = valkey_server.url(port, PASSWORD)
        self._folder = folder
        self._command = valkey_server.unit(folder, folder, port, PASSWORD).command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            *map(str, self._command), stdout=asyncio.subprocess.DEVNULL
        )
        async with redis.asyncio.Redis.from_url(self.url) as client:
            while True:
                try:
                    await client.ping()
                except redis.exceptions.RedisError:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def kill(self) -> None:
        """Have it die at once."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def written(self) -> int:
        """Tell how long its append-only file is."""
        return self._file().stat().st_size

    def forget_after(self, size: int) -> None:
        """Cut its append-only file, as a crash of the machine before fsync does."""
        with self._file().open("r+b") as file:
            file.truncate(size)

    def _file(self) -> Path:
        return next((self._folder / "valkey" / "appendonlydir").glob("*.incr.aof"))


@asynccontextmanager
async def mortal_valkey(folder: Path) -> AsyncIterator[MortalValkey]:
    """Run one as long as the block."""
    server = MortalValkey(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
