"""One stream of AiService.Analyze: sound and pictures of one participant in, what they say and show out.

Answers wait in a bounded queue: who does not read them holds up their own stream alone, and partial texts are the first
to be left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from parley.ai.v1 import ai_pb2
from parley.ai.v1.ai_pb2 import AnalyzeRequest, AnalyzeResponse

from chassis import telemetry
from chassis.errors import DomainError, to_status
from chassis.stopping import stop
from services.ai import messages
from services.ai.captioning import Captioner
from services.ai.dictation import Hypothesis
from services.ai.domain import (
    AudioInvalid,
    EmotionsNotAllowed,
    ImageInvalid,
    LanguageNotSupported,
    ModelNotReady,
    StartFirst,
)
from services.ai.engines import Engines
from services.ai.faces.reading import Face
from services.ai.vad import Step, VoiceActivity
from services.ai.watching import Watcher

ANSWERS = 64
PARTIALS = 16
"""When more answers wait, partial texts are left out."""
BYTES_PER_SECOND = 32_000
TASKS = {
    ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY: "voice-activity",
    ai_pb2.ANALYSIS_FEATURE_SPEECH: "speech",
    ai_pb2.ANALYSIS_FEATURE_EXPRESSIONS: "expression",
}
"""What the models of each feature are for."""

_audio_seconds = telemetry.counter("ai_audio_seconds", "Seconds of sound analysed.")


class Analysis:
    """One stream."""

    def __init__(self, engines: Engines, start: ai_pb2.AnalysisStart) -> None:
        self._engines = engines
        self._room = start.participant.partition("/participants/")[0]
        self._voice = VoiceActivity(engines.network)
        self._answers: asyncio.Queue[AnalyzeResponse | Exception | None] = asyncio.Queue(ANSWERS)
        self._features = set(start.features)
        self._recognition = start.recognition
        self._captioner: Captioner | None = None
        self._captioning: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None
        self._watching: asyncio.Task[None] | None = None
        self._excused: set[str] = set()

    async def answers(
        self, requests: AsyncIterator[AnalyzeRequest]
    ) -> AsyncIterator[AnalyzeResponse]:
        """Answer a stream's requests after its start."""
        reading = asyncio.create_task(self._read(requests))
        try:
            yield AnalyzeResponse(started=ai_pb2.AnalysisStarted(models=self._models()))
            while (answer := await self._answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            beside = (self._captioning, self._watching)
            await stop(reading, *(task for task in beside if task is not None))

    def _models(self) -> list[str]:
        tasks = [TASKS[feature] for feature in sorted(self._features)]
        return [label for task in tasks for label in self._engines.labels(task)]

    async def _read(self, requests: AsyncIterator[AnalyzeRequest]) -> None:
        try:
            await self._change()
            async for request in requests:
                await self._take(request)
            if self._captioner is not None and self._captioning is not None:
                self._captioner.finish()
                await self._captioning
            if self._watcher is not None and self._watching is not None:
                self._watcher.finish()
                await self._watching
            await self._answers.put(None)
        except Exception as error:  # noqa: BLE001  # raised where the answers are read
            await self._answers.put(error)

    async def _take(self, request: AnalyzeRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "start":
            raise StartFirst
        if kind == "update":
            self._features = set(request.update.features)
            self._recognition = request.update.recognition
            await self._change()
        elif kind == "audio":
            await self._hear(request.audio)
        else:
            await self._see(request.frame)

    async def _hear(self, audio: ai_pb2.AudioChunk) -> None:
        if len(audio.pcm) % 2:
            raise AudioInvalid
        _audio_seconds.inc(len(audio.pcm) / BYTES_PER_SECOND)
        offset = audio.offset.ToMicroseconds() / 1_000_000
        steps = await asyncio.get_running_loop().run_in_executor(
            self._engines.voice, lambda: list(self._voice.steps(audio.pcm, offset))
        )
        await self._tell_voice(steps)
        if self._captioner is None and ai_pb2.ANALYSIS_FEATURE_SPEECH in self._features:
            await self._change()  # its model may be ready by now
        if self._captioner is not None:
            self._captioner.take(steps)

    async def _see(self, frame: ai_pb2.VideoFrame) -> None:
        if self._watcher is None:
            await self._change_faces()  # its models may be ready by now
        if self._watcher is not None:
            try:
                self._watcher.take(frame)
            except ImageInvalid as error:
                await self._excuse(error)

    async def _tell_voice(self, steps: list[Step]) -> None:
        if ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY not in self._features:
            return
        for step in steps:
            if step.change is not None:
                await self._answers.put(
                    AnalyzeResponse(voice_activity=messages.voice_activity(step.change))
                )

    async def _change(self) -> None:
        """Begin or end what is wanted or no longer is."""
        await self._change_speech()
        await self._change_faces()

    async def _change_faces(self) -> None:
        if ai_pb2.ANALYSIS_FEATURE_EXPRESSIONS not in self._features:
            if self._watching is not None:
                await stop(self._watching)
            self._watcher = self._watching = None
        elif self._watcher is None:
            try:
                reader = self._engines.face_reader()
            except (EmotionsNotAllowed, ModelNotReady) as error:
                await self._excuse(error)
                return
            self._watcher = Watcher(reader, self._engines.watching, self._tell_faces)
            self._watching = asyncio.create_task(self._beside(self._watcher.run()))

    async def _change_speech(self) -> None:
        if ai_pb2.ANALYSIS_FEATURE_SPEECH not in self._features:
            if self._captioning is not None:
                await stop(self._captioning)  # what was in flight is nobody's business any more
            self._captioner = self._captioning = None
            return
        settings = messages.settings(self._recognition)
        try:
            recogniser = self._engines.recogniser_of(settings.language)
        except (ModelNotReady, LanguageNotSupported) as error:
            await self._excuse(error)
            return
        if self._captioner is not None:
            self._captioner.settings = settings
        else:
            self._captioner = Captioner(
                recogniser,
                self._engines.desk,
                self._room,
                self._tell,
                settings,
                partials=not self._recognition.final_only,
            )
            self._captioning = asyncio.create_task(self._beside(self._captioner.run()))

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # raised where the answers are read
            await self._answers.put(error)

    async def _excuse(self, error: DomainError) -> None:
        """Say once why something is not done; the rest goes on."""
        if error.reason not in self._excused:
            self._excused.add(error.reason)
            await self._answers.put(AnalyzeResponse(error=to_status(error)))

    async def _tell_faces(self, faces: Sequence[Face], at: float) -> None:
        shown = ai_pb2.FaceExpressions(
            faces=[messages.face(face) for face in faces], offset=messages.duration(at)
        )
        await self._answers.put(AnalyzeResponse(expressions=shown))

    async def _tell(self, hypothesis: Hypothesis) -> None:
        if hypothesis.is_final or self._answers.qsize() < PARTIALS:
            await self._answers.put(AnalyzeResponse(speech=messages.speech(hypothesis)))


__all__ = ["Analysis", "Engines"]
