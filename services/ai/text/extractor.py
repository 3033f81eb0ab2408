"""Has extractive summaries made, each by a process of its own: its libraries and its work leave nothing behind here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple

from services.ai.domain import AiBusy
from services.ai.text.summary import Line, Summary

MAX_WAITING = 16
RETRY_SECONDS = 5.0

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Extractor:
    """Makes `places` summaries at once. The others wait; no more than MAX_WAITING."""

    def __init__(self, places: int = 1) -> None:
        self._places = asyncio.Semaphore(places)
        self._waiting = 0

    async def summarise(self, lines: Sequence[Line], language: str = "") -> Summary:
        """Summarise lines. Raises AiBusy."""
        if self._waiting == MAX_WAITING:
            raise AiBusy(retry_after=RETRY_SECONDS)
        asked = json.dumps({"lines": [astuple(line) for line in lines], "language": language})
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            return Summary.of_plain(json.loads(await _answered(asked.encode())))
        finally:
            self._places.release()


async def _answered(asked: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ai.text",
        env={**os.environ, **_ONE_THREAD},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        answer, _ = await process.communicate(asked)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ChildProcessError(f"the process that summarises ended with {process.returncode}")
    return answer


__all__ = ["Extractor"]
