"""Final captions in other languages, by the ai service's TextService. Where it is away, or behind, there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.ai.v1.ai_pb2 import SpeechHypothesis

from chassis import telemetry
from chassis.stopping import stop

AT_ONCE = 32
"""Captions that are being translated; more are not."""
TIMEOUT_SECONDS = 5.0

_untranslated = telemetry.counter(
    "media_captions_untranslated", "Translations of captions that could not be had, or not in time."
)

Then = Callable[[Mapping[str, str]], None]
"""Gets the translations, by language."""


class Translator:
    """Translates the captions of all rooms of this worker."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._stub: ai_pb2_grpc.TextServiceAsyncStub = ai_pb2_grpc.TextServiceStub(mesh)
        self._tasks: set[asyncio.Task[None]] = set()

    def translate(self, speech: SpeechHypothesis, languages: Sequence[str], then: Then) -> None:
        """Have a caption translated into other languages than its own."""
        others = [each for each in languages if each and each != speech.language_code]
        if not others:
            return
        if len(self._tasks) >= AT_ONCE:
            _untranslated.inc(len(others))
            return
        task = asyncio.create_task(self._translate(speech, others, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Translate nothing more."""
        await stop(*self._tasks)

    async def _translate(
        self, speech: SpeechHypothesis, languages: Sequence[str], then: Then
    ) -> None:
        lines = await asyncio.gather(*(self._line(speech, language) for language in languages))
        translations = {
            language: line for language, line in zip(languages, lines, strict=True) if line
        }
        if translations:
            then(translations)

    async def _line(self, speech: SpeechHypothesis, language: str) -> str:
        """Translate into one language; empty where that can't be."""
        request = ai_pb2.TranslateTextRequest(
            lines=[speech.text],
            source_language_code=speech.language_code,
            target_language_code=language,
        )
        try:
            answer = await self._stub.TranslateText(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            _untranslated.inc()
            return ""
        return next(iter(answer.lines), "")


__all__ = ["Translator"]
