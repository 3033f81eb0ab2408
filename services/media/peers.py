"""The other media workers, as this one speaks to them: a call for a room that lives there is passed on."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AsyncExitStack

import grpc
from parley.media.v1 import media_pb2_grpc, node_pb2_grpc

from chassis import channels
from chassis.auth import ServiceIdentity

MAX_CHANNELS = 64
FORWARDED_METADATA = "x-parley-forwarded"
OLD_PATH_METADATA = "x-parley-old-path"
"""Marks a call that is for the paths which a room that has moved on has left here."""
PART_METADATA = "x-parley-part"
"""Marks a call that is for the part of a room that is here alone."""


class Workers:
    """Channels to other workers, by address; those least used are closed."""

    def __init__(self, identity: ServiceIdentity) -> None:
        self._identity = identity
        self._open: OrderedDict[str, tuple[AsyncExitStack, grpc.aio.Channel]] = OrderedDict()

    async def rooms(self, address: str) -> media_pb2_grpc.RoomServiceAsyncStub:
        """Get the RoomService of the worker at `host:port`."""
        stub: media_pb2_grpc.RoomServiceAsyncStub = media_pb2_grpc.RoomServiceStub(
            await self._channel(address)
        )
        return stub

    async def nodes(self, address: str) -> node_pb2_grpc.NodeServiceAsyncStub:
        """Get the NodeService of the worker at `host:port`."""
        stub: node_pb2_grpc.NodeServiceAsyncStub = node_pb2_grpc.NodeServiceStub(
            await self._channel(address)
        )
        return stub

    async def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._open:
            stack = AsyncExitStack()
            channel = await stack.enter_async_context(channels.direct(address, self._identity))
            self._open[address] = (stack, channel)
            if len(self._open) > MAX_CHANNELS:
                _, (oldest, _) = self._open.popitem(last=False)
                await oldest.aclose()
        self._open.move_to_end(address)
        return self._open[address][1]

    async def close(self) -> None:
        """Close all channels."""
        for stack, _ in self._open.values():
            await stack.aclose()
        self._open.clear()


__all__ = ["FORWARDED_METADATA", "OLD_PATH_METADATA", "PART_METADATA", "Workers"]
