"""Stands in for the ai and the meeting service beside media workers: what is recognised follows from the sound's clock alone.

Of each track a sentence is said every SENTENCE_SECONDS, named by when that is: so it is the same whichever process hears it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis.errors import NotFound, Unavailable, Unimplemented

SENTENCE_SECONDS = 0.5
ROUNDING_SECONDS = 0.001
BYTES_PER_SECOND = 32_000
SPEECH = ai_pb2.ANALYSIS_FEATURE_SPEECH


@dataclass(eq=False)
class Analysed:
    """One stream: what is asked of it, and what comes."""

    start: ai_pb2.AnalysisStart
    features: set[int]
    updates: int = 0
    seconds: float = 0.0
    frames: list[ai_pb2.VideoFrame] = field(default_factory=list)
    made: list[ai_pb2.AnalyzeResponse] = field(default_factory=list)
    segment: int = 0
    is_open: bool = True
    is_finished: bool = False
    begun: float | None = None
    end: float = 0.0

    @property
    def participant(self) -> str:
        return self.start.participant

    def hear(self, audio: ai_pb2.AudioChunk) -> list[ai_pb2.SpeechHypothesis]:
        """Take sound; gives a partial hypothesis, and the finals of the sentences that have ended with it."""
        begin, length = _seconds(audio.offset), len(audio.pcm) / BYTES_PER_SECOND
        self.seconds += length
        said: list[ai_pb2.SpeechHypothesis] = []
        if self.begun is None or begin > self.end + SENTENCE_SECONDS:
            self._begin(begin)
        self.end = begin + length
        while self.begun is not None and self.end >= (until := _next_end(self.begun)):
            said.append(self._said(self.begun, until, final=True))
            self._begin(until)
        if self.begun is not None and self.end > self.begun:
            said.append(self._said(self.begun, self.end, final=False))
        return said

    def finish(self) -> list[ai_pb2.AnalyzeResponse]:
        """No more sound comes: what was being said is final."""
        self.is_finished = True
        if SPEECH not in self.features or self.begun is None:
            return []
        return [ai_pb2.AnalyzeResponse(speech=self._said(self.begun, self.end, final=True))]

    def _begin(self, at: float) -> None:
        self.begun = at
        self.segment += 1

    def _said(self, begin: float, end: float, *, final: bool) -> ai_pb2.SpeechHypothesis:
        number = round(_next_end(begin) / SENTENCE_SECONDS)
        is_whole = begin - (number - 1) * SENTENCE_SECONDS < ROUNDING_SECONDS
        text = f"sentence {number}" if is_whole else f"the rest of {number}"
        said = ai_pb2.SpeechHypothesis(
            segment=self.segment,
            text=text if final else f"sent {number}",
            final=final,
            confidence=0.9,
            language_code="en",
        )
        said.start_time.FromMicroseconds(round(begin * 1e6))
        said.end_time.FromMicroseconds(round(end * 1e6))
        return said


class Analyses(ai_pb2_grpc.AiServiceServicer, ai_pb2_grpc.TextServiceServicer):
    """Analyses sound and pictures as the script says, and notes whose they are.

    Without `recognises` it is one of before: it finds voice activity alone, and takes no updates.
    """

    def __init__(self) -> None:
        self.streams: list[Analysed] = []
        self.recognises = True
        self.speaking = False
        """Whether everybody speaks from their first sound on."""
        self.is_slow = False
        """Whether what is made of the sound is held back for now."""
        self._death = asyncio.Event()

    @property
    def participants(self) -> list[str]:
        """Whose sound or pictures are, or were, analysed."""
        return [stream.participant for stream in self.streams]

    def die(self) -> None:
        """End all streams, as a process does that is killed; another is there at once."""
        self._death.set()
        self._death = asyncio.Event()

    def of(self, participant: str) -> Analysed:
        """The last stream of a participant."""
        return next(each for each in reversed(self.streams) if each.participant == participant)

    async def Analyze(
        self, request_iterator: AsyncIterator[ai_pb2.AnalyzeRequest], context: Any
    ) -> AsyncIterator[ai_pb2.AnalyzeResponse]:
        death = asyncio.create_task(self._death.wait())
        requests = aiter(request_iterator)
        stream: Analysed | None = None
        try:
            while True:
                coming: asyncio.Future[Any] = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait((coming, death), return_when=asyncio.FIRST_COMPLETED)
                if death.done():
                    coming.cancel()
                    raise Unavailable
                if (request := coming.result()) is None:
                    while self.is_slow:  # noqa: ASYNC110  # the tests change it as they please
                        await asyncio.sleep(0.01)
                    for answer in [*stream.made, *stream.finish()] if stream is not None else ():
                        yield answer
                    return
                if stream is None:
                    stream = self._begin(request.start)
                    yield ai_pb2.AnalyzeResponse(started=ai_pb2.AnalysisStarted(models=["stand"]))
                    if self.speaking:
                        voice = ai_pb2.VoiceActivity(speaking=True)
                        yield ai_pb2.AnalyzeResponse(voice_activity=voice)
                    continue
                stream.made += self._answers(stream, request)
                while stream.made and not self.is_slow:
                    yield stream.made.pop(0)
        finally:
            death.cancel()
            if stream is not None:
                stream.is_open = False

    def _begin(self, start: ai_pb2.AnalysisStart) -> Analysed:
        if not self.recognises and set(start.features) != {ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY}:
            raise Unimplemented
        stream = Analysed(start, set(start.features))
        self.streams.append(stream)
        return stream

    def _answers(
        self, stream: Analysed, request: ai_pb2.AnalyzeRequest
    ) -> list[ai_pb2.AnalyzeResponse]:
        match request.WhichOneof("message"):
            case "update" if self.recognises:
                stream.features = set(request.update.features)
                stream.updates += 1
                stream.begun, stream.segment = None, 0
            case "update":
                raise Unimplemented
            case "audio" if SPEECH in stream.features:
                return [ai_pb2.AnalyzeResponse(speech=it) for it in stream.hear(request.audio)]
            case "audio":
                stream.seconds += len(request.audio.pcm) / BYTES_PER_SECOND
            case "frame":
                stream.frames.append(request.frame)
                shown = ai_pb2.FaceExpressions(offset=request.frame.offset)
                scores = {"happy": 0.75, "neutral": 0.25}
                shown.faces.add(emotion=ai_pb2.EMOTION_HAPPY, confidence=0.75, scores=scores)
                return [ai_pb2.AnalyzeResponse(expressions=shown)]
        return []

    async def TranslateText(
        self, request: ai_pb2.TranslateTextRequest, context: Any
    ) -> ai_pb2.TranslateTextResponse:
        if request.target_language_code == "xx":
            raise Unavailable
        lines = [f"{request.target_language_code}: {line}" for line in request.lines]
        return ai_pb2.TranslateTextResponse(lines=lines)


class Minutes(transcript_pb2_grpc.CaptionServiceServicer):
    """Says what is to be analysed, of meetings that it knows, and keeps what is recorded, unless it is away."""

    def __init__(self) -> None:
        self.analyses: dict[str, transcript_pb2.GetAnalysisResponse] = {}
        self.asked: list[str] = []
        self.is_away = False
        self.segments: list[transcript_pb2.TranscriptSegment] = []

    async def GetAnalysis(
        self, request: transcript_pb2.GetAnalysisRequest, context: Any
    ) -> transcript_pb2.GetAnalysisResponse:
        self.asked.append(request.meeting)
        if (found := self.analyses.get(request.meeting)) is None:
            raise NotFound
        return found

    async def RecordSegments(
        self, request: transcript_pb2.RecordSegmentsRequest, context: Any
    ) -> transcript_pb2.RecordSegmentsResponse:
        if self.is_away:
            raise Unavailable
        self.segments.extend(request.segments)
        return transcript_pb2.RecordSegmentsResponse()


def numbers(texts: list[str]) -> list[int]:
    """Tell which sentences these are."""
    return [int(text.split()[-1]) for text in texts]


def are_unbroken(found: list[int]) -> bool:
    """Tell whether each follows the one before it."""
    return all(after == before + 1 for before, after in itertools.pairwise(found))


def _next_end(at: float) -> float:
    """Tell when the sentence ends that is being said."""
    return (int(at / SENTENCE_SECONDS + 1e-6) + 1) * SENTENCE_SECONDS


def _seconds(duration: Duration) -> float:
    return duration.ToMicroseconds() / 1e6


__all__ = ["SENTENCE_SECONDS", "SPEECH", "Analyses", "Minutes", "are_unbroken", "numbers"]
