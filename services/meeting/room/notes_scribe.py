"""Has updates of shared notes merged, one after the other, by a process that is begun when it is first needed.

One that falls, or does not answer, takes nothing with it but an update by which the next falls, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from chassis import logs, telemetry
from chassis.errors import Unavailable
from services.meeting.room.notes import NOTHING, Merged, NotesBehind, NotesUpdateInvalid
from services.meeting.room.notes_frames import ANSWER, BEHIND, INVALID, REQUEST

MODULE = "services.meeting.room.notes_merger"
ATTEMPTS = 2
MERGE_SECONDS = 2.0
BEGIN_SECONDS = 10.0
FALLS = (TimeoutError, asyncio.IncompleteReadError, ConnectionError)

log = logs.get("meeting.notes")

_fallen = telemetry.counter("meeting_notes_mergers_fallen", "Merging processes that fell.")


class Scribe:
    """Merges; `run` runs beside it, and ends its process."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def merge(self, document: bytes, update: bytes) -> Merged:
        """Merge an update into a document. Raises NotesUpdateInvalid, NotesBehind, Unavailable."""
        async with self._turn:
            verdict, merged, text = await self._merge(document, update)
        if verdict == INVALID:
            raise NotesUpdateInvalid
        if verdict == BEHIND:
            raise NotesBehind
        return Merged(merged, text.decode())

    async def _merge(self, document: bytes, update: bytes) -> tuple[int, bytes, bytes]:
        """Merge by a process; an update by which it falls twice is no good."""
        for _ in range(ATTEMPTS):
            process = await self._running()
            try:
                async with asyncio.timeout(MERGE_SECONDS):
                    return await _ask(process, document, update)
            except FALLS as error:
                _fallen.inc()
                log.error("merging process fell", error=type(error).__name__, size=len(update))
                await self._end()
            except asyncio.CancelledError:
                await asyncio.shield(self._end())  # what it answers now is nobody's
                raise
        return INVALID, b"", b""

    async def run(self) -> None:
        """Wait until cancelled, then end the process."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._end()

    async def _running(self) -> Process:
        """Get the process, begun if need be. Raises Unavailable."""
        if self._process is not None:
            return self._process
        command = (sys.executable, "-m", MODULE)
        environment = {**os.environ, "RUST_BACKTRACE": "0"}
        process = self._process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
        )
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await _ask(process, NOTHING, NOTHING)
        except FALLS as error:
            await self._end()
            raise Unavailable from error
        return process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _ask(process: Process, document: bytes, update: bytes) -> tuple[int, bytes, bytes]:
    if process.stdin is None or process.stdout is None:
        raise ConnectionError
    process.stdin.write(REQUEST.pack(len(document), len(update)) + document + update)
    await process.stdin.drain()
    verdict, *sizes = ANSWER.unpack(await process.stdout.readexactly(ANSWER.size))
    merged, text = [await process.stdout.readexactly(size) for size in sizes]
    return verdict, merged, text


__all__ = ["Scribe"]
