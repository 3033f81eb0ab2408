"""Each worker watches one other, so that a process that ends without a word is missed at once and not a lease later.

The next by id, and around: a connection to its gRPC port is held open and nothing said. When it breaks and the port
refuses another, nobody is there any more: the lease is ended, and the next beat finds the rooms. All else that may be
wrong (a machine or a network that is gone, a process that stands still) says nothing; for that there are leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import redis.exceptions

from chassis import logs
from services.media.placement import Node, Placement

LOOK_SECONDS = 1.0
"""How often is looked whose turn it is to be watched, while nothing happens."""
CONNECT_SECONDS = 1.0

log = logs.get("media.neighbour")


class Neighbour:
    """Watches the next worker. `on_gone` is called when it is not there any more."""

    def __init__(self, placement: Placement, on_gone: Callable[[], None]) -> None:
        self._placement = placement
        self._on_gone = on_gone
        self._buried: set[str] = set()

    async def run(self) -> None:
        """Watch, until cancelled."""
        while True:
            try:
                if (node := await self._next()) is not None:
                    await self._watch(node)
            except (redis.exceptions.RedisError, OSError) as error:
                log.info("not watching", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS / 10)

    async def _next(self) -> Node | None:
        """Find who is to be watched; None when this worker is alone."""
        others = [n for n in await self._placement.nodes() if n.id != self._placement.node_id]
        return min(others, key=lambda n: (n.id < self._placement.node_id, n.id), default=None)

    async def _watch(self, node: Node) -> None:
        """Stay with a worker until it is gone, or another's turn."""
        async with _connected(node) as reader:
            while await self._is_there(reader):
                if not await self._is_next(node):
                    return
        try:
            async with _connected(node):
                return
        except ConnectionRefusedError:
            await self._bury(node)

    async def _is_next(self, node: Node) -> bool:
        found = await self._next()
        return found is not None and (found.id, found.incarnation) == (node.id, node.incarnation)

    async def _is_there(self, reader: asyncio.StreamReader) -> bool:
        """Read on for a while; False when the connection breaks. What is said is of no interest."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                while await reader.read(1024):
                    pass
        except TimeoutError:
            return True
        except OSError:
            return False
        return False

    async def _bury(self, node: Node) -> None:
        """End the lease of a worker that is gone: once, for one that goes on beating is there."""
        if node.incarnation not in self._buried and await self._placement.bury(node):
            self._buried = {node.incarnation}
            log.warning("worker is gone", node=node.id)
            self._on_gone()


@asynccontextmanager
async def _connected(node: Node) -> AsyncIterator[asyncio.StreamReader]:
    host, _, port = node.address.rpartition(":")
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        yield reader
    finally:
        writer.transport.abort()


__all__ = ["Neighbour"]
