"""TextService over gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from parley.ai.v1 import ai_pb2, ai_pb2_grpc

from chassis import logs
from chassis.calls import deadline
from services.ai.config import Config
from services.ai.domain import ModelNotReady
from services.ai.text import endpoint
from services.ai.text.briefing import Briefer
from services.ai.text.endpoint import EndpointError
from services.ai.text.extractor import Extractor, extractor
from services.ai.text.summary import Line, Point, Summary
from services.ai.text.translation import Translator

EXTRACTION_SECONDS = 10.0
"""What is kept of a call's time for the extractive summary, should the language model not answer."""
NOT_CONFIGURED = (
    "This server translates nothing: name a language model for it, [ai] llm_url and llm_model in parley.toml "
    "(PARLEY_LLM_URL and PARLEY_LLM_MODEL of the ai service)."
)

log = logs.get("ai.text")


class TextServicer(ai_pb2_grpc.TextServiceServicer):
    """Summaries and translations. `briefer` and `translator` are None where the operator has named no language model.

    `seconds` is how long a language model may take.
    """

    def __init__(
        self,
        own: Extractor,
        briefer: Briefer | None,
        translator: Translator | None,
        seconds: float,
    ) -> None:
        self._own = own
        self._briefer = briefer
        self._translator = translator
        self._seconds = seconds

    async def SummarizeText(
        self, request: ai_pb2.SummarizeTextRequest, context: Any
    ) -> ai_pb2.SummarizeTextResponse:
        """Summarise what was said: by the language model, if there is one and it answers, or of the lines themselves."""
        lines = [Line(each.id, each.speaker, each.text) for each in request.lines]
        summary = await self._briefed(lines, request.language_code)
        return _response(summary or await self._own.summarise(lines, request.language_code))

    async def TranslateText(
        self, request: ai_pb2.TranslateTextRequest, context: Any
    ) -> ai_pb2.TranslateTextResponse:
        """Translate lines."""
        if self._translator is None:
            raise ModelNotReady(text=NOT_CONFIGURED)
        try:
            async with asyncio.timeout(self._seconds):
                lines = await self._translator.translate(
                    request.lines, request.source_language_code, request.target_language_code
                )
        except (EndpointError, TimeoutError) as error:
            reason = str(error) or "it took too long"
            raise ModelNotReady(text=f"The language model failed: {reason}.") from None
        return ai_pb2.TranslateTextResponse(lines=lines)

    async def _briefed(self, lines: list[Line], language: str) -> Summary | None:
        if self._briefer is None:
            return None
        due = deadline.get()
        left = self._seconds if due is None else due - time.monotonic() - EXTRACTION_SECONDS
        try:
            async with asyncio.timeout(min(self._seconds, left)):
                return await self._briefer.summarise(lines, language)
        except (EndpointError, TimeoutError) as error:
            log.warning("summary is extractive", detail=str(error) or "it took too long")
            return None


@asynccontextmanager
async def text_servicer(config: Config) -> AsyncIterator[TextServicer]:
    """Put the servicer together; what it keeps is kept until the block ends."""
    async with endpoint.client(config.llm_seconds) as client, extractor() as own:
        briefer, translator = None, None
        if config.llm_url:
            model = endpoint.Endpoint(client, config.llm_url, config.llm_model, config.llm_key)
            briefer = Briefer(model, config.llm_prompt_bytes)
            translator = Translator(model, config.llm_prompt_bytes)
        yield TextServicer(own, briefer, translator, config.llm_seconds)


def _response(summary: Summary) -> ai_pb2.SummarizeTextResponse:
    return ai_pb2.SummarizeTextResponse(
        overview=summary.overview,
        topics=map(_point, summary.topics),
        decisions=map(_point, summary.decisions),
        action_items=map(_point, summary.action_items),
        model=summary.model,
    )


def _point(point: Point) -> ai_pb2.TextPoint:
    return ai_pb2.TextPoint(
        text=point.text, line_ids=point.line_ids, assignee=point.assignee, due=point.due
    )


__all__ = ["TextServicer", "text_servicer"]
