"""What the stack itself costs: seconds from `./parley up` to ready when warm, and memory when idle.

Memory is PSS, so that what processes share counts once (Linux, /proc/PID/smaps_rollup).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from stack.bench import Figure
from stack.errors import StackError
from stack.ports import check_free
from stack.state import State
from stack.topology import SIDE_BY_SIDE, topology

WARM_STARTS = 3
SETTLE_SECONDS = 10.0
READY_BAR_SECONDS = 10.0
IDLE_BAR_MB = 1500.0
OFFSETS = range(21_000, 40_000, SIDE_BY_SIDE)


def main() -> list[Figure]:
    """Measure on a state folder of its own: one cold start to fill it, then the warm ones."""
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with running(folder):
            pass
        seconds = [_warm_start(folder) for _ in range(WARM_STARTS)]
        with running(folder):
            time.sleep(SETTLE_SECONDS)
            memory = _memory(State(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    slowest, total = max(seconds), sum(memory.values())
    return [
        Figure(
            "up, warm, until ready (slowest)",
            slowest,
            "s",
            f"< {READY_BAR_SECONDS:.0f} s",
            slowest < READY_BAR_SECONDS,
        ),
        Figure("up, warm, until ready (fastest)", min(seconds), "s"),
        Figure(
            "idle memory, whole stack", total, "MB", f"< {IDLE_BAR_MB:.0f} MB", total < IDLE_BAR_MB
        ),
        *(Figure(f"idle memory, {name}", megabytes, "MB") for name, megabytes in memory.items()),
    ]


@contextmanager
def running(folder: Path, *more: str, within: Sequence[str] = ()) -> Iterator[str]:
    """Run a stack on `folder`, on ports that are free; yields the address that people open.

    `more` are further options of `./parley up`, `within` the beginning of the command, as `nsenter` has it.
    """
    where = ["--state", str(folder)]
    _parley("up", "--detach", *where, "--port-offset", str(_free_offset()), *more, within=within)
    try:
        status = State(folder).read_status()
        yield status.url if status is not None else ""
    finally:
        _parley("down", *where)


def _warm_start(folder: Path) -> float:
    began = time.monotonic()
    with running(folder):
        return time.monotonic() - began


def _memory(state: State) -> dict[str, float]:
    """Read the megabytes of every process of the stack, its own children included."""
    status = state.read_status()
    if status is None:
        raise StackError("The stack is not running.")
    processes = {process.name: process.pid for process in status.processes}
    figures = {name: _megabytes(_family(pid)) for name, pid in processes.items()}
    return {**figures, "supervisor": _megabytes([psutil.Process(status.pid)])}


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _megabytes(processes: list[psutil.Process]) -> float:
    return float(sum(process.memory_full_info().pss for process in processes)) / 1e6


def _free_offset() -> int:
    for offset in OFFSETS:
        try:
            check_free(topology(offset, media_workers=2))
        except StackError:
            continue
        return offset
    raise StackError("There is no room for another stack on this machine's ports.")


def _parley(*arguments: str, within: Sequence[str] = ()) -> None:
    done = subprocess.run(
        [*within, sys.executable, "-m", "stack", *arguments],
        env={"PARLEY_MODEL_TASKS": "voice-activity", **os.environ},  # nothing is built beside it
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError((done.stdout + done.stderr).strip())


__all__ = ["main", "running"]
