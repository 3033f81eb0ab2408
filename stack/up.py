"""`./parley up` and `down`: one stack, from its state folder to a page that opens, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stack import control, exporter, nginx, services, settings, valkey
from stack.control import Tell
from stack.envoy import Proxy
from stack.errors import StackError
from stack.ports import check_free
from stack.postgres import DATABASES, SUPERUSER, Postgres
from stack.report import Progress, table
from stack.secrets import Secrets
from stack.settings import Settings
from stack.state import StackStatus, State
from stack.supervisor import Supervisor, Unit
from stack.topology import Process, Topology, topology

DISK_MINIMUM_BYTES = 500_000_000
DETACHED_SECONDS = 900.0
"""How long a detached start may take; the first one fetches and builds."""
GATEWAY_SECONDS = 30.0
DOWN_SECONDS = 60.0
DYING_SECONDS = 20.0
"""How long the processes of a killed supervisor may take to end."""
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose about a stack."""

    state: Path
    port_offset: int = 0
    listen: str = "127.0.0.1"
    advertise: tuple[str, ...] = ("127.0.0.1",)
    media_workers: int = 1
    replicas: Mapping[str, int] = field(default_factory=dict)
    rate_limits: bool = True
    tls: bool = False

    def settings(self) -> Settings:
        """Read what the operator has set, over which options win. Raises StackError."""
        read = settings.load(State(self.state).settings)
        if not self.rate_limits:
            read = replace(read, limits=replace(read.limits, enabled=False))
        return replace(read, tls=replace(read.tls, required=True)) if self.tls else read


def up(options: Options) -> int:
    """Run a stack in the foreground until it is told to stop. Raises StackError."""
    layout = layout_of(options)
    state = State(options.state)
    state.create()
    with state.locked():
        _check_disk(state)
        _check_ports(layout, state, options)
        return asyncio.run(_Run(options, layout, state).until_told())


def up_detached(options: Options, arguments: Sequence[str]) -> int:
    """Run a stack in the background, showing its progress; returns when it is ready. Raises StackError if it fails."""
    state = State(options.state)
    state.create()
    with state.locked():
        state.log("stack").write_bytes(b"")
    with state.log("stack").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "stack", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return _follow_until_ready(child, state)
    except BaseException:
        child.terminate()
        child.wait()
        raise


def down(state: State) -> int:
    """Stop a stack that runs and wait until it is gone. Raises StackError when it does not go."""
    status = state.read_status()
    if not state.is_running() or status is None:
        print(f"Nothing is running on {state.root}.")
        return 0
    os.kill(status.pid, signal.SIGTERM)
    limit = time.monotonic() + DOWN_SECONDS
    while state.is_running() or _exists(status.pid):
        if time.monotonic() > limit:
            raise StackError(
                f"The stack (pid {status.pid}) does not stop; see {state.log('stack')}."
            )
        time.sleep(POLL_SECONDS)
    print("Stopped.")
    return 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def layout_of(options: Options) -> Topology:
    """Lay out the stack that the options ask for. Raises StackError."""
    try:
        return topology(options.port_offset, options.media_workers, options.replicas)
    except ValueError as error:
        raise StackError(str(error)) from None


