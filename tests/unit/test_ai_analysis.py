"""A stream of Analyze, with a network that takes loud for speech and a recogniser that counts seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from parley.ai.v1 import ai_pb2
from parley.ai.v1.ai_pb2 import AnalyzeRequest, AnalyzeResponse

from services.ai import messages
from services.ai.analysis import Analysis
from services.ai.desk import Desk
from services.ai.domain import AudioInvalid, StartFirst
from services.ai.engines import Engines
from services.ai.speech import Memory, Settings, Understood
from services.ai.vad import SAMPLE_RATE, Samples

VOICE, SPEECH = ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY, ai_pb2.ANALYSIS_FEATURE_SPEECH
PIECE = SAMPLE_RATE // 10


class Loudness:
    """A network that takes what is loud for speech."""

    def judge(self, samples: Samples, state: Samples) -> tuple[float, Samples]:
        return (0.9 if np.abs(samples).max() > 0.1 else 0.05), state


class Seconds:
    """A recogniser whose text is how much it heard."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.error: Exception | None = None

    def knows(self, language: str) -> bool:
        return language != "xx"

    def understand(
        self, samples: Samples, settings: Settings, memory: Memory, *, final: bool
    ) -> Understood:
        self.settings.append(settings)
        if self.error is not None:
            raise self.error
        text = f"{len(samples) / SAMPLE_RATE:.1f} s"
        return Understood(text, len(text) if final else 0, "en", 0.9)


@contextmanager
def engines() -> Iterator[Engines]:
    with ThreadPoolExecutor(1) as voice, ThreadPoolExecutor(1) as inference:
        yield Engines(Loudness(), voice, voice, voice, Desk(inference, 1), recogniser=Seconds())


def start(*features: ai_pb2.AnalysisFeature.ValueType) -> ai_pb2.AnalysisStart:
    return ai_pb2.AnalysisStart(participant="meetings/m/participants/p", features=features)


def update(*features: ai_pb2.AnalysisFeature.ValueType, language: str = "") -> AnalyzeRequest:
    recognition = ai_pb2.RecognitionConfig(language_code=language)
    return AnalyzeRequest(update=ai_pb2.AnalysisUpdate(features=features, recognition=recognition))


