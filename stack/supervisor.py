"""Starts the processes of a stack in order of readiness, keeps them running, and stops them in reverse.

A process that dies is started again after a delay that doubles up to RESTART_MAX_SECONDS; the rest are left alone.
Nothing outlives the supervisor: on Linux each child gets a signal from the kernel when the supervisor's main thread
ends (PR_SET_PDEATHSIG, prctl(2)), which is why everything is spawned from that thread.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.errors import StackError
from stack.state import ProcessStatus

PR_SET_PDEATHSIG = 1
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
WATCH_SECONDS = 5.0
"""How often a process that is ready is asked again."""
STOP_SECONDS = 15.0
RESTART_MIN_SECONDS = 0.2
RESTART_MAX_SECONDS = 5.0
STEADY_SECONDS = 20.0
"""A process that ran this long is started again without delay."""
FIRST_START_ATTEMPTS = 3
LOG_LIMIT_BYTES = 20_000_000
ROTATE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Unit:
    """How a process is run.

    `ready` returns True once it answers. `before` prepares what it runs on, before each start; `preparation` tells
    people what that is, and is empty where it takes no time worth telling.
    """

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], Awaitable[bool]]
    ports: Mapping[str, int]
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    before: Callable[[], Awaitable[None]] | None = None
    preparation: str = ""
    sends_away: bool = False
    """Whether, as a successor, it makes the one before it end."""


class Supervisor:
    """Runs units, each with a log of its own in `logs`. `changed` is called whenever the state of one changes."""

    def __init__(self, units: Sequence[Unit], logs: Path, changed: Callable[[], None]) -> None:
        self._logs = logs
        self._runners = {
            unit.name: _Runner(unit, logs / f"{unit.name}.log", changed) for unit in units
        }

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Tell how each process does."""
        return tuple(runner.status() for runner in self._runners.values())

    async def run(self, stop: asyncio.Event, started: Callable[[], Awaitable[None]]) -> None:
        """Run everything until `stop`, awaiting `started` once all are ready; then stop all in reverse order.

        Raises StackError when a process can't be started.
        """
        stopping = asyncio.create_task(stop.wait())
        tasks: list[asyncio.Task[None]] = [
            asyncio.create_task(runner.keep([self._runners[need].up for need in runner.unit.needs]))
            for runner in self._runners.values()
        ]
        tasks.append(asyncio.create_task(self._rotate_logs()))
        tasks.append(asyncio.create_task(self._start(started)))
        try:
            await _first_problem(stopping, tasks)
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            await self._stop_all()

    def pid(self, name: str) -> int:
        """Get a process's id; 0 while it does not run."""
        return self._runners[name].status().pid

    async def follow(self, name: str, successor: Unit, *, steady: Unit | None = None) -> None:
        """Have another process take over from the one that runs, without a gap.

        `successor` is started beside it and must become ready; then the old one is asked to stop, unless the successor
        sends it away itself. `steady` is how it is run again if it dies, by default as the successor.
        Raises StackError, with the old one still there, when the successor can't be started.
        """
        await self._runners[name].follow(successor, steady or successor)

    async def _start(self, started: Callable[[], Awaitable[None]]) -> None:
        for runner in self._runners.values():
            await runner.up.wait()
        await started()

    async def _stop_all(self) -> None:
        waiting = dict(self._runners)
        while waiting:
            needed = {need for runner in waiting.values() for need in runner.unit.needs}
            last = [name for name in waiting if name not in needed]
            await asyncio.gather(*(waiting.pop(name).stop() for name in last))

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_SECONDS)
            for log in self._logs.glob("*.log"):
                rotate(log)