class _Run:
    """One run of a stack, in this process."""

    def __init__(self, options: Options, layout: Topology, state: State) -> None:
        self._options = options
        self._layout = layout
        self._state = state
        self._phase = "starting"
        self._secrets = Secrets(state.secrets)
        self._spares = {spare.service: spare for spare in layout.spares}
        self._seats = {process.name: process for process in layout.processes}
        self._settings = options.settings()
        self._url = _public_url(options, layout, self._settings)
        self._proxy = Proxy(layout, state, self._settings.limits)
        self._progress = Progress()
        units = self._units()
        self._supervisor = Supervisor(units, state.logs, self._publish)
        self._progress.preparations = {unit.name: unit.preparation for unit in units}

    async def until_told(self) -> int:
        """Start everything, run until SIGINT, SIGTERM or SIGHUP, stop everything. Raises StackError."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stop_seen = asyncio.create_task(self._tell_stopping(stop))
        self._publish()
        try:
            async with control.serving(
                self._state.run, {"reload": self._reload, "restart": self._restart}
            ):
                await self._supervisor.run(stop, self._started)
        finally:
            stop_seen.cancel()
            self._phase = "stopped"
            self._publish()
        return 0

    async def _started(self) -> None:
        """All processes are ready: see that Envoy reaches every one of them, then say so."""
        limit = time.monotonic() + GATEWAY_SECONDS
        while not await self._proxy.reaches_all():
            if time.monotonic() > limit:
                raise StackError(f"Envoy does not reach the services; see {self._state.logs}.")
            await asyncio.sleep(POLL_SECONDS)
        self._phase = "ready"
        self._publish()
        self._progress.finish(table(self._status(), self._state))

    async def _reload(self, _names: Sequence[str], tell: Tell) -> None:
        """Have the gateway take what the operator has set by now; nothing changes if any of it is wrong."""
        self._need_ready()
        read = self._options.settings()
        before = self._proxy.limits
        self._proxy.limits = read.limits
        try:
            await self._proxy.validate()
            await nginx.reload(self._gateway(read), self._supervisor.pid("nginx"))
        except BaseException:
            self._proxy.limits = before
            raise
        self._settings = read
        tell("nginx: reloaded")
        if read.limits != before:
            await self._hand_over_envoy(tell)

    async def _restart(self, names: Sequence[str], tell: Tell) -> None:
        """Restart processes one after the other, each followed by its successor before it goes."""
        self._need_ready()
        wanted = list(names) or list(self._spares)
        known = {*self._spares, "envoy", "nginx"}
        if unknown := sorted(set(wanted) - known):
            raise StackError(
                f"{', '.join(unknown)} can't be restarted without a gap; there are {', '.join(sorted(known))}."
            )
        for name in wanted:
            if name == "nginx":
                await self._reload((), tell)
            elif name == "envoy":
                await self._hand_over_envoy(tell)
            else:
                await self._roll(name, tell)

    async def _roll(self, service: str, tell: Tell) -> None:
        for process in self._layout.processes:
            if process.service != service:
                continue
            seat = self._spares[service]
            unit = self._serving().unit(seat, process.name)
            await self._supervisor.follow(process.name, self._reached(unit, seat), steady=unit)
            self._spares[service], self._seats[process.name] = self._seats[process.name], seat
            tell(f"{process.name}: followed by a new process")

    def _reached(self, unit: Unit, seat: Process) -> Unit:
        """Let a successor count as ready when Envoy, too, has found it."""

        async def is_reached() -> bool:
            return await unit.ready() and await self._proxy.reaches(seat)

        return replace(unit, ready=is_reached)

    async def _hand_over_envoy(self, tell: Tell) -> None:
        await self._supervisor.follow("envoy", self._proxy.successor(), steady=self._proxy.unit())
        tell("envoy: followed by a new process")

    def _need_ready(self) -> None:
        if self._phase != "ready":
            raise StackError("The stack is not ready yet: try again when it is.")

    def _serving(self) -> services.Services:
        options, read = self._options, self._settings
        return services.Services(
            self._layout, self._state, self._secrets, read, self._url, options.advertise
        )

    def _gateway(self, read: Settings) -> nginx.Gateway:
        names = tuple({self._options.listen, *self._options.advertise} - {"0.0.0.0", "::"})
        return nginx.Gateway(
            self._layout, self._state, self._secrets, self._options.listen, names, read
        )

    def _units(self) -> list[Unit]:
        self._secrets.write_trust()
        passwords = {name: self._secrets.password(name) for name in (SUPERUSER, *DATABASES)}
        data, layout = self._state.data, self._layout
        redis_port, redis_password = (
            layout.port("valkey", "redis"),
            self._secrets.password("valkey"),
        )
        return [
            Postgres(data, layout.port("postgres", "sql"), passwords).unit(),
            valkey.unit(data, self._state.run, redis_port, redis_password),
            self._proxy.unit(),
            *self._serving().units(),
            nginx.unit(lambda: self._gateway(self._settings)),
            exporter.unit(layout, self._state),
        ]

    async def _tell_stopping(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._phase = "stopping"
        self._progress.stopping()

    def _status(self) -> StackStatus:
        statuses = self._supervisor.statuses()
        return StackStatus(
            os.getpid(),
            self._phase,
            self._url,
            statuses,
            self._options.listen,
            self._options.advertise,
        )

    def _publish(self) -> None:
        status = self._status()
        self._progress.show(status)
        try:
            self._state.write_status(status)
        except OSError as error:  # a full disk, most likely: what runs goes on
            self._progress.warn(f"The status can't be written: {error.strerror}.")


def _follow_until_ready(child: subprocess.Popen[bytes], state: State) -> int:
    """Pass on what the child says until it is ready or has ended. Returns the exit status, 0 if it is ready."""
    limit = time.monotonic() + DETACHED_SECONDS
    with state.log("stack").open() as log:
        while True:
            ended = child.poll()
            status = state.read_status()
            is_up = status is not None and (status.pid, status.state) == (child.pid, "ready")
            print(log.read(), end="", flush=True)
            if is_up or ended is not None:
                return ended or 0
            if time.monotonic() > limit:
                raise StackError(f"Not ready after {DETACHED_SECONDS:.0f} s; see {state.logs}.")
            time.sleep(POLL_SECONDS)


def _check_disk(state: State) -> None:
    free = shutil.disk_usage(state.root).free
    if free < DISK_MINIMUM_BYTES:
        raise StackError(
            f"The disk of {state.root} has {free // 1_000_000} MB left and "
            f"{DISK_MINIMUM_BYTES // 1_000_000} MB are needed. Free some, or choose another with --state."
        )


def _check_ports(layout: Topology, state: State, options: Options) -> None:
    """See that all ports are free, allowing for what a killed supervisor has left to end."""
    status = state.read_status()
    stale = status is not None and status.state != "stopped"
    if stale and status is not None:
        print(f"The last run (pid {status.pid}) was killed; its data is whole. Starting anew.")
    limit = time.monotonic() + (DYING_SECONDS if stale else 0)
    while True:
        try:
            return check_free(layout, options.listen, services.media_host(options.advertise))
        except StackError:
            if time.monotonic() > limit:
                raise
            time.sleep(POLL_SECONDS)


def _public_url(options: Options, layout: Topology, read: Settings) -> str:
    scheme = "https" if read.tls.required else "http"
    return f"{scheme}://{_shown_host(options)}:{layout.port('nginx', scheme)}"


def _shown_host(options: Options) -> str:
    if options.listen in ("127.0.0.1", "::1"):
        return "localhost"
    host = options.advertise[0] if options.listen in ("0.0.0.0", "::") else options.listen
    return f"[{host}]" if ":" in host else host


__all__ = ["Options", "down", "layout_of", "up", "up_detached"]
