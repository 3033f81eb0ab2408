"""The supervisor, on processes that cost nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from stack.errors import StackError
from stack.state import ProcessStatus
from stack.supervisor import Supervisor, Unit
from tests.running_stack import ROOT, eventually


async def at_once() -> bool:
    return True


def sleeper(name: str, *needs: str) -> Unit:
    return Unit(name, ["sleep", "1000"], at_once, {}, needs)


@asynccontextmanager
async def running(units: Sequence[Unit], logs: Path) -> AsyncIterator[Supervisor]:
    up, stop = asyncio.Event(), asyncio.Event()

    async def started() -> None:
        up.set()

    supervisor = Supervisor(units, logs, lambda: None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run(stop, started))
        await up.wait()
        yield supervisor
        stop.set()


def status(supervisor: Supervisor, name: str) -> ProcessStatus:
    return next(found for found in supervisor.statuses() if found.name == name)


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # it is another process that we wait for
            await asyncio.sleep(0.02)


async def test_what_is_needed_is_ready_before_and_stopped_after(tmp_path: Path) -> None:
    ready: list[str] = []
    units = [sleeper("web", "proxy"), sleeper("proxy", "store"), sleeper("store")]
    supervisor: Supervisor | None = None

    def changed() -> None:
        if supervisor is not None:
            ready.extend(
                f"{found.name} {found.state}"
                for found in supervisor.statuses()
                if f"{found.name} {found.state}" not in ready
            )

    supervisor = Supervisor(units, tmp_path, changed)
    stop = asyncio.Event()

    async def started() -> None:
        stop.set()

    await supervisor.run(stop, started)
    assert [text for text in ready if text.endswith("ready")] == [
        "store ready",
        "proxy ready",
        "web ready",
    ]
    assert [text for text in ready if text.endswith("stopped")] == [
        "web stopped",
        "proxy stopped",
        "store stopped",
    ]


async def test_a_process_that_dies_comes_back_and_the_others_do_not_notice(tmp_path: Path) -> None:
    async with running([sleeper("store"), sleeper("web", "store")], tmp_path) as supervisor:
        store, web = status(supervisor, "store"), status(supervisor, "web")
        os.kill(store.pid, signal.SIGKILL)
        await soon(lambda: status(supervisor, "store").pid not in (0, store.pid))
        assert status(supervisor, "web") == web


async def test_what_a_dead_process_leaves_behind_dies_with_it(tmp_path: Path) -> None:
    parent = Unit("nginx", ["sh", "-c", "sleep 1000 & wait"], at_once, {})
    async with running([parent], tmp_path) as supervisor:
        shell = psutil.Process(status(supervisor, "nginx").pid)
        await soon(lambda: bool(shell.children()))
        (worker,) = shell.children()
        shell.kill()
        await soon(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


async def test_a_process_that_never_starts_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Unit("user", ["sh", "-c", "echo no such database; exit 3"], never, {})
    with pytest.raises(StackError, match=r"user does not start.*no such database"):
        await Supervisor([broken], tmp_path, lambda: None).run(asyncio.Event(), nothing)


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    missing = Unit("envoy", ["/nowhere/envoy"], never, {})
    with pytest.raises(StackError, match=r"envoy can't be started.*/nowhere/envoy"):
        await Supervisor([missing], tmp_path, lambda: None).run(asyncio.Event(), nothing)


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio
from pathlib import Path
from stack.supervisor import Supervisor, Unit

async def yes():
    return True

async def started():
    print(*(status.pid for status in supervisor.statuses()), flush=True)

supervisor = Supervisor([Unit("web", ["sleep", "1000"], yes, {{}})], Path({str(tmp_path)!r}), lambda: None)
asyncio.run(supervisor.run(asyncio.Event(), started))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.kill()
    eventually(lambda: not child.is_running(), "the child of a killed supervisor ends")


async def never() -> bool:
    return False


async def nothing() -> None:
    return
