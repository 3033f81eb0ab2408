"""A network of one's own on one machine: a namespace for each site, and between them links that can be made bad.

Each namespace has a TUN device and no other way out; a process of ours reads every IP packet that leaves one, and
delivers it, late or never, to another: what `tc netem` does, on kernels that lack it as well. Needs root and Linux.
Nothing of it is left when the block ends; the process notices when its parent is gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import multiprocessing
import os
import select
import shutil
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from pathlib import Path

from loadtest.link import CLEAN, Conditions, Link

NETWORK = "10.77.0"
TUN = Path("/dev/net/tun")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MAX_PACKET = 2048
BURST = 64
MAX_WAITING = 20_000
"""Packets under way at once; more are dropped, so that a flood can't fill the memory."""
BEAT_SECONDS = 0.01
MAX_LATENESS = 200_000
PATIENCE_SECONDS = 10.0
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Site:
    """Somewhere in the network: run a command there with `inside`."""

    name: str
    namespace: str
    device: str
    address: str

    def inside(self, *command: str) -> list[str]:
        """Spell a command that is run at this site."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *command]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be at this site: sockets that this thread makes meanwhile stay there. Raises OSError."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
        try:
            _set_namespace(there)
            try:
                yield
            finally:
                _set_namespace(home)
        finally:
            os.close(there)
            os.close(home)


@dataclass(frozen=True, slots=True)
class Report:
    """What the links did since they were last asked.

    `lateness_ms` is the p99 of how much later than it wished their process woke, a hundred times a second: with it
    packets are late, and everything else on the machine is short of CPU, too.
    """

    carried: int
    lost: int
    dropped: int
    lateness_ms: float


class Network:
    """The sites by name. All links are clean until `change`d."""

    def __init__(self, sites: Sequence[Site], control: Connection) -> None:
        self.sites = {site.name: site for site in sites}
        self._control = control

    def change(self, site: str, *, up: Conditions, down: Conditions) -> None:
        """Make a site's link better or worse: `up` is what leaves it, `down` what comes."""
        self._ask("change", self.sites[site].address, up, down)

    def report(self) -> Report:
        """Tell what the links did since the last time."""
        answer: Report = self._ask("report")
        return answer

    def _ask(self, *question: object) -> Report:
        self._control.send(question)
        if not self._control.poll(PATIENCE_SECONDS):
            raise RuntimeError("The links answer no more.")
        answer: Report = self._control.recv()
        return answer


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "This thread can't change its network namespace")


def is_possible() -> bool:
    """Tell whether this machine and user can have such a network."""
    has_tools = all(shutil.which(tool) for tool in ("ip", "nsenter"))
    return os.geteuid() == 0 and TUN.exists() and has_tools


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Make a network of sites. Raises subprocess.CalledProcessError where the machine refuses."""
    mark = f"parley{os.getpid() % 100_000}"
    sites = [
        Site(name, f"{mark}-{name}", f"pl{os.getpid() % 100_000}-{index}", f"{NETWORK}.{index}")
        for index, name in enumerate(names, 1)
    ]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    devices = {site.address: site.device for site in sites}
    router = context.Process(target=route, args=(theirs, devices), daemon=True)
    with ExitStack() as cleanup:
        router.start()
        theirs.close()
        cleanup.callback(router.join)
        cleanup.callback(ours.close)  # which ends it
        if not ours.poll(PATIENCE_SECONDS * 3) or ours.recv() != "ready":
            raise RuntimeError("The links did not come up.")
        for site in sites:
            _run("ip", "netns", "add", site.namespace)
            cleanup.callback(_run, "ip", "netns", "del", site.namespace)
            _connect(site)
        yield Network(sites, ours)


def _connect(site: Site) -> None:
    _run("ip", "link", "set", site.device, "netns", site.namespace)
    inside = ("ip", "-n", site.namespace)
    _run(*inside, "addr", "add", f"{site.address}/24", "dev", site.device)
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "link", "set", site.device, "up")
    _run(*inside, "route", "add", "default", "dev", site.device)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def route(control: Connection, devices: dict[str, str]) -> None:
    """Carry packets between TUN devices (address → name), until `control` is closed."""
    try:
        _Router(control, devices).run()
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return


class _Router:
    def __init__(self, control: Connection, devices: dict[str, str]) -> None:
        self._control = control
        self._at = {
            IPv4Address(address).packed: _open_tun(name) for address, name in devices.items()
        }
        seeds = itertools.count(1)
        self._up = {address: Link(CLEAN, next(seeds)) for address in self._at}
        self._down = {address: Link(CLEAN, next(seeds)) for address in self._at}
        self._waiting: list[tuple[float, int, bytes, Link | None]] = []
        self._order = itertools.count()
        self._lateness: list[float] = []
        self._beat_at = time.monotonic()
        self._counted = (0, 0, 0)
        control.send("ready")

    def run(self) -> None:
        sources = {descriptor: address for address, descriptor in self._at.items()}
        while True:
            due = min(self._waiting[0][0], self._beat_at) if self._waiting else self._beat_at
            wait = max(0.0, due - time.monotonic())
            control = self._control.fileno()
            ready, _, _ = select.select([*sources, control], [], [], wait)
            self._beat(time.monotonic())
            for each in ready:
                if each == control:
                    self._answer(*self._control.recv())
                else:
                    self._read(each, self._up[sources[each]])
            self._deliver(time.monotonic())

    def _beat(self, now: float) -> None:
        if now >= self._beat_at:
            if len(self._lateness) < MAX_LATENESS:
                self._lateness.append(now - self._beat_at)
            self._beat_at = now + BEAT_SECONDS

    def _answer(self, question: str, *given: object) -> None:
        if question == "report":
            self._control.send(self._report())
            return
        address, up, down = given
        packed = IPv4Address(str(address)).packed
        self._up[packed].change(up)  # type: ignore[arg-type]
        self._down[packed].change(down)  # type: ignore[arg-type]
        self._control.send(None)

    def _read(self, descriptor: int, up: Link) -> None:
        for _ in range(BURST):
            try:
                packet = os.read(descriptor, MAX_PACKET)
            except (BlockingIOError, OSError):  # no more; or the device is down
                return
            if packet[0] >> 4 != 4 or (down := self._down.get(packet[16:20])) is None:
                continue  # IPv6's own chatter, or a way out that there is not
            self._carry(up, packet, time.monotonic(), down)

    def _carry(self, link: Link, packet: bytes, now: float, onward: Link | None) -> None:
        arrival = link.send(len(packet), now)
        if arrival is not None and len(self._waiting) < MAX_WAITING:
            heapq.heappush(self._waiting, (arrival, next(self._order), packet, onward))

    def _deliver(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            due, _, packet, onward = heapq.heappop(self._waiting)
            if onward is not None:
                self._carry(onward, packet, due, None)
                continue
            try:
                os.write(self._at[packet[16:20]], packet)
            except OSError:  # the device is down, or full: lost, as on any network
                continue

    def _report(self) -> Report:
        links = [*self._up.values(), *self._down.values()]
        before = self._counted
        self._counted = (
            sum(link.carried for link in self._down.values()),
            sum(link.lost for link in links),
            sum(link.dropped for link in links),
        )
        late, self._lateness = self._lateness, []
        p99 = statistics.quantiles(late, n=100)[-1] if len(late) > 1 else 0.0
        carried, lost, dropped = (a - b for a, b in zip(self._counted, before, strict=True))
        return Report(carried, lost, dropped, 1000 * p99)


def _open_tun(name: str) -> int:
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


__all__ = ["Network", "Report", "Site", "is_possible", "network"]
