"""A network namespace with a veth to this one, for servers that take no loopback addresses; needs root and `ip`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

BLOCKS = 16_384
"""Of four addresses each, in 198.18.0.0/16, which is set apart for benchmarks (RFC 2544): one for each run."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: the addresses of clients and servers, and what goes before a server's command."""

    here: str
    there: str
    prefix: tuple[str, ...]


LOOPBACK = Place("127.0.0.1", "127.0.0.1", ())


def is_possible() -> bool:
    """Tell whether a namespace can be made."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextmanager
def namespace() -> Iterator[Place]:
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


__all__ = ["LOOPBACK", "Place", "is_possible", "namespace"]
