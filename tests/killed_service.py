"""A service as a process that can be killed, and a way to it on which replies can be withheld."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from tests.servers import free_port
from tests.signaling_stand import until_well

PATIENCE_SECONDS = 20


class Way:
    """Carries TCP connections to a port, and nothing back while it is `withholding`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._answers = asyncio.Event()
        self._answers.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def withhold(self) -> None:
        self._answers.clear()

    def cut(self) -> None:
        """Break all connections; what was withheld is lost."""
        for writer in self._writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, until either end breaks it."""
        back, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, there]
        returning = asyncio.create_task(self._pump(back, writer, self._answers))
        try:
            await self._pump(reader, there)
        finally:
            returning.cancel()
            await asyncio.wait([returning])
            for each in (writer, there):
                each.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event | None = None,
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if gate is not None:
                    await gate.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass


@asynccontextmanager
async def way_to(port: int) -> AsyncIterator[Way]:
    """Open a way to a port of this machine."""
    way = Way(port)
    async with await asyncio.start_server(way.carry, "127.0.0.1", 0) as server:
        way.port = server.sockets[0].getsockname()[1]
        try:
            yield way
        finally:
            way.cut()


@asynccontextmanager
async def process_of(
    service: str, url: str, identities: Path, mesh: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run `python -m services.<service>` on a database; yields it and its port."""
    port = free_port()
    values = {
        "listen": f"127.0.0.1:{port}",
        "metrics_listen": "127.0.0.1:0",
        "mesh": mesh,
        "service_key": str(identities / f"{service}.key"),
        "trust": str(identities / "trust.jwks"),
        "database_url": url,
    }
    environment = {f"PARLEY_{name.upper()}": value for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{service}",
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_well(f"127.0.0.1:{port}")
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def rows(url: str, query: str) -> list[str]:
    """Wait until a query of one column finds something; returns it."""
    async with (
        await psycopg.AsyncConnection.connect(url.replace("+psycopg", ""), autocommit=True) as it,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        while not (found := await (await it.execute(query.encode())).fetchall()):  # noqa: ASYNC110  # a table does not tell of changes
            await asyncio.sleep(0.02)
    return [str(value) for (value,) in found]


__all__ = ["Way", "process_of", "rows", "way_to"]
