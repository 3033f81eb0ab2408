"""Where servers run that are measured: a network namespace with a veth to this one, for those that take no loopback addresses.

That needs root and `ip`; elsewhere it is loopback. Servers have one core and clients the others, as if they were two
machines: else each has to wait for the other now and then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

BLOCKS = 16_384
"""Of four addresses each, in 198.18.0.0/16, which is set apart for benchmarks (RFC 2544): one for each run."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: the addresses of clients and servers, and what goes before a server's command."""

    here: str
    there: str
    prefix: tuple[str, ...]


LOOPBACK = Place("127.0.0.1", "127.0.0.1", ())


def can_make_namespaces() -> bool:
    """Tell whether a namespace can be made."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextmanager
def own_place() -> Iterator[Place]:
    """Have a place for servers, a namespace where one can be made, with a core of its own where there are several."""
    where = _namespace() if can_make_namespaces() else nullcontext(LOOPBACK)
    with where as place, _own_core() as pinned:
        yield replace(place, prefix=(*pinned, *place.prefix))


@contextmanager
def _own_core() -> Iterator[tuple[str, ...]]:
    """Keep this process off the first core; gives what goes before a command that is to run there."""
    cores = os.sched_getaffinity(0)
    first = min(cores)
    if len(cores) == 1 or shutil.which("taskset") is None:
        yield ()
        return
    os.sched_setaffinity(0, cores - {first})
    try:
        yield ("taskset", "--cpu-list", str(first))
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _namespace() -> Iterator[Place]:
    """Make a namespace, and take it down again. Raises CalledProcessError."""
    name = f"parley-{os.getpid()}"
    ours, theirs = f"pb{os.getpid()}", f"pc{os.getpid()}"
    high, low = divmod(os.getpid() % BLOCKS, 64)
    here, there = (f"198.18.{high}.{4 * low + host}" for host in (1, 2))
    _ip("netns", "add", name)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", theirs)
        _ip("-n", name, "link", "set", theirs, "addrgenmode", "none")  # no IPv6 candidates
        for link in ("lo", theirs):
            _ip("-n", name, "link", "set", link, "up")
        yield Place(here, there, ("ip", "netns", "exec", name))
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    command: Sequence[str] = ["ip", *arguments]
    subprocess.run(command, check=True, capture_output=True)


__all__ = ["LOOPBACK", "Place", "can_make_namespaces", "own_place"]
