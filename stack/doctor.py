"""`./parley doctor`: whether this machine has what Parley needs, and what to do if not."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from stack import testing, web
from stack.errors import StackError
from stack.ports import check_free
from stack.topology import topology

ROOT = Path(__file__).resolve().parent.parent
GLIBC_MINIMUM = (2, 31)
DISK_GB = 3

Finding = tuple[bool, str]
"""Whether it is well, and a line that says what was found or what to do."""


def run() -> int:
    """Look at everything and print a line each. Returns 1 when something must be mended."""
    findings = [finding for look in _LOOKS for finding in look()]
    for well, text in findings:
        print("ok   " if well else "MEND ", text)
    return 0 if all(well for well, _ in findings) else 1


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
    _ports,
    _browser,
)

__all__ = ["run"]
