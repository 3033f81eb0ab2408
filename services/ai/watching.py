"""One stream's pictures: the newest is read, those that come meanwhile take the place of one another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor

from parley.ai.v1 import ai_pb2

from chassis import telemetry
from services.ai.faces import pictures
from services.ai.faces.reading import Face, FaceReader, Smoother

_frames = telemetry.counter("ai_frames", "Pictures of live streams in which faces were looked for.")
_left_out = telemetry.counter(
    "ai_frames_left_out", "Pictures of live streams that a newer one replaced."
)

Tell = Callable[[Sequence[Face], float], Awaitable[None]]
"""Is told the faces of a picture and where it stands on the track's clock, in seconds."""


class Watcher:
    """Reads the faces of one stream in an executor, and smooths what they show. `run` does the work."""

    def __init__(self, reader: FaceReader, executor: Executor, tell: Tell) -> None:
        self._reader = reader
        self._executor = executor
        self._tell = tell
        self._smoother = Smoother()
        self._newest: ai_pb2.VideoFrame | None = None
        self._has_work = asyncio.Event()
        self._is_over = False

    def take(self, frame: ai_pb2.VideoFrame) -> None:
        """Take a picture. Raises ImageInvalid when it is not what it says."""
        pictures.check_i420(frame.width, frame.height, len(frame.planes))
        if self._newest is not None:
            _left_out.inc()
        self._newest = frame
        self._has_work.set()

    def finish(self) -> None:
        """Say that no more pictures come."""
        self._is_over = True
        self._has_work.set()

    async def run(self) -> None:
        """Read what comes, until `finish` and until all is read."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_work.wait()
            frame, self._newest = self._newest, None
            if not self._is_over:
                self._has_work.clear()
            if frame is None:
                return
            at = frame.offset.ToMicroseconds() / 1_000_000
            faces = await loop.run_in_executor(self._executor, self._read, frame)
            _frames.inc()
            await self._tell(self._smoother.smooth(faces, at), at)

    def _read(self, frame: ai_pb2.VideoFrame) -> Sequence[Face]:
        return self._reader.read(pictures.from_i420(frame.width, frame.height, frame.planes))


__all__ = ["Watcher"]
