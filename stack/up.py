"""`./parley up`: one stack, from its state folder to a page that opens, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stack import envoy, nginx, services, valkey, web
from stack.errors import StackError
from stack.ports import check_free
from stack.postgres import DATABASES, SUPERUSER, Postgres
from stack.report import Progress, table
from stack.secrets import Secrets
from stack.state import StackStatus, State
from stack.supervisor import Supervisor, Unit
from stack.topology import Topology, topology

DISK_MINIMUM_BYTES = 500_000_000
DETACHED_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose about a stack."""

    state: Path
    port_offset: int = 0
    listen: str = "127.0.0.1"
    advertise: str = "127.0.0.1"
    media_workers: int = 1


def up(options: Options) -> int:
    """Run a stack in the foreground until it is told to stop. Raises StackError."""
    layout = layout_of(options)
    state = State(options.state)
    state.create()
    with state.locked():
        _check_machine(layout, options)
        progress = Progress()
        progress.step("web app")
        progress.done("built" if web.build() else "up to date")
        progress.step("models")
        fetch_models(state)
        progress.done("in the cache")
        return asyncio.run(_run(options, layout, state, progress))


def up_detached(options: Options, arguments: list[str]) -> int:
    """Run a stack in the background; returns when it is ready. Raises StackError when it does not start."""
    state = State(options.state)
    state.create()
    with state.locked():
        log = state.log("stack").open("ab")
    (state.run / "status.json").unlink(missing_ok=True)
    begin = log.tell()
    child = subprocess.Popen(
        [sys.executable, "-m", "stack", "up", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    limit = time.monotonic() + DETACHED_SECONDS
    while child.poll() is None and time.monotonic() < limit:
        status = state.read_status()
        if status is not None and status.state == "ready" and status.pid == child.pid:
            print(table(status, state))
            return 0
        time.sleep(0.05)
    if child.poll() is None:
        child.terminate()
        raise StackError(
            f"The stack was not ready after {DETACHED_SECONDS:.0f} s; see {state.log('stack')}."
        )
    said = state.log("stack").read_bytes()[begin:].decode(errors="replace").strip().splitlines()
    raise StackError(said[-1].removeprefix("parley: ") if said else "The stack did not start.")


def down(state: State) -> int:
    """Stop a stack that runs and wait until it is gone. Raises StackError when it does not go."""
    status = state.read_status()
    if not state.is_running() or status is None:
        print("Nothing is running on", state.root)
        return 0
    os.kill(status.pid, signal.SIGTERM)
    limit = time.monotonic() + 60
    while state.is_running():
        if time.monotonic() > limit:
            raise StackError(
                f"The stack (pid {status.pid}) does not stop; see {state.log('stack')}."
            )
        time.sleep(0.05)
    print("Stopped.")
    return 0


def layout_of(options: Options) -> Topology:
    """Lay out the stack that the options ask for. Raises StackError."""
    try:
        return topology(options.port_offset, options.media_workers)
    except ValueError as error:
        raise StackError(str(error)) from None


def fetch_models(state: State) -> None:
    """Bring the model files into the cache, saying how far it is. Raises StackError."""
    environment = {**os.environ, "PARLEY_MODELS": str(state.cache / "models")}
    command = [sys.executable, "-m", "services.ai.models", "fetch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise StackError(lines[-1] if lines else "The models could not be fetched.")


def _check_machine(layout: Topology, options: Options) -> None:
    status = State(options.state).read_status()
    if status is not None and status.state != "stopped":
        print(
            f"The last run (pid {status.pid}) ended without a goodbye; starting anew.", flush=True
        )
    check_free(layout, options.listen)
    free = shutil.disk_usage(options.state).free
    if free < DISK_MINIMUM_BYTES:
        raise StackError(
            f"The disk of {options.state} has {free // 1_000_000} MB left; {DISK_MINIMUM_BYTES // 1_000_000} MB are "
            "needed. Free some, or choose another with --state."
        )


async def _run(options: Options, layout: Topology, state: State, progress: Progress) -> int:
    url = f"http://{_shown_host(options)}:{layout.port('nginx', 'http')}"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    phase = ["starting"]

    def publish() -> None:
        status = StackStatus(os.getpid(), phase[0], url, supervisor.statuses())
        state.write_status(status)
        progress.show(status)

    def started() -> None:
        phase[0] = "ready"
        publish()
        progress.finish(table(StackStatus(os.getpid(), "ready", url, supervisor.statuses()), state))

    supervisor = Supervisor(_units(options, layout, state, url), state.log, publish)
    try:
        await supervisor.run(stop, started)
    finally:
        phase[0] = "stopped"
        publish()
    return 0


def _units(options: Options, layout: Topology, state: State, url: str) -> list[Unit]:
    secrets = Secrets(state.secrets)
    secrets.write_trust()
    passwords = {name: secrets.password(name) for name in (SUPERUSER, *DATABASES)}
    return [
        Postgres(state.data, layout.port("postgres", "sql"), passwords).unit(),
        valkey.unit(
            state.data, state.run, layout.port("valkey", "redis"), secrets.password("valkey")
        ),
        envoy.unit(layout, state.run, state.logs),
        *services.units(layout, state, secrets, url, options.advertise),
        nginx.unit(layout, state.run, state.logs, options.listen),
    ]


def _shown_host(options: Options) -> str:
    if options.listen in ("127.0.0.1", "::1"):
        return "localhost"
    return options.advertise if options.listen in ("0.0.0.0", "::") else options.listen


__all__ = ["Options", "down", "fetch_models", "layout_of", "up", "up_detached"]
