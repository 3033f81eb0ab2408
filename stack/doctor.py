"""`./parley doctor`: whether this machine has what Parley needs, whether people get through, and what to do if not."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from stack import reach, testing, web
from stack.errors import StackError
from stack.ports import check_free
from stack.reach import Finding
from stack.state import State
from stack.topology import topology

ROOT = Path(__file__).resolve().parent.parent
GLIBC_MINIMUM = (2, 31)
DISK_GB = 3


def run(state: State) -> int:
    """Look at everything and print a line each. Returns 1 when something must be mended."""
    all_is_well = True
    for well, text in _findings(state):
        print("ok   " if well else "MEND ", text, flush=True)
        all_is_well = all_is_well and well
    return 0 if all_is_well else 1


def _findings(state: State) -> Iterator[Finding]:
    for look in _LOOKS:
        yield from look()
    status = state.read_status()
    if status is None or not state.is_running():
        yield from _ports()
    elif status.state != "ready":
        yield False, f"the stack on {state.root} is {status.state}: ask again when it is ready"
    else:
        yield from reach.findings(state, status)


def _python() -> Iterator[Finding]:
    yield sys.version_info >= (3, 11), f"Python {platform.python_version()} (3.11 or newer)"


def _libc() -> Iterator[Finding]:
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    yield (
        name == "glibc" and numbers >= GLIBC_MINIMUM,
        f"{name or 'libc'} {version} (glibc 2.31 or newer, for Envoy)",
    )


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(ROOT).free / 1e9
    yield (
        free > DISK_GB,
        f"{free:.0f} GB free at {ROOT} ({DISK_GB} or more: environment, models, data)",
    )


def _node() -> Iterator[Finding]:
    try:
        yield True, f"Node {web.node_version()} builds the web app"
    except StackError as error:
        yield False, str(error)


def _ports() -> Iterator[Finding]:
    try:
        check_free(topology())
        yield True, "all ports are free"
    except StackError as error:
        yield False, f"{error} (Or is Parley running already?)"


def _browser() -> Iterator[Finding]:
    found = testing.installed_chromium()
    yield True, f"{found or 'no Chromium yet: ./parley test fetches one'} (for the tests alone)"


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _libc,
    _disk,
    _node,
    _browser,
)

__all__ = ["run"]
