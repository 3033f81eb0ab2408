"""Has models prepared beside a running service, one after the other, in processes of low priority.

What is fetched and built takes minutes and hundreds of megabytes; neither are the service's. What can't be had is tried
again, ever more seldom.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path

from chassis import logs
from services.ai.models import store
from services.ai.models.errors import ModelError
from services.ai.models.manifest import Manifest

RETRY_MIN_SECONDS = 30.0
RETRY_MAX_SECONDS = 900.0

log = logs.get("ai.models")


class State(Enum):
    """Where a model stands."""

    PREPARING = auto()
    READY = auto()
    FAILED = auto()


class Keeper:
    """The models of a service, in the order in which they are prepared by `run`.

    `operators` is the operator's folder of manifests, for the processes that build.
    """

    def __init__(
        self, manifests: Sequence[Manifest], cache: Path, operators: Path | None = None
    ) -> None:
        self.manifests = manifests
        self._cache = cache
        self._operators = operators
        self._states = {manifest.name: State.PREPARING for manifest in manifests}
        self._ready = {manifest.name: asyncio.Event() for manifest in manifests}

    @property
    def states(self) -> Mapping[str, State]:
        """Where each model stands, by name."""
        return self._states

    async def ready(self, manifest: Manifest) -> Path:
        """Wait until a model is ready; returns its folder."""
        await self._ready[manifest.name].wait()
        return store.home(manifest, self._cache)

    async def run(self) -> None:
        """Prepare what is missing until nothing is."""
        missing, delay = list(self.manifests), RETRY_MIN_SECONDS
        while missing := [each for each in missing if not await self._prepared(each)]:
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX_SECONDS)

    async def _prepared(self, manifest: Manifest) -> bool:
        """Prepare a model. Returns whether it is ready."""
        try:
            if await asyncio.to_thread(store.problems, manifest, self._cache):
                await self._build(manifest)
            await asyncio.to_thread(store.ready, manifest, self._cache)
        except ModelError as error:
            self._states[manifest.name] = State.FAILED
            log.warning("model can't be had", model=manifest.label, error=str(error))
            return False
        self._states[manifest.name] = State.READY
        self._ready[manifest.name].set()
        log.info("model is ready", model=manifest.label)
        return True

    async def _build(self, manifest: Manifest) -> None:
        """Have another process build a model; it ends when this one does. Raises ModelError."""
        log.info("model is being prepared", model=manifest.label)
        command = [sys.executable, "-m", "services.ai.models", "build", manifest.name, "--beside"]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self._environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        try:
            said = await process.stderr.read()
            status = await process.wait()
        except asyncio.CancelledError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        if status != 0:
            lines = said.decode(errors="replace").strip().splitlines() or [f"ended with {status}"]
            raise ModelError(f"{manifest.label}: {lines[-1].removeprefix(f'{manifest.label}: ')}")

    def _environment(self) -> dict[str, str]:
        operators = str(self._operators) if self._operators else ""
        own = {"PARLEY_MODELS": str(self._cache), "PARLEY_MODEL_MANIFESTS": operators}
        return {**os.environ, **own}


__all__ = ["Keeper", "State"]
