"""Running other programs to their end: quiet when they succeed, with what they said when they fail."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import StackError

SAID_LIMIT = 1500
"""How many characters of a failed program's output are passed on."""


async def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
    """Run a command; cancelled, it is killed with all its children. Raises StackError with the end of its output."""
    words = [str(word) for word in command]
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        output = said.decode(errors="replace").strip()[-SAID_LIMIT:]
        raise StackError(f"{' '.join(words)} ended with {process.returncode}:\n{output}")


__all__ = ["run"]