class _Runner:
    """One unit, from its first start to its last stop."""

    def __init__(self, unit: Unit, log: Path, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.up = asyncio.Event()
        self._log = log
        self._changed = changed
        self._state = "waiting"
        self._restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._successor: asyncio.subprocess.Process | None = None

    def status(self) -> ProcessStatus:
        pid = self._process.pid if self._process and self._process.returncode is None else 0
        return ProcessStatus(
            self.unit.name, self._state, pid, self._restarts, dict(self.unit.ports)
        )

    async def keep(self, needs: Sequence[asyncio.Event]) -> None:
        """Start the process when what it needs is up, and again whenever it dies. Raises StackError, at first only."""
        for need in needs:
            await need.wait()
        delay = RESTART_MIN_SECONDS
        while True:
            began = time.monotonic()
            await self._run_once()
            if self._successor is not None:
                continue
            self._restarts += 1
            if not self.up.is_set() and self._restarts >= FIRST_START_ATTEMPTS:
                self._set("failed")
                raise StackError(self._failure())
            self._set("restarting")
            steady = time.monotonic() - began > STEADY_SECONDS
            delay = RESTART_MIN_SECONDS if steady else min(delay * 2, RESTART_MAX_SECONDS)
            await asyncio.sleep(delay)

    async def follow(self, successor: Unit, steady: Unit) -> None:
        """Start a successor; once it is ready make it the process, and let the old one go. Raises StackError."""
        process = await self._spawn(successor)
        if not await self._becomes_ready(process, successor):
            raise StackError(
                f"The new {successor.name} does not start; the old one stays. {self._failure()}"
            )
        old, sent_away = self._process, successor.sends_away
        retired = self.unit
        self.unit, self._process, self._successor = steady, process, process
        self._changed()
        if old is not None and old.returncode is None:
            await self._end(old, None if sent_away else retired.stop_signal)

    async def stop(self) -> None:
        """Ask the process to stop, and after STOP_SECONDS see to it."""
        process = self._process
        if process is not None and process.returncode is None:
            self._set("stopping")
            await self._end(process, self.unit.stop_signal)
        self._set("stopped")

    async def _end(
        self, process: asyncio.subprocess.Process, number: signal.Signals | None
    ) -> None:
        if number is not None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            self._note(f"did not stop within {STOP_SECONDS:.0f} s and was killed")
            _kill_group(process.pid)
            await process.wait()

    async def _run_once(self) -> None:
        """Run the process from its preparation, or from where its predecessor ended, to its end."""
        process, self._successor = self._successor, None
        if process is not None:
            return await self._watched(process)
        try:
            process = self._process = await self._spawn(self.unit)
        except (OSError, StackError) as error:
            if not self.up.is_set():
                raise StackError(f"{self.unit.name} can't be started: {error}") from None
            self._note(f"can't be started: {error}")
            return None
        if await self._becomes_ready(process, self.unit):
            self.up.set()
            self._set("ready")
        return await self._watched(process)

    async def _watched(self, process: asyncio.subprocess.Process) -> None:
        try:
            await self._watch(process)
        finally:
            if process.returncode is not None:
                _kill_group(process.pid)  # what it leaves behind, such as a dead Nginx's workers
        self._note(f"ended with status {process.returncode}")

    async def _spawn(self, unit: Unit) -> asyncio.subprocess.Process:
        follows = self._process is not None and self._process.returncode is None
        if unit.before is not None:
            self._set(self._state if follows else "preparing")
            await unit.before()
        self._set(self._state if follows else "starting")
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *map(str, unit.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **unit.environment},
                start_new_session=True,
                preexec_fn=_dying_with(os.getpid(), unit.stop_signal),
                user=unit.user,
                group=unit.user,
                extra_groups=None if unit.user is None else [],
            )

    async def _becomes_ready(self, process: asyncio.subprocess.Process, unit: Unit) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while process.returncode is None:
                    if await _answers(unit):
                        return True
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            self._note(f"was not ready after {READY_SECONDS:.0f} s and was killed")
            process.kill()
            await process.wait()
        return False

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the process to end, and say meanwhile whether it still answers."""
        while process.returncode is None:
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await process.wait()
            except TimeoutError:
                if process is self._process:
                    self._set("ready" if await _answers(self.unit) else "unwell")

    def _failure(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip() and not line.startswith("parley: ")]
        return f"{self.unit.name} does not start. Its log, {self._log}, ends: {' | '.join(told[-2:])[-500:]}"

    def _note(self, text: str) -> None:
        with self._log.open("a") as log:
            log.write(f"parley: {self.unit.name} {text}\n")

    def _set(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._changed()


async def _answers(unit: Unit) -> bool:
    answers = await unit.ready()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # redis-py swallows one that comes while it disconnects
    return answers


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


async def _first_problem(stopping: asyncio.Task[bool], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until told to stop, or until one of the tasks fails."""
    waiting: set[asyncio.Task[bool] | asyncio.Task[None]] = {stopping, *tasks}
    while not stopping.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def _dying_with(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    """Make a child ask for a signal when the parent's spawning thread ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return ask


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


__all__ = ["Supervisor", "Unit", "rotate"]
