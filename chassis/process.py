"""A service as a process: configuration, logs, event loop, signals. `__main__.py` is one call of `run`."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import uvloop

from chassis import logs
from chassis.config import ConfigError, ServiceConfig, load

C = TypeVar("C", bound=ServiceConfig)


def run(
    running: Callable[[C], AbstractAsyncContextManager[object]], kind: type[C], name: str
) -> int:
    """Run a service until SIGTERM or SIGINT, then let it drain. Returns the exit status (2: bad configuration)."""
    try:
        config = load(kind, os.environ)
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    logs.configure(name, config.log_level, config.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(running(config)))
    return 0


async def _until_told(service: AbstractAsyncContextManager[object]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with service:
        gc.collect()
        gc.freeze()  # what is there now stays: looking through it again and again would hold up calls
        await told.wait()


__all__ = ["run"]
