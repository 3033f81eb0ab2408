"""One connection of a conversation: SignalingService.Connect, with the pings by which each side knows that the other is there."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import grpc
from google.protobuf.duration_pb2 import Duration
from parley.client._errors import ParleyError, from_call
from parley.signaling.v1.signaling_pb2 import ClientMessage, Ping, ServerMessage
from parley.signaling.v1.signaling_pb2_grpc import SignalingServiceStub

PING_SECONDS = 3.0
PROMISE_SECONDS = 8
"""Who has said nothing for so long is taken to have vanished, and is gone for the others within 15 seconds."""
SILENCE_SECONDS = 25.0
"""A server that has said nothing for so long is not there any more, whatever TCP says."""

_PING = ClientMessage(ping=Ping(next_within=Duration(seconds=PROMISE_SECONDS)))


class Connection:
    """A stream that `open` begins. `read` is for one reader; anyone may `say`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stream = SignalingServiceStub(channel).Connect()
        self._reading: asyncio.Task[object] | None = None
        self._writing = asyncio.Lock()
        self._ping_at = self._heard_at = time.monotonic()

    async def open(self, opening: ClientMessage) -> None:
        """Say the first message; `read` pings at once, since nothing is promised before. Raises ParleyError."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self.say(opening)
        except TimeoutError:
            raise _silent() from None
        self._ping_at = self._heard_at = time.monotonic()

    async def say(self, message: ClientMessage) -> None:
        """Say a message. What is said on a connection that has ended is lost: `read` tells of the end."""
        async with self._writing:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._stream.write(message)

    async def read(self) -> ServerMessage | None:
        """Wait for what the server says next, and ping meanwhile; None when it has hung up. Raises ParleyError."""
        self._reading = asyncio.ensure_future(self._stream.read())
        while True:
            now = time.monotonic()
            if now - self._heard_at >= SILENCE_SECONDS:
                raise _silent()
            if now >= self._ping_at:
                self._ping_at = now + PING_SECONDS
                await self.say(_PING)
            done, _ = await asyncio.wait({self._reading}, timeout=self._ping_at - now)
            if done:
                break
        self._heard_at = time.monotonic()
        try:
            message = self._reading.result()
        except grpc.aio.AioRpcError as broken:
            raise from_call(broken) from None
        return message if isinstance(message, ServerMessage) else None

    async def close(self) -> None:
        """Hang up."""
        self._stream.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
            if not self._reading.cancelled():
                self._reading.exception()


def _silent() -> ParleyError:
    return ParleyError(grpc.StatusCode.UNAVAILABLE, "The server has gone silent.")


__all__ = ["Connection"]