class Track:
    """Sound in pieces of 100 ms."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sound(self, seconds: float, *, loud: bool) -> list[AnalyzeRequest]:
        pieces = []
        for _ in range(round(seconds * 10)):
            pcm = np.full(PIECE, 16_000 if loud else 0, "<i2").tobytes()
            chunk = ai_pb2.AudioChunk(pcm=pcm, offset=messages.duration(self.seconds))
            pieces.append(AnalyzeRequest(audio=chunk))
            self.seconds += 0.1
        return pieces


async def sent(*requests: AnalyzeRequest) -> AsyncIterator[AnalyzeRequest]:
    for request in requests:
        yield request
        await asyncio.sleep(0)


async def answered(
    there: Engines, begin: ai_pb2.AnalysisStart, *requests: AnalyzeRequest
) -> list[AnalyzeResponse]:
    return [each async for each in Analysis(there, begin).answers(sent(*requests))]


def texts(answers: list[AnalyzeResponse], *, final: bool) -> list[str]:
    return [
        answer.speech.text
        for answer in answers
        if answer.HasField("speech") and answer.speech.final == final
    ]


async def test_what_is_said_becomes_text_with_its_times() -> None:
    track = Track()
    with engines() as there:
        answers = await answered(
            there,
            start(VOICE, SPEECH),
            *track.sound(1, loud=False),
            *track.sound(3, loud=True),
            *track.sound(1, loud=False),
        )
    final = next(each.speech for each in answers if each.speech.final)
    assert [
        each.voice_activity.speaking for each in answers if each.HasField("voice_activity")
    ] == [
        True,
        False,
    ]
    assert len(texts(answers, final=False)) >= 1
    assert final.segment == 1
    assert final.start_time.ToMilliseconds() == pytest.approx(1000, abs=40)
    assert final.end_time.ToMilliseconds() == pytest.approx(4000, abs=40)
    assert final.stable_length == len(final.text)


async def test_voice_activity_alone_recognises_nothing() -> None:
    with engines() as there:
        answers = await answered(there, start(VOICE), *Track().sound(3, loud=True))
    assert {each.WhichOneof("message") for each in answers} == {"started", "voice_activity"}


async def test_what_is_still_being_said_when_the_stream_ends_is_final() -> None:
    with engines() as there:
        answers = await answered(there, start(SPEECH), *Track().sound(2, loud=True))
    assert len(texts(answers, final=True)) == 1
    assert answers[-1].speech.final


async def test_speech_that_is_no_longer_wanted_is_not_told() -> None:
    track = Track()
    with engines() as there:
        answers = await answered(
            there,
            start(VOICE, SPEECH),
            *track.sound(2, loud=True),
            update(VOICE),
            *track.sound(2, loud=True),
            *track.sound(1, loud=False),
        )
    assert texts(answers, final=True) == []
    assert answers[-1].voice_activity.speaking is False


async def test_speech_can_be_asked_for_later_and_its_settings_change() -> None:
    track = Track()
    with engines() as there:
        answers = await answered(
            there,
            start(VOICE),
            update(VOICE, SPEECH, language="de"),
            *track.sound(2, loud=True),
            *track.sound(1, loud=False),
        )
        assert isinstance(there.recogniser, Seconds)
        assert {each.language for each in there.recogniser.settings} == {"de"}
    assert len(texts(answers, final=True)) == 1


async def test_while_the_model_is_not_ready_voices_are_found_and_then_speech_too() -> None:
    track = Track()
    with engines() as there:
        recogniser, there.recogniser = there.recogniser, None

        async def requests() -> AsyncIterator[AnalyzeRequest]:
            for request in track.sound(1, loud=True) + track.sound(1, loud=False):
                yield request
            there.recogniser = recogniser
            for request in track.sound(2, loud=True) + track.sound(1, loud=False):
                yield request

        analysis = Analysis(there, start(VOICE, SPEECH))
        answers = [each async for each in analysis.answers(requests())]
    assert [each.error.code for each in answers if each.HasField("error")] == [14]
    assert sum(each.HasField("voice_activity") for each in answers) == 4
    assert len(texts(answers, final=True)) == 1


async def test_a_language_that_nobody_knows_is_said_and_the_rest_goes_on() -> None:
    with engines() as there:
        answers = await answered(
            there, start(VOICE), update(VOICE, SPEECH, language="xx"), *Track().sound(1, loud=True)
        )
    assert [each.error.code for each in answers if each.HasField("error")] == [3]
    assert answers[-1].voice_activity.speaking


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (AnalyzeRequest(start=start(VOICE)), StartFirst),
        (AnalyzeRequest(audio=ai_pb2.AudioChunk(pcm=b"abc")), AudioInvalid),
    ],
)
async def test_what_makes_no_sense_ends_the_stream(
    request_: AnalyzeRequest, error: type[Exception]
) -> None:
    with engines() as there, pytest.raises(error):
        await answered(there, start(VOICE), request_)


async def test_a_recogniser_that_fails_ends_the_stream() -> None:
    with engines() as there:
        assert isinstance(there.recogniser, Seconds)
        there.recogniser.error = RuntimeError("no")
        with pytest.raises(RuntimeError, match="no"):
            await answered(there, start(SPEECH), *Track().sound(2, loud=True))


async def test_who_does_not_read_gets_few_partials_and_every_final(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.ai.analysis.PARTIALS", few := 3)
    track, count = Track(), 12
    requests = [
        request
        for _ in range(count)
        for request in track.sound(1, loud=True) + track.sound(1, loud=False)
    ]
    with engines() as there:
        analysis = Analysis(there, start(SPEECH))
        answers = analysis.answers(sent(*requests))
        assert (await anext(answers)).HasField("started")
        waiting = analysis._answers._queue  # type: ignore[attr-defined]  # nobody else tells
        while not waiting or waiting[-1] is not None:  # noqa: ASYNC110  # see above
            await asyncio.sleep(0)
        rest = [each async for each in answers]
    told = [each.speech.final for each in rest]
    assert told.count(True) == count
    assert told.count(False) <= few
    finals = [each.speech.segment for each in rest if each.speech.final]
    assert finals == list(range(1, count + 1))
