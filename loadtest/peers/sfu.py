"""What a benchmark wants of an SFU: that clients can join its rooms, and that its processes can be watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from loadtest.media.participant import Participant

STOP_SECONDS = 5.0


class SfuFailed(Exception):
    """The SFU did not start, or refused; the text says why."""


class Sfu(Protocol):
    """A running SFU. `pids` are those of its processes."""

    @property
    def pids(self) -> Sequence[int]: ...

    async def join(self, room: int, client: Participant) -> None:
        """Seat a client in a room, up to where what it sends is on its way. Raises SfuFailed, ConnectionFailed."""
        ...


@asynccontextmanager
async def process(
    command: Sequence[str], log: Path, environment: Mapping[str, str], *, piped: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server until the block ends; what it says goes to a log, or through pipes."""
    pipe = asyncio.subprocess.PIPE
    with log.open("ab") as output:
        started = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe if piped else asyncio.subprocess.DEVNULL,
            stdout=pipe if piped else output,
            stderr=output,
            env=dict(environment),
            limit=1 << 22,
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        try:
            await asyncio.wait_for(started.wait(), STOP_SECONDS)
        except TimeoutError:
            started.kill()
            await started.wait()


__all__ = ["Sfu", "SfuFailed", "process"]
