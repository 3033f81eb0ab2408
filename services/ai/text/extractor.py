"""Has extractive summaries made by a process of its own, so that neither their work nor their libraries weigh on us.

It takes seconds to begin, so it stays for a while: who asks to be caught up is seldom alone. One that is cut short is
killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple

from services.ai.domain import AiBusy
from services.ai.text.summary import Line, Summary

IDLE_SECONDS = 120.0
MAX_WAITING = 16
RETRY_SECONDS = 5.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024

_COMMAND = (sys.executable, "-m", "services.ai.text")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Extractor:
    """Makes one summary after the other. Those who wait are no more than MAX_WAITING."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: Process | None = None
        self._leaving: asyncio.TimerHandle | None = None

    async def summarise(self, lines: Sequence[Line], language: str = "") -> Summary:
        """Summarise lines. Raises AiBusy."""
        if self._waiting > MAX_WAITING:
            raise AiBusy(retry_after=RETRY_SECONDS)
        asked = {"lines": [astuple(line) for line in lines], "language": language}
        self._waiting += 1
        try:
            async with self._turn:
                answer = await self._answered(json.dumps(asked).encode())
        finally:
            self._waiting -= 1
        return Summary.of_plain(json.loads(answer))

    async def close(self) -> None:
        """End the process."""
        if self._leaving is not None:
            self._leaving.cancel()
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def _answered(self, asked: bytes) -> bytes:
        process = await self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(asked + b"\n")
            await process.stdin.drain()
            answer = await process.stdout.readuntil()
        except BaseException:
            await self.close()
            raise
        self._leaving = asyncio.get_running_loop().call_later(IDLE_SECONDS, process.stdin.close)
        return answer

    async def _ready(self) -> Process:
        """Get the process; a new one where there is none, or one that leaves."""
        if self._leaving is not None:
            self._leaving.cancel()
        found = self._process
        if found is None or found.returncode is not None or found.stdin.is_closing():  # type: ignore[union-attr]  # it is a pipe
            await self.close()
            self._process = found = await asyncio.create_subprocess_exec(
                *_COMMAND,
                env={**os.environ, **_ONE_THREAD},
                stdin=PIPE,
                stdout=PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=MAX_ANSWER_BYTES,
            )
        return found


@asynccontextmanager
async def extractor() -> AsyncIterator[Extractor]:
    """Have summaries made until the block ends."""
    it = Extractor()
    try:
        yield it
    finally:
        await it.close()


__all__ = ["Extractor", "extractor"]
