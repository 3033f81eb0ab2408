"""Speech becomes text over real gRPC with the real models: live, as a stream, and of files."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import grpc
import numpy as np
import pytest
from parley.ai.v1 import ai_pb2

from chassis import channels
from tests.ai_stand import RATE, AiStand, ai_running, pieces, start

SPEECH = Path(__file__).parents[2] / "browser" / "data" / "speech.wav"
WORDS = "he was not an ill disposed young man"
VOICE, TEXT = ai_pb2.ANALYSIS_FEATURE_VOICE_ACTIVITY, ai_pb2.ANALYSIS_FEATURE_SPEECH


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def is_right(text: str) -> bool:
    """Whether a text is what was said, but for a word that small models mishear."""
    return len(set(words(text).split()) & set(WORDS.split())) >= 6


def spoken() -> bytes:
    """Three seconds of speech, with silence before and after."""
    with wave.open(str(SPEECH)) as file:
        return bytes(RATE) + bytes(file.readframes(file.getnframes())) + bytes(3 * RATE)


def encoded(container: str, codec: str, rate: int, pcm: bytes) -> bytes:
    """Put 16 kHz samples into a file."""
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[None], "s16", "mono")
    frame.sample_rate = RATE
    file = io.BytesIO()
    with av.open(file, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        size = stream.codec_context.frame_size or 960
        resampler = av.AudioResampler(stream.format.name, "mono", rate, size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            opened.mux(stream.encode(part))
        opened.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module")
async def ai(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AiStand]:
    async with ai_running(tmp_path_factory.mktemp("ai"), "voice-activity", "speech") as it:
        async with asyncio.timeout(300):  # the first time they are fetched and built
            while len(await models_of(it.stub, TEXT)) < 2:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.2)
        yield it


async def models_of(stub: Any, feature: ai_pb2.AnalysisFeature.ValueType) -> list[str]:
    first = await anext(aiter(stub.Analyze(iter([start(feature)]))))
    return list(first.started.models)


async def recognised(ai: AiStand, content: bytes, **config: Any) -> ai_pb2.RecognizeSpeechResponse:
    stub: Any = ai.stub
    request = ai_pb2.RecognizeSpeechRequest(
        config=ai_pb2.RecognitionConfig(**config),
        audio=ai_pb2.RecognitionAudio(content=content),
    )
    return await stub.RecognizeSpeech(request, metadata=ai.metadata, timeout=60)  # type: ignore[no-any-return]


async def refusal(ai: AiStand, content: bytes, **config: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await recognised(ai, content, **config)
    return caught.value


async def test_what_is_said_comes_as_text_while_it_is_said_and_then_for_good(ai: AiStand) -> None:
    stub: Any = ai.stub
    answers = [
        answer.speech
        async for answer in stub.Analyze(iter([start(VOICE, TEXT), *pieces(spoken())]))
        if answer.HasField("speech")
    ]
    final = answers[-1]
    assert final.final
    assert is_right(final.text)
    assert 0.5 < final.start_time.ToMilliseconds() / 1000 < 1.2
    assert 3.0 < final.end_time.ToMilliseconds() / 1000 < 4.2
    assert final.language_code == "en"
    assert final.confidence > 0.5
    assert {answer.segment for answer in answers} == {1}
    for before, after in itertools.pairwise(answers):
        assert after.text.startswith(before.text[: before.stable_length])


async def test_a_stream_of_ones_own_is_recognised(ai: AiStand) -> None:
    stub: Any = ai.stub
    config = ai_pb2.RecognitionConfig(language_code="en-GB", final_only=True, word_times=True)
    requests = [
        ai_pb2.StreamRecognizeSpeechRequest(config=config),
        *(ai_pb2.StreamRecognizeSpeechRequest(audio=each.audio) for each in pieces(spoken())),
    ]
    answers = [
        each.speech
        async for each in stub.StreamRecognizeSpeech(iter(requests), metadata=ai.metadata)
    ]
    (said,) = (each.text for each in answers)
    assert is_right(said)
    assert words(" ".join(word.text for word in answers[0].words)) == words(said)
    times = [word.start_time.ToMilliseconds() for word in answers[0].words]
    assert times == sorted(times)
    assert times[0] >= 500


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 44_100),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp3", "libmp3lame", 44_100),
    ],
)
async def test_files_are_recognised(ai: AiStand, container: str, codec: str, rate: int) -> None:
    answer = await recognised(ai, encoded(container, codec, rate, spoken()))
    assert is_right(answer.text)
    assert answer.language_code == "en"
    assert answer.duration.ToMilliseconds() == pytest.approx(5000, abs=150)
    assert [segment.text for segment in answer.segments] == [answer.text]
    assert 500 < answer.segments[0].start_time.ToMilliseconds() < 1200


async def test_silence_says_nothing(ai: AiStand) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(bytes(4 * RATE))
    answer = await recognised(ai, file.getvalue())
    assert (answer.text, list(answer.segments)) == ("", [])
    assert answer.duration.ToSeconds() == 2


WAV = encoded("wav", "pcm_s16le", RATE, spoken())
OGG = encoded("ogg", "libopus", 48_000, spoken())


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        WAV[:44],
        WAV[: len(WAV) // 2],
        OGG[:200],
        b"OggS" + bytes(4096),
        b"RIFF",
        b"\xff\xfb" + bytes(5000),
        np.random.default_rng(1).bytes(3000),
    ],
    ids=["picture", "header", "cut off", "head", "zeros", "mark", "mp3 of zeros", "noise"],
)
async def test_what_is_no_recording_is_refused_with_the_reason(ai: AiStand, content: bytes) -> None:
    error = await refusal(ai, content)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert channels.reason(error) == "AUDIO_INVALID"
    assert error.details()


async def test_a_recording_that_is_too_long_is_refused(ai: AiStand) -> None:
    silence = encoded("ogg", "libopus", 48_000, bytes(2 * RATE * 301))
    assert channels.reason(await refusal(ai, silence)) == "AUDIO_TOO_LONG"


async def long_speech(ai: AiStand, media: str) -> list[ai_pb2.RecognizeLongSpeechResponse]:
    stub: Any = ai.stub
    request = ai_pb2.RecognizeLongSpeechRequest(media=media)
    call = stub.RecognizeLongSpeech(request, metadata=ai.metadata, timeout=60)
    return [answer async for answer in call]


async def test_a_long_recording_tells_how_far_it_is_and_what_was_said_there(ai: AiStand) -> None:
    media = f"media/{uuid4()}"
    pause = bytes(2 * RATE * 12)
    sound = spoken() + pause + spoken() + pause
    ai.recordings[media] = encoded("ogg", "libopus", 48_000, sound)
    answers = await long_speech(ai, media)
    said = [segment for answer in answers for segment in answer.segments]
    done = [answer.done.ToMilliseconds() for answer in answers]
    assert [is_right(segment.text) for segment in said] == [True, True]
    assert said[1].start_time.ToMilliseconds() == pytest.approx(17_800, abs=400)
    assert done == sorted(done)
    assert len(done) >= 4
    assert done[-1] == answers[-1].duration.ToMilliseconds() == pytest.approx(34_000, abs=200)


async def test_a_recording_that_is_not_ones_own_is_not_there(ai: AiStand) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await long_speech(ai, f"media/{uuid4()}")
    assert channels.reason(caught.value) == "MEDIA_NOT_FOUND"


async def test_a_language_that_nobody_speaks_is_refused(ai: AiStand) -> None:
    assert channels.reason(await refusal(ai, WAV, language_code="xx")) == "LANGUAGE_NOT_SUPPORTED"


async def test_without_an_account_nothing_is_recognised(ai: AiStand) -> None:
    stub: Any = ai.stub
    request = ai_pb2.RecognizeSpeechRequest(audio=ai_pb2.RecognitionAudio(content=WAV))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RecognizeSpeech(request)
    assert caught.value.code() in (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    )
