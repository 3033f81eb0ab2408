"""A whole stack for tests: `./parley up --detach` on a state folder and ports of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError
from stack.ports import check_free
from stack.state import ProcessStatus, StackStatus, State
from stack.topology import SIDE_BY_SIDE, Topology, topology
from tests.servers import open_folder

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60.0
LOG_TAIL_LINES = 40


def parley(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `./parley` command, in the environment that there is, and wait for it."""
    command = parley_command(*arguments)
    return subprocess.run(
        command, cwd="/", env=parley_environment(), capture_output=True, text=True, check=False
    )


def parley_command(*arguments: str) -> list[str]:
    """Spell a `./parley` command, without the part that makes the environment."""
    return [sys.executable, "-m", "stack", *arguments]


def parley_environment() -> Mapping[str, str]:
    """Make the environment that `./parley` runs its commands with.

    Unless a test says otherwise, large models are neither fetched nor built beside it.
    """
    paths = f"{ROOT}:{ROOT / 'gen'}"
    return {
        "PARLEY_MODEL_TASKS": "voice-activity",
        **os.environ,
        "PYTHONPATH": paths,
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


FREE_OFFSETS = range(4 * SIDE_BY_SIDE, 16_000, SIDE_BY_SIDE)
"""Of these no port is one that the kernel gives to outgoing connections (from 32,768): they would be taken at random."""


def free_offset() -> int:
    """Find an offset at which a whole stack's ports are free: any, lest who looks at the same time find the same."""
    for offset in random.sample(FREE_OFFSETS, len(FREE_OFFSETS)):
        try:
            check_free(topology(offset, media_workers=2))
        except StackError:
            continue
        return offset
    raise AssertionError("There is no room for another stack on this machine's ports.")


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fail with `what` if it never does."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < limit, f"never: {what}"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that is up. `http` is the address that people open."""

    state: Path
    offset: int
    layout: Topology

    @property
    def http(self) -> str:
        """Get the address of the web app and of REST."""
        return f"http://localhost:{self.layout.port('nginx', 'http')}"

    @property
    def grpc_target(self) -> str:
        """Get what a gRPC channel is opened to."""
        return f"127.0.0.1:{self.layout.port('nginx', 'http')}"

    @property
    def udp_ports(self) -> tuple[int, ...]:
        """List the media workers' UDP ports, in whichever seats they are."""
        return tuple(each.ports["udp"] for each in self.status.processes if "udp" in each.ports)

    def worker_at(self, udp_port: int) -> str:
        """Name the media worker that has a UDP port: after a restart it sits in another seat."""
        processes = self.status.processes
        return next(each.name for each in processes if each.ports.get("udp") == udp_port)

    @property
    def status(self) -> StackStatus:
        """Read how the stack does."""
        status = State(self.state).read_status()
        assert status is not None
        return status

    def process(self, name: str) -> ProcessStatus:
        """Read how a process does."""
        return next(process for process in self.status.processes if process.name == name)

    def pid(self, name: str) -> int:
        """Get a process's id; 0 while it does not run."""
        return self.process(name).pid

    def kill(self, name: str) -> int:
        """Kill a process as a crash would (SIGKILL); returns the id that it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_back(self, name: str, killed: int) -> None:
        """Wait until a process that was killed is ready again."""

        def is_back() -> bool:
            process = self.process(name)
            return process.state == "ready" and process.pid not in (0, killed)

        eventually(is_back, f"{name} is back; {self.log_tail(name)}")

    def log_tail(self, name: str) -> str:
        """Read the end of a process's log."""
        lines = State(self.state).log(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def log_tails(self) -> str:
        """Read the ends of all logs."""
        names = sorted(path.stem for path in (self.state / "logs").glob("*.log"))
        return "\n".join(f"--- {name}\n{self.log_tail(name)}" for name in names)


@contextmanager
def stack_running(
    state: Path,
    offset: int,
    media_workers: int = 2,
    more: Sequence[str] = ("--no-rate-limits",),
) -> Iterator[RunningStack]:
    """Bring a stack up, and down when the block ends. Tests are many people at one address: by default nobody counts."""
    layout = topology(offset, media_workers)
    where = ["--state", str(state)]
    how = ["--port-offset", str(offset), "--media-workers", str(media_workers), *more]
    began = parley("up", "--detach", *where, *how)
    assert began.returncode == 0, began.stdout + began.stderr
    try:
        yield RunningStack(state, offset, layout)
    finally:
        ended = parley("down", *where)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@contextmanager
def fresh_stack() -> Iterator[RunningStack]:
    """Bring up a stack that has no past, on ports that are free."""
    with open_folder() as folder, stack_running(folder, free_offset()) as running:
        yield running
