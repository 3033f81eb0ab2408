"""RelayService: another worker joins this one, with which it shares rooms."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from parley.media.v1 import relay_pb2_grpc
from parley.media.v1.relay_pb2 import RelayMessage

from services.media.cascade import Cascade


class RelayServicer(relay_pb2_grpc.RelayServiceServicer):
    """Joins two workers."""

    def __init__(self, cascade: Cascade) -> None:
        self._cascade = cascade

    async def Connect(
        self, request_iterator: AsyncIterator[RelayMessage], context: Any
    ) -> AsyncGenerator[RelayMessage]:
        """Let another worker in."""
        async with aclosing(self._cascade.accept(request_iterator)) as said:
            async for message in said:
                yield message
