"""AiService.Analyze over real gRPC with the real network: speech is found, and noise is not."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from chassis import channels
from tests.ai_stand import RATE, ai_running, audio, pieces, start

SPEECH = Path(__file__).parents[2] / "browser" / "data" / "speech.wav"


def spoken() -> bytes:
    """Three seconds of speech and one of silence."""
    with wave.open(str(SPEECH)) as file:
        return bytes(file.readframes(file.getnframes())) + bytes(2 * RATE)


def noise() -> bytes:
    samples = np.random.default_rng(7).normal(0, 5000, 3 * RATE).clip(-32_768, 32_767)
    return samples.astype("<i2").tobytes()


def tone() -> bytes:
    return (9000 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype("<i2").tobytes()


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[ai_pb2_grpc.AiServiceAsyncStub]:
    async with ai_running(tmp_path, max_streams=20) as it:
        yield it.stub


async def changes(stub: Any, pcm: bytes) -> list[tuple[bool, float]]:
    found = []
    async for response in stub.Analyze(iter([start(), *pieces(pcm)])):
        if response.HasField("voice_activity"):
            change = response.voice_activity
            found.append((change.speaking, change.offset.ToMicroseconds() / 1e6))
    return found


async def refusal(stub: Any, *requests: ai_pb2.AnalyzeRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.Analyze(iter(requests)):
            pass
    return caught.value


async def test_speech_begins_with_the_first_words_and_ends_after_the_last(stub: Any) -> None:
    (began, since), (ended, until) = await changes(stub, spoken())
    assert (began, ended) == (True, False)
    assert since < 0.5
    assert 2.5 < until < 4.0


@pytest.mark.parametrize(
    "sound", [bytes(6 * RATE), noise(), tone()], ids=["silence", "noise", "tone"]
)
async def test_what_is_no_speech_never_speaks(stub: Any, sound: bytes) -> None:
    assert await changes(stub, sound) == []


async def test_streams_side_by_side_do_not_hear_each_other(stub: Any) -> None:
    sounds = [spoken(), noise(), bytes(6 * RATE)] * 5
    alone = [await changes(stub, sound) for sound in sounds[:3]]
    assert await asyncio.gather(*(changes(stub, sound) for sound in sounds)) == alone * 5


async def test_the_first_answer_names_the_model(stub: Any) -> None:
    answers = [answer async for answer in stub.Analyze(iter([start()]))]
    assert [list(answer.started.models) for answer in answers] == [["silero-vad@6.2.3"]]


@pytest.mark.parametrize(
    ("requests", "code", "reason"),
    [
        ([audio(bytes(2))], grpc.StatusCode.INVALID_ARGUMENT, "START_FIRST"),
        ([], grpc.StatusCode.INVALID_ARGUMENT, "START_FIRST"),
        ([start(), start()], grpc.StatusCode.INVALID_ARGUMENT, "START_FIRST"),
        ([start(), audio(bytes(3))], grpc.StatusCode.INVALID_ARGUMENT, "AUDIO_INVALID"),
        ([start(), audio(bytes(32_002))], grpc.StatusCode.INVALID_ARGUMENT, None),
        ([start(), audio(b"")], grpc.StatusCode.INVALID_ARGUMENT, None),
    ],
    ids=["sound first", "nothing", "start twice", "odd", "too much", "empty"],
)
async def test_what_cannot_be_used_is_refused_by_name(
    stub: Any, requests: list[ai_pb2.AnalyzeRequest], code: grpc.StatusCode, reason: str | None
) -> None:
    error = await refusal(stub, *requests)
    assert error.code() is code
    assert reason is None or channels.reason(error) == reason


async def test_a_full_server_says_when_to_try_again_and_a_cancelled_stream_frees_its_place(
    tmp_path: Path,
) -> None:
    async with ai_running(tmp_path, max_streams=1) as it:
        stub: Any = it.stub
        first = stub.Analyze()
        await first.write(start())
        await first.read()
        error = await refusal(stub, start())
        assert channels.reason(error) == "TOO_MANY_STREAMS"
        status = channels.status(error)
        assert status is not None
        assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)
        first.cancel()
        async with asyncio.timeout(10):
            while await _is_refused(stub):
                pass


async def _is_refused(stub: Any) -> bool:
    try:
        async for _ in stub.Analyze(iter([start()])):
            pass
    except grpc.aio.AioRpcError as error:
        assert channels.reason(error) == "TOO_MANY_STREAMS"
        return True
    return False
