"""`python -m loadtest.ai_live MODEL TALKERS SECONDS`: people who talk all the time, recognised as they do, on one thread.

One process with the models of speech that a service has, and as many streams as there are talkers, each with recorded
speech at the speed at which it was spoken. Prints, as JSON, what it cost and how late texts were: `cpu` seconds per
second of sound, `final` and `first` latencies in seconds, and `rss` in bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import psutil
from parley.ai.v1 import ai_pb2
from parley.ai.v1.ai_pb2 import AnalyzeRequest

from loadtest.corpus.clips import clips
from loadtest.peers.parley_dictation import MODELS, prepared
from services.ai import messages
from services.ai.analysis import Analysis
from services.ai.desk import Desk
from services.ai.engines import Engines
from services.ai.silero import SileroVad
from services.ai.speech import WhisperRecogniser
from services.ai.whisper.model import Whisper

RATE = 16_000
PIECE = RATE // 10
PAUSE = RATE
"""Between sentences."""


@dataclass(slots=True)
class Latencies:
    """How late texts were, in seconds: final ones after the end of speech, first ones after its beginning."""

    final: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


def engines(voice: ThreadPoolExecutor, inference: ThreadPoolExecutor) -> Engines:
    """Load what a service has by default. Raises ModelError."""
    base, tiny = Whisper(prepared(MODELS["base"])), Whisper(prepared(MODELS["tiny.en"]))
    network = SileroVad(prepared("silero-vad"))
    return Engines(
        network,
        voice,
        voice,
        Desk(inference, 1),
        recogniser=WhisperRecogniser(base, {"en": tiny}),
    )


def spoken(talker: int) -> Iterator[bytes]:
    """Give a talker's sound for ever, in pieces; no two begin with the same sentence."""
    sentences = [each.samples for each in clips() if each.language == "en"]
    silence = np.zeros(PAUSE, np.int16)
    first = talker * 17 % len(sentences)
    waiting = np.zeros(0, np.int16)
    for sentence in itertools.cycle([*sentences[first:], *sentences[:first]]):
        waiting = np.concatenate([waiting, sentence, silence])
        while len(waiting) >= PIECE:
            piece, waiting = waiting[:PIECE], waiting[PIECE:]
            yield piece.astype("<i2").tobytes()


async def talk(there: Engines, talker: int, language: str, seconds: float, late: Latencies) -> None:
    """Have one talker recognised for so long."""
    start = ai_pb2.AnalysisStart(
        participant=f"meetings/{talker // 4}/participants/{talker}",
        features=[ai_pb2.ANALYSIS_FEATURE_SPEECH],
        recognition=ai_pb2.RecognitionConfig(language_code=language),
    )
    await asyncio.sleep(talker * 0.13)
    began = time.monotonic()
    shown = 0

    async def requests() -> AsyncIterator[AnalyzeRequest]:
        for number, pcm in enumerate(spoken(talker)):
            at = number * PIECE / RATE
            if at > seconds:
                return
            await asyncio.sleep(max(0.0, began + at + PIECE / RATE - time.monotonic()))
            chunk = ai_pb2.AudioChunk(pcm=pcm, offset=messages.duration(at))
            yield AnalyzeRequest(audio=chunk)

    async for answer in Analysis(there, start).answers(requests()):
        if not answer.HasField("speech"):
            continue
        now, speech = time.monotonic() - began, answer.speech
        if speech.final:
            late.final.append(now - speech.end_time.ToMilliseconds() / 1000)
        if speech.segment > shown and not speech.final:
            late.first.append(now - speech.start_time.ToMilliseconds() / 1000)
        shown = max(shown, speech.segment)


async def measure(language: str, talkers: int, seconds: float) -> dict[str, object]:
    """Let them talk; `language`: `en` for the small model, empty for that of any language, which tells it by itself."""
    late = Latencies()
    with ThreadPoolExecutor(1) as voice, ThreadPoolExecutor(1) as inference:
        there = engines(voice, inference)
        await asyncio.gather(*(talk(there, n, language, 3.0, Latencies()) for n in range(2)))
        began = time.process_time()
        await asyncio.gather(*(talk(there, n, language, seconds, late) for n in range(talkers)))
        spent = time.process_time() - began
    return {
        "cpu": spent / (talkers * seconds),
        "final": late.final,
        "first": late.first,
        "rss": psutil.Process().memory_info().rss,
    }


def main(arguments: Sequence[str]) -> None:
    """Print what was measured."""
    model, talkers, seconds = arguments
    language = {"base": "", "tiny.en": "en"}[model]
    print(json.dumps(asyncio.run(measure(language, int(talkers), float(seconds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
