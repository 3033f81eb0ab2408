"""AiService over gRPC. What is not built answers NOT_IMPLEMENTED, through the chassis."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.ai.v1.ai_pb2 import AnalyzeRequest, AnalyzeResponse

from chassis import telemetry
from chassis.auth import user_principal
from chassis.errors import DomainError, InvalidArgument, to_status
from services.ai import messages
from services.ai.analysis import Analysis
from services.ai.domain import AiBusy, ConfigFirst, StartFirst, TooManyStreams
from services.ai.engines import Engines
from services.ai.faces import pictures
from services.ai.library import Library
from services.ai.models import Keeper
from services.ai.transcription import Progress, Transcriber
from services.ai.whisper.writing import joined

MAX_RECORDINGS = 4
"""Recordings that are recognised at once; each takes its turns after the live streams."""
MAX_RECORDING_SECONDS = 300
MAX_LONG_RECORDINGS = 2
MAX_LONG_SECONDS = 4 * 3600
TOLD_SECONDS = 10.0
"""How far a long recording is, is told so often, in seconds of its sound."""
MAX_PICTURES = 16
"""Pictures that are read or wait to be."""
MAX_DICTATIONS = 16
"""Streams of people's own; the media service's are not theirs to take."""
MAX_PICTURE_STREAMS = 32

_running = telemetry.gauge(
    "ai_running", "Analyses, recordings and pictures that are worked on now."
)


class AiServicer(ai_pb2_grpc.AiServiceServicer):
    """Inference on live media and on files."""

    def __init__(
        self, engines: Engines, keeper: Keeper, library: Library, max_streams: int
    ) -> None:
        self._engines = engines
        self._keeper = keeper
        self._library = library
        self._long_recordings = asyncio.Semaphore(MAX_LONG_RECORDINGS)
        self._analyses = asyncio.Semaphore(max_streams)
        self._dictations = asyncio.Semaphore(MAX_DICTATIONS)
        self._recordings = asyncio.Semaphore(MAX_RECORDINGS)
        self._pictures = asyncio.Semaphore(MAX_PICTURES)
        self._picture_streams = asyncio.Semaphore(MAX_PICTURE_STREAMS)

    async def Analyze(
        self, request_iterator: AsyncIterator[AnalyzeRequest], context: Any
    ) -> AsyncIterator[AnalyzeResponse]:
        """Analyse one participant's sound and pictures."""
        async with _one_of(self._analyses, TooManyStreams(retry_after=1.0)):
            first = await anext(aiter(request_iterator), None)
            if first is None or not first.HasField("start"):
                raise StartFirst
            analysis = Analysis(self._engines, first.start)
            async for answer in analysis.answers(request_iterator):
                yield answer

    async def RecognizeSpeech(
        self, request: ai_pb2.RecognizeSpeechRequest, context: Any
    ) -> ai_pb2.RecognizeSpeechResponse:
        """Recognise a recording of up to five minutes."""
        answer = ai_pb2.RecognizeSpeechResponse()
        languages: Counter[str] = Counter()
        async with _one_of(self._recordings, AiBusy(retry_after=5.0)):
            file = io.BytesIO(request.audio.content)
            async for progress in self._transcribed(file, request.config, MAX_RECORDING_SECONDS):
                answer.duration.CopyFrom(messages.duration(progress.duration))
                for segment in progress.segments:
                    languages[segment.language] += len(segment.text)
                    answer.segments.append(messages.segment(segment))
        answer.language_code = max(languages, key=languages.__getitem__, default="")
        answer.text = joined((segment.text for segment in answer.segments), answer.language_code)
        return answer

    async def RecognizeLongSpeech(
        self, request: ai_pb2.RecognizeLongSpeechRequest, context: Any
    ) -> AsyncIterator[ai_pb2.RecognizeLongSpeechResponse]:
        """Recognise a recording of the caller's library, telling how far it is."""
        authorization = dict(context.invocation_metadata() or ()).get("authorization", "")
        async with _one_of(self._long_recordings, AiBusy(retry_after=30.0)):
            with tempfile.TemporaryFile() as file:
                await self._library.fetch(request.media, authorization, file)
                told = 0.0
                async for progress in self._transcribed(file, request.config, MAX_LONG_SECONDS):
                    is_news = progress.segments or progress.done - told >= TOLD_SECONDS
                    if is_news or progress.is_over:
                        told = progress.done
                        yield messages.progress(progress)

    async def StreamRecognizeSpeech(
        self,
        request_iterator: AsyncIterator[ai_pb2.StreamRecognizeSpeechRequest],
        context: Any,
    ) -> AsyncIterator[ai_pb2.StreamRecognizeSpeechResponse]:
        """Recognise speech as it is spoken."""
        async with _one_of(self._dictations, AiBusy(retry_after=5.0)):
            first = await anext(aiter(request_iterator), None)
            if first is None or not first.HasField("config"):
                raise ConfigFirst
            self._engines.recogniser_of(first.config.language_code)
            start = ai_pb2.AnalysisStart(
                participant=user_principal().name,
                features=[ai_pb2.ANALYSIS_FEATURE_SPEECH],
                recognition=first.config,
            )
            analysis = Analysis(self._engines, start)
            async for answer in analysis.answers(_as_analysis(request_iterator)):
                if answer.HasField("speech"):
                    yield ai_pb2.StreamRecognizeSpeechResponse(speech=answer.speech)

    async def DetectEmotion(
        self, request: ai_pb2.DetectEmotionRequest, context: Any
    ) -> ai_pb2.DetectEmotionResponse:
        """Read the expressions of the faces in a picture."""
        return ai_pb2.DetectEmotionResponse(faces=await self._faces(request.image.content))

    async def StreamDetectEmotion(
        self, request_iterator: AsyncIterator[ai_pb2.StreamDetectEmotionRequest], context: Any
    ) -> AsyncIterator[ai_pb2.StreamDetectEmotionResponse]:
        """Read one picture after the other."""
        self._engines.face_reader()
        async with _one_of(self._picture_streams, AiBusy(retry_after=5.0)):
            async for request in request_iterator:
                try:
                    faces = await self._faces(request.image.content)
                except InvalidArgument as error:
                    yield ai_pb2.StreamDetectEmotionResponse(error=to_status(error))
                else:
                    yield ai_pb2.StreamDetectEmotionResponse(faces=faces)

    async def ListModels(
        self, request: ai_pb2.ListModelsRequest, context: Any
    ) -> ai_pb2.ListModelsResponse:
        """List the models."""
        states = self._keeper.states
        shown = [messages.model(each, states[each.name]) for each in self._keeper.manifests]
        return ai_pb2.ListModelsResponse(models=shown)

    async def _faces(self, content: bytes) -> list[ai_pb2.Face]:
        """Read a file's faces, in turn with others'."""
        reader = self._engines.face_reader()
        async with _one_of(self._pictures, AiBusy(retry_after=1.0)):
            faces = await asyncio.get_running_loop().run_in_executor(
                self._engines.reading, lambda: reader.read(pictures.decode(content))
            )
        return [messages.face(face) for face in faces]

    def _transcribed(
        self, file: BinaryIO, config: ai_pb2.RecognitionConfig, max_seconds: float
    ) -> AsyncIterator[Progress]:
        engines = self._engines
        transcriber = Transcriber(
            engines.recogniser_of(config.language_code),
            engines.network,
            engines.desk,
            engines.reading,
        )
        settings = messages.settings(config)
        return transcriber.transcribe(file, user_principal().name, settings, max_seconds)


@asynccontextmanager
async def _one_of(places: asyncio.Semaphore, busy: DomainError) -> AsyncIterator[None]:
    """Take a place until the block ends. Raises `busy` when there is none."""
    if places.locked():
        raise busy
    async with places:
        _running.inc()
        try:
            yield
        finally:
            _running.dec()


async def _as_analysis(
    requests: AsyncIterator[ai_pb2.StreamRecognizeSpeechRequest],
) -> AsyncIterator[AnalyzeRequest]:
    async for request in requests:
        if not request.HasField("audio"):
            raise ConfigFirst
        yield AnalyzeRequest(audio=request.audio)


__all__ = ["AiServicer"]
