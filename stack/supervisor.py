"""Starts the processes of a stack in order of readiness, keeps them running, and stops them in reverse.

A process that dies is started again after a delay that doubles up to RESTART_MAX_SECONDS; the rest are left alone.
Nothing outlives the supervisor: each child gets a signal from the kernel when the supervisor's main thread ends
(PR_SET_PDEATHSIG, prctl(2)), which is why everything is spawned from that thread.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.errors import StackError
from stack.state import ProcessStatus

PR_SET_PDEATHSIG = 1
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
STOP_SECONDS = 15.0
RESTART_MIN_SECONDS = 0.2
RESTART_MAX_SECONDS = 5.0
STEADY_SECONDS = 20.0
"""A process that ran this long is started again without delay."""
LOG_LIMIT_BYTES = 20_000_000
FIRST_START_ATTEMPTS = 3

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Unit:
    """How a process is run. `ready` returns True once it answers; `before` prepares what it runs on."""

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], Awaitable[bool]]
    ports: Mapping[str, int]
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    before: Callable[[], Awaitable[None]] | None = None


class Supervisor:
    """Runs units. `changed` is called whenever one's state changes."""

    def __init__(
        self, units: Sequence[Unit], log_of: Callable[[str], Path], changed: Callable[[], None]
    ) -> None:
        self._runners = {unit.name: _Runner(unit, log_of(unit.name), changed) for unit in units}

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Tell how each process does."""
        return tuple(runner.status() for runner in self._runners.values())

    async def run(self, stop: asyncio.Event, started: Callable[[], None]) -> None:
        """Run everything until `stop`, calling `started` once all are ready; then stop all in reverse order.

        Raises StackError when a process can't be started.
        """
        keepers = [
            asyncio.create_task(runner.keep([self._runners[need].up for need in runner.unit.needs]))
            for runner in self._runners.values()
        ]
        rotating = asyncio.create_task(self._rotate_logs())
        ready = asyncio.create_task(self._all_up())
        stopping = asyncio.create_task(stop.wait())
        try:
            await _first([ready, stopping, *keepers])
            if not stop.is_set():
                started()
                await _first([stopping, *keepers])
        finally:
            for task in (*keepers, rotating, ready, stopping):
                task.cancel()
            await asyncio.gather(*keepers, rotating, ready, stopping, return_exceptions=True)
            await self._stop_all()

    async def _all_up(self) -> None:
        for runner in self._runners.values():
            await runner.up.wait()

    async def _stop_all(self) -> None:
        waiting = dict(self._runners)
        while waiting:
            needed = {need for runner in waiting.values() for need in runner.unit.needs}
            last = [name for name in waiting if name not in needed]
            await asyncio.gather(*(waiting.pop(name).stop() for name in last))

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(30)
            for runner in self._runners.values():
                rotate(runner.log)


class _Runner:
    def __init__(self, unit: Unit, log: Path, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.log = log
        self.up = asyncio.Event()
        self._changed = changed
        self._state = "waiting"
        self._restarts = 0
        self._process: asyncio.subprocess.Process | None = None

    def status(self) -> ProcessStatus:
        pid = self._process.pid if self._process and self._process.returncode is None else 0
        return ProcessStatus(
            self.unit.name, self._state, pid, self._restarts, dict(self.unit.ports)
        )

    async def keep(self, needs: Sequence[asyncio.Event]) -> None:
        for need in needs:
            await need.wait()
        attempt, delay = 1, RESTART_MIN_SECONDS
        while True:
            began = time.monotonic()
            self._set("starting" if not self._restarts else "restarting")
            process = await self._spawn()
            if await self._becomes_ready(process):
                self.up.set()
                self._set("ready")
                await process.wait()
            elif not self.up.is_set() and attempt >= FIRST_START_ATTEMPTS:
                self._set("failed")
                raise StackError(self._failure())
            attempt += 1
            self._restarts += 1
            self._set("restarting")
            steady = time.monotonic() - began > STEADY_SECONDS
            delay = RESTART_MIN_SECONDS if steady else min(delay * 2, RESTART_MAX_SECONDS)
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            self._set("stopping")
            process.send_signal(self.unit.stop_signal)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                _kill_group(process.pid)
                await process.wait()
        self._set("stopped")

    async def _spawn(self) -> asyncio.subprocess.Process:
        if self.unit.before is not None:
            await self.unit.before()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *map(str, self.unit.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.unit.environment},
                start_new_session=True,
                preexec_fn=_die_with_parent(self.unit.stop_signal),
                user=self.unit.user,
                group=self.unit.user,
                extra_groups=None if self.unit.user is None else [],
            )
        return self._process

    async def _becomes_ready(self, process: asyncio.subprocess.Process) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while process.returncode is None:
                    if await self.unit.ready():
                        return True
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        return False

    def _failure(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-3:]
        last = " | ".join(line.strip() for line in lines if line.strip())
        return f"{self.unit.name} does not start. Its log, {self.log}, ends: {last[-600:]}"

    def _set(self, state: str) -> None:
        self._state = state
        self._changed()


def rotate(log: Path, limit: int = LOG_LIMIT_BYTES) -> None:
    """Keep a log that others append to within `limit` bytes, with one older copy beside it."""
    try:
        if log.stat().st_size <= limit:
            return
        older = log.with_suffix(".log.1")
        older.write_bytes(log.read_bytes()[-limit:])
        os.truncate(log, 0)
    except FileNotFoundError:
        return


async def _first(tasks: Sequence[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    def ask() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return ask


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


__all__ = ["Supervisor", "Unit", "rotate"]
