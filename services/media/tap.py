"""The AI tap: a copy of a participant's sound, decoded off the media thread and streamed to AiService.Analyze.

Nothing waits for it: the queue drops its oldest packets when decoding or the ai service is behind, and when that
service is away the tap tries again, later and later, while media is forwarded as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from chassis import logs, telemetry
from services.media import rtp
from services.media.opus import SAMPLE_RATE, OpusDecoder, OpusInvalid

QUEUE = 100
"""Packets: two seconds."""
BATCH_PACKETS = 4
SILENCE_SECONDS = 0.6
"""A sender that sends nothing (muted, or DTX) does not speak."""
RETRY_MIN_SECONDS = 0.5
RETRY_MAX_SECONDS = 5.0
OPUS_CLOCK = 48_000

log = logs.get("media.tap")

_dropped = telemetry.counter("media_tap_dropped", "Audio packets that the ai service never got.")


class Tap:
    """One audio track's way to the ai service. `on_speaking` hears when speech begins and ends."""

    def __init__(
        self,
        stub: ai_pb2_grpc.AiServiceAsyncStub,
        decoding: ThreadPoolExecutor,
        participant: str,
        track_id: str,
        on_speaking: Callable[[bool], None],
    ) -> None:
        self._stub = stub
        self._decoding = decoding
        self._start = ai_pb2.AnalysisStart(
            participant=participant,
            track_id=track_id,
            features=[ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY],
        )
        self._on_speaking = on_speaking
        self._speaking = False
        self._packets: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self._task = asyncio.create_task(self._run())

    def feed(self, packet: bytes) -> None:
        """Take an RTP packet of the track."""
        if self._packets.full():
            self._packets.get_nowait()
            _dropped.inc()
        self._packets.put_nowait(packet)

    def close(self) -> None:
        """End the analysis."""
        self._task.cancel()

    async def _run(self) -> None:
        delay = RETRY_MIN_SECONDS
        while True:
            try:
                async for answer in self._stub.Analyze(self._requests()):
                    delay = RETRY_MIN_SECONDS
                    if answer.HasField("voice_activity"):
                        self._say(answer.voice_activity.speaking)
            except grpc.aio.AioRpcError as error:
                log.info("analysis broke off", code=error.code().name)
            self._say(speaking=False)
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX_SECONDS)

    async def _requests(self) -> AsyncIterator[ai_pb2.AnalyzeRequest]:
        yield ai_pb2.AnalyzeRequest(start=self._start)
        loop, decoder = asyncio.get_running_loop(), OpusDecoder()
        first: int | None = None
        while True:
            packets = await self._batch()
            if not packets:
                continue
            first = rtp.timestamp(packets[0]) if first is None else first
            pcm = await loop.run_in_executor(self._decoding, _decoded, decoder, packets)
            if pcm:
                chunk = ai_pb2.AudioChunk(pcm=pcm[: 2 * SAMPLE_RATE])
                elapsed = (rtp.timestamp(packets[0]) - first) & 0xFFFFFFFF
                chunk.offset.FromMicroseconds(elapsed * 1_000_000 // OPUS_CLOCK)
                yield ai_pb2.AnalyzeRequest(audio=chunk)

    async def _batch(self) -> list[bytes]:
        """Wait for some packets; none for a while means silence."""
        packets: list[bytes] = []
        try:
            async with asyncio.timeout(SILENCE_SECONDS if self._speaking else None):
                while len(packets) < BATCH_PACKETS:
                    packets.append(await self._packets.get())
        except TimeoutError:
            self._say(speaking=False)
        return packets

    def _say(self, speaking: bool) -> None:  # as the ai service says it
        if speaking != self._speaking:
            self._speaking = speaking
            self._on_speaking(speaking)


def _decoded(decoder: OpusDecoder, packets: list[bytes]) -> bytes:
    pcm = b""
    for packet in packets:
        try:
            pcm += decoder.decode(rtp.payload(packet))
        except (OpusInvalid, rtp.PacketInvalid):
            _dropped.inc()
    return pcm


__all__ = ["Tap"]
