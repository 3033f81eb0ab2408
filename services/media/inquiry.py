"""Asking the meeting service what is to be analysed: when a room begins here, and again now and then.

Changes are told by RoomService.SetAnalysis. One that got lost (a process died between keeping it and telling it) is
found by asking again: somebody may have taken their consent back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import grpc
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis import logs
from chassis.stopping import stop
from services.media.analysis import Analysis, analysis

AGAIN_SECONDS = 30.0
RETRY_MIN_SECONDS = 0.5
RETRY_MAX_SECONDS = 15.0
TIMEOUT_SECONDS = 2.0
AT_ONCE = 16

log = logs.get("media.inquiry")

Hear = Callable[[Analysis], None]
"""Gets what is to be analysed in a room."""


class Inquiry:
    """Asks for all rooms of this worker."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._stub: transcript_pb2_grpc.CaptionServiceAsyncStub = (
            transcript_pb2_grpc.CaptionServiceStub(mesh)
        )
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asking: dict[str, asyncio.Task[None]] = {}

    def begin(self, room: str, hear: Hear) -> None:
        """Ask for a room, until `end`."""
        self.end(room)
        self._asking[room] = asyncio.create_task(self._keep_asking(room, hear))

    def end(self, room: str) -> None:
        """Ask for a room no more."""
        if (task := self._asking.pop(room, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Ask no more."""
        await stop(*self._asking.values())
        self._asking.clear()

    async def _keep_asking(self, room: str, hear: Hear) -> None:
        delay = RETRY_MIN_SECONDS
        while True:
            async with self._turns:
                found = await self._ask(room)
            if found is None:
                wait, delay = delay, min(2 * delay, RETRY_MAX_SECONDS)
            else:
                hear(found)
                wait, delay = AGAIN_SECONDS, RETRY_MIN_SECONDS
            await asyncio.sleep(wait * (0.75 + random.random() / 2))  # noqa: S311  # no secret

    async def _ask(self, room: str) -> Analysis | None:
        """Ask once; None: nobody knows, or one that knows nothing of analyses."""
        request = transcript_pb2.GetAnalysisRequest(meeting=room)
        try:
            return analysis(await self._stub.GetAnalysis(request, timeout=TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            log.info("not known what to analyse", room=room, code=error.code().name)
            return None


__all__ = ["Inquiry"]
