"""An OpenAI-compatible endpoint on 127.0.0.1 that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, and what stands in it; `content` is what the model says, `body` the whole in its place."""

    content: str = ""
    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def written(self) -> bytes:
        completion = {"choices": [{"message": {"role": "assistant", "content": self.content}}]}
        body = (self.body or json.dumps(completion)).encode()
        own = {"content-type": "application/json", "content-length": len(body), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in own.items())
        return f"HTTP/1.1 {self.status} Told\r\nconnection: close\r\n{head}\r\n".encode() + body


def said(answer: Any) -> Reply:
    """Have the model say JSON."""
    return Reply(json.dumps(answer, ensure_ascii=False))


class Silence(Exception):
    """Raised in place of an answer: there is none, ever."""


Answer = Callable[[dict[str, Any]], Reply]


class LlmEndpoint:
    """`answer` is asked for each reply; `asked` has the requests' bodies, `keys` what they were authorised with."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answer: Answer = lambda _: Reply(status=500)
        self._done = asyncio.Event()

    def replies(self, *replies: Reply) -> None:
        """Give these answers, one after the other; the last for ever."""
        left = list(replies)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    @property
    def prompts(self) -> list[str]:
        """What the model was given to work on."""
        return [each["messages"][1]["content"] for each in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        self.keys.append(headers.get("authorization", ""))
        assert head.startswith("POST /v1/chat/completions ")
        self.asked.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
        try:
            writer.write(self.answer(self.asked[-1]).written())
            await writer.drain()
        except Silence:
            await self._done.wait()
        writer.close()

    def stop(self) -> None:
        self._done.set()


@asynccontextmanager
async def llm_endpoint() -> AsyncIterator[LlmEndpoint]:
    """Run an endpoint until the block ends."""
    endpoint = LlmEndpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        endpoint.stop()
        server.close()
        await server.wait_closed()


__all__ = ["LlmEndpoint", "Reply", "Silence", "llm_endpoint", "said"]
