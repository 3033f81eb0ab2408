"""A language model behind an OpenAI-compatible endpoint (`POST …/chat/completions`), asked for JSON.

What is asked and what is answered is logged nowhere. What is answered is anybody's word until it is checked.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from chassis import logs, telemetry

T = TypeVar("T")

MAX_ANSWER_BYTES = 1024 * 1024
CONNECT_SECONDS = 5.0
MAX_PAUSE_SECONDS = 2.0
"""How long is waited at most before the second of two attempts."""
PLACES = 4
"""Requests under way at once."""

_REFUSALS = (400, 422)

log = logs.get("ai.text")

_requests = telemetry.counter(
    "ai_llm_requests", "Requests to the language model, by how they ended.", ("outcome",)
)


class EndpointError(Exception):
    """The endpoint did not answer, or not with what was asked for. The text has nothing of either."""


class _Transient(EndpointError):
    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked: how it shall do it, on which text, and the JSON schema of the answer."""

    instructions: str
    text: str
    schema: Mapping[str, Any]


class Endpoint:
    """An endpoint `url`, such as `https://llm.example.org/v1`, and its `model`. `key` may be empty."""

    def __init__(self, client: httpx.AsyncClient, url: str, model: str, key: str = "") -> None:
        self.model = model
        self._client = client
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._headers = {"accept-encoding": "identity"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._places = asyncio.Semaphore(PLACES)
        self._takes_schema = True

    async def ask(self, question: Question, read: Callable[[Any], T]) -> T:
        """Ask, and have the answer read by `read`, which raises ValueError for one that will not do.

        What fails is tried once more, if there is a chance. Raises EndpointError.
        """
        try:
            try:
                return await self._asked(question, read)
            except _Transient as error:
                await asyncio.sleep(error.pause)
                return await self._asked(question, read)
        except EndpointError as error:
            _requests.labels("failed").inc()
            log.warning("language model failed", detail=str(error))
            raise

    async def _asked(self, question: Question, read: Callable[[Any], T]) -> T:
        async with self._places:
            content = await self._content(question)
        try:
            answer = read(_object(content))
        except ValueError:
            raise _Transient("it answered something else than was asked for") from None
        _requests.labels("ok").inc()
        return answer

    async def _content(self, question: Question) -> str:
        answer = await self._posted(question)
        try:
            content = _json(answer)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            raise _Transient("it answered no chat completion") from None
        if not isinstance(content, str):
            raise _Transient("it answered no text")
        return content

    async def _posted(self, question: Question) -> bytes:
        """Ask with a schema; without one where it is refused, and from then on, if that helped."""
        status, answer = await self._sent(question, with_schema=self._takes_schema)
        if status in _REFUSALS and self._takes_schema:
            status, answer = await self._sent(question, with_schema=False)
            self._takes_schema = status in _REFUSALS
        if status != 200:
            raise EndpointError(f"it answered {status}")
        return answer

    async def _sent(self, question: Question, *, with_schema: bool) -> tuple[int, bytes]:
        body = self._body(question, with_schema=with_schema)
        try:
            async with self._client.stream(
                "POST", self._url, json=body, headers=self._headers
            ) as response:
                _check_transient(response)
                return response.status_code, await _read(response)
        except httpx.HTTPError as error:
            raise _Transient(f"it can't be reached ({type(error).__name__})") from None

    def _body(self, question: Question, *, with_schema: bool) -> Mapping[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": question.instructions},
                {"role": "user", "content": question.text},
            ],
        }
        if with_schema:
            schema = {"name": "answer", "strict": True, "schema": question.schema}
            body |= {
                "temperature": 0,
                "response_format": {"type": "json_schema", "json_schema": schema},
            }
        return body


def client(seconds: float) -> httpx.AsyncClient:
    """Make what speaks HTTP; an answer may take so many seconds."""
    return httpx.AsyncClient(timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS))


def array_of(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Describe an array of objects that have all of these properties (JSON Schema)."""
    return {"type": "array", "items": object_of(properties)}


def object_of(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Describe an object that has all of these properties and no others (JSON Schema)."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parts(texts: Sequence[str], limit: int) -> list[range]:
    """Cut texts into runs of at most `limit` bytes, or of one text that has more."""
    found, start, size = [], 0, 0
    for at, text in enumerate(texts):
        length = len(text.encode())
        if at > start and size + length > limit:
            found.append(range(start, at))
            start, size = at, 0
        size += length
    return [*found, range(start, len(texts))] if texts else []


def _check_transient(response: httpx.Response) -> None:
    status = response.status_code
    if status == 429 or status >= 500:
        raise _Transient(f"it answered {status}", _pause(response.headers.get("retry-after", "")))


def _pause(retry_after: str) -> float:
    return min(float(retry_after), MAX_PAUSE_SECONDS) if retry_after.isdecimal() else 0.2


async def _read(response: httpx.Response) -> bytes:
    found = bytearray()
    async for piece in response.aiter_bytes():
        found += piece
        if len(found) > MAX_ANSWER_BYTES:
            raise EndpointError("its answer is too long")
    return bytes(found)


def _object(content: str) -> Any:
    """Find the JSON object in an answer; some models think first, or put a fence around it. Raises ValueError."""
    text = re.sub(r"<think>.*?</think>", "", content, flags=re.DOTALL)
    return _json(text[text.find("{") : text.rfind("}") + 1])


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


__all__ = [
    "Endpoint",
    "EndpointError",
    "Question",
    "array_of",
    "client",
    "object_of",
    "parts",
]
