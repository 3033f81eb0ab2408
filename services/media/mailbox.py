"""What is to be said to another worker, in order and bounded.

A data channel's messages are dropped, and counted, when the other worker is slow to take them; when even what tells of
tracks finds no place, the conversation is over, since nothing of that may be missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from parley.media.v1.relay_pb2 import RelayMessage

from services.media.data import dropped

MAX_WAITING = 20_000
MAX_DATA_WAITING = 1_000


class Mailbox:
    """Messages that wait; iterating over it takes them, until it is closed. `on_overflow` hears that it is full."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.on_overflow: Callable[[], None] = lambda: None
        self._waiting: deque[RelayMessage] = deque()
        self._more = asyncio.Event()

    def put(self, message: RelayMessage) -> None:
        """Have a message said."""
        if message.HasField("data") and len(self._waiting) >= MAX_DATA_WAITING:
            dropped.labels("relay").inc()
        elif len(self._waiting) >= MAX_WAITING:
            self.on_overflow()
        else:
            self._waiting.append(message)
            self._more.set()

    def close(self) -> None:
        """Say nothing more."""
        self.closed.set()
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[RelayMessage]:
        while not self.closed.is_set():
            while self._waiting and not self.closed.is_set():
                yield self._waiting.popleft()
            self._more.clear()
            if not self._waiting and not self.closed.is_set():
                await self._more.wait()


__all__ = ["Mailbox"]
