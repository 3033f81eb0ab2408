"""Stopping tasks for certain: on Python 3.11 a cancellation can get lost.

`asyncio.wait_for`, which redis-py sends its commands with, drops a cancellation that comes just as what it waits for is
done (python/cpython#86296, mended in 3.12). So whoever cancels looks whether it helped, and loops that run for ever
look whether they still should.
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they are over; what they raised is theirs to be asked for."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)


__all__ = ["stop"]
