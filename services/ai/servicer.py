"""AiService over gRPC. What is not built answers NOT_IMPLEMENTED, through the chassis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from typing import Any

from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.ai.v1.ai_pb2 import AnalyzeRequest, AnalyzeResponse

from chassis import telemetry
from chassis.errors import Unimplemented
from services.ai.domain import AudioInvalid, StartFirst, TooManyStreams
from services.ai.vad import Change, Network, VoiceActivity

_streams = telemetry.gauge("ai_streams", "Analyses that run now.")
_audio_seconds = telemetry.counter("ai_audio_seconds", "Seconds of sound analysed.")

BYTES_PER_SECOND = 32_000


class AiServicer(ai_pb2_grpc.AiServiceServicer):
    """Live analysis. Inference runs in `executor`, a message of one stream at a time, so none can starve the rest."""

    def __init__(
        self, network: Network, models: Sequence[str], executor: Executor, max_streams: int
    ) -> None:
        self._network = network
        self._models = models
        self._executor = executor
        self._room_for = max_streams

    async def Analyze(
        self, request_iterator: AsyncIterator[AnalyzeRequest], context: Any
    ) -> AsyncIterator[AnalyzeResponse]:
        """Analyse one participant's sound."""
        if self._room_for == 0:
            raise TooManyStreams(retry_after=1.0)
        self._room_for -= 1
        _streams.inc()
        try:
            first = await anext(aiter(request_iterator), None)
            if first is None or not first.HasField("start"):
                raise StartFirst
            if set(first.start.features) != {ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY}:
                raise Unimplemented(text="This server finds voice activity alone.")
            yield AnalyzeResponse(started=ai_pb2.AnalysisStarted(models=self._models))
            voice = VoiceActivity(self._network)
            async for request in request_iterator:
                _check_audio(request)
                for change in await self._heard(voice, request.audio):
                    yield AnalyzeResponse(voice_activity=_shown(change))
        finally:
            self._room_for += 1
            _streams.dec()

    async def _heard(self, voice: VoiceActivity, audio: ai_pb2.AudioChunk) -> list[Change]:
        _audio_seconds.inc(len(audio.pcm) / BYTES_PER_SECOND)
        offset = audio.offset.ToMicroseconds() / 1_000_000
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: list(voice.receive(audio.pcm, offset))
        )


def _check_audio(request: AnalyzeRequest) -> None:
    if request.HasField("start"):
        raise StartFirst
    if not request.HasField("audio"):
        raise Unimplemented(text="This server analyses sound alone.")
    if len(request.audio.pcm) % 2:
        raise AudioInvalid


def _shown(change: Change) -> ai_pb2.VoiceActivity:
    shown = ai_pb2.VoiceActivity(speaking=change.speaking, probability=change.probability)
    shown.offset.FromMicroseconds(round(change.offset * 1_000_000))
    return shown
