"""A camera's way to the ai service: a picture now and then, decoded off the media thread, of somebody who has agreed.

No picture is taken before the ai service has said that it reads faces; the one that waits makes place for the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from chassis import logs, telemetry
from services.media.glimpse import Glimpse
from services.media.pictures import picture
from services.media.sound import TrackClock
from services.media.tap import streams
from services.media.track import PublishedTrack

RETRY_MIN_SECONDS = 0.5
RETRY_MAX_SECONDS = 5.0
REFUSED_SECONDS = 60.0
"""How long an ai service that does not read faces is left alone."""

log = logs.get("media.gaze")

_pictures = telemetry.counter(
    "media_pictures", "Pictures taken for the ai service, by what became of them.", ("outcome",)
)

Look = Callable[[ai_pb2.FaceExpressions], None]
"""Gets what a picture shows."""


class Gaze:
    """One camera's. `on_look` hears what its pictures show."""

    def __init__(
        self,
        stub: ai_pb2_grpc.AiServiceAsyncStub,
        decoding: Executor,
        track: PublishedTrack,
        on_look: Look,
    ) -> None:
        self._stub = stub
        self._decoding = decoding
        self._track = track
        self._on_look = on_look
        self._is_ready = False
        self._clock = TrackClock(track.forwarder.codec.clock_rate)
        self._glimpse = Glimpse(track, self._take)
        self._frames: asyncio.Queue[ai_pb2.VideoFrame] = asyncio.Queue(1)
        self._decodings: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())

    def tick(self, now: float) -> None:
        """Take a picture when one is due; call some twenty times a second."""
        if self._is_ready:
            self._glimpse.tick(now)

    def close(self) -> None:
        """Look no more."""
        self._glimpse.stop()
        self._task.cancel()
        for task in self._decodings:
            task.cancel()

    async def _run(self) -> None:
        delay = RETRY_MIN_SECONDS
        while True:
            with streams.labels("video").track_inprogress():
                code = await self._analyse()
            if self._is_ready:
                delay = RETRY_MIN_SECONDS
            elif code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                delay = REFUSED_SECONDS
            self._is_ready = False
            self._glimpse.stop()
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX_SECONDS)

    async def _analyse(self) -> grpc.StatusCode:
        """Have the pictures looked at while there is somebody to do it; tells how it ended."""
        try:
            async for answer in self._stub.Analyze(self._requests()):
                match answer.WhichOneof("message"):
                    case "started":
                        self._is_ready = True
                    case "expressions":
                        self._on_look(answer.expressions)
                    case "error":
                        log.info("not looked at", why=answer.error.message)
        except grpc.aio.AioRpcError as error:
            log.info("looking broke off", code=error.code().name)
            return error.code()
        return grpc.StatusCode.OK

    async def _requests(self) -> AsyncIterator[ai_pb2.AnalyzeRequest]:
        start = ai_pb2.AnalysisStart(
            participant=self._track.participant,
            track_id=self._track.id,
            features=[ai_pb2.ANALYSIS_FEATURE_EXPRESSIONS],
        )
        yield ai_pb2.AnalyzeRequest(start=start)
        while True:
            yield ai_pb2.AnalyzeRequest(frame=await self._frames.get())

    def _take(self, codec: str, payloads: Sequence[bytes], timestamp: int) -> None:
        offset = self._clock.read(timestamp, time.monotonic())
        task = asyncio.create_task(self._decode(codec, payloads, offset))
        self._decodings.add(task)
        task.add_done_callback(self._decodings.discard)

    async def _decode(self, codec: str, payloads: Sequence[bytes], offset: float) -> None:
        loop = asyncio.get_running_loop()
        frame = await loop.run_in_executor(self._decoding, picture, codec, payloads)
        if frame is None:
            _pictures.labels("undecodable").inc()
            return
        frame.offset.FromMicroseconds(round(offset * 1_000_000))
        if self._frames.full():
            self._frames.get_nowait()
            _pictures.labels("dropped").inc()
        self._frames.put_nowait(frame)
        _pictures.labels("sent").inc()


__all__ = ["Gaze", "Look"]
