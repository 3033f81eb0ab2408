"""What rooms have to tell another service: in order, bounded, tried again while that service is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import grpc
from prometheus_client import Counter

from chassis import logs

BATCH = 64
RETRY_MIN_SECONDS = 0.2
HOLD_SECONDS = 0.05

log = logs.get("media.backlog")

TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """Holds what all rooms of this worker tell until `send` is done with it, up to 64 items of one room at a time.

    What `send` raises of gRPC's is tried again after 0.2 s, then ever more slowly up to `retry_seconds`, as long as the
    service is away and there is room for what comes meanwhile. `limit` items may wait; when there are more the oldest
    are lost. `lost` counts. While `is_held` says so all wait.
    """

    def __init__(
        self,
        send: Callable[[str, list[Item]], Awaitable[object]],
        lost: Counter,
        limit: int,
        retry_seconds: float = RETRY_MIN_SECONDS,
    ) -> None:
        self.is_held: Callable[[], bool] = lambda: False
        self._send = send
        self._lost = lost
        self._limit = limit
        self._retry_seconds = retry_seconds
        self._waiting: deque[tuple[str, Item]] = deque()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, room: str, item: Item) -> None:
        """Have an item of a room sent."""
        if len(self) >= self._limit:
            self._waiting.popleft()
            self._lost.inc()
        self._waiting.append((room, item))
        self._idle.clear()
        self._more.set()

    def forget(self, room: str) -> None:
        """Leave unsent what waits of a room."""
        self._waiting = deque(item for item in self._waiting if item[0] != room)

    async def run(self) -> None:
        """Send what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                if self.is_held():
                    await asyncio.sleep(HOLD_SECONDS)
                else:
                    await self._deliver(*self._next())
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until nothing waits, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("left unsent", to=self._send.__qualname__, count=len(self))

    def _next(self) -> tuple[str, list[Item]]:
        """Take the next items of one room."""
        room = self._waiting[0][0]
        items: list[Item] = []
        while self._waiting and self._waiting[0][0] == room and len(items) < BATCH:
            items.append(self._waiting.popleft()[1])
        return room, items

    async def _deliver(self, room: str, items: list[Item]) -> None:
        delay = RETRY_MIN_SECONDS
        while True:
            try:
                await self._send(room, items)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code not in TRANSIENT or len(self) > self._limit // 2:
                    self._lost.inc(len(items))
                    log.warning("lost", code=code.name, room=room, count=len(items))
                    return
                await asyncio.sleep(delay)
                delay = min(2 * delay, self._retry_seconds)
            else:
                return


__all__ = ["TRANSIENT", "Backlog"]
