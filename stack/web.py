"""The browser app's build: made from web/ when its sources or the protos have changed, kept in web/dist."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import commands
from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
DIST = WEB / "dist"
MADE = frozenset({"node_modules", "dist", "gen"})
"""Folders of web/ that are made, not written."""


async def build() -> bool:
    """Build the app if it is not built from the sources as they are. Returns whether it had to. Raises StackError."""
    stamp = DIST / ".stamp"
    if _holds(stamp, digest := _digest()):
        return False
    with _alone():
        if _holds(stamp, digest):
            return False
        await install()
        await commands.run(["npm", "run", "--silent", "build"], WEB, npm_environment())
        stamp.write_text(digest)
    return True


async def install() -> None:
    """Install what package-lock.json names, if it is not there. Raises StackError."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    stamp = WEB / "node_modules" / ".parley-stamp"
    if not _holds(stamp, lock):
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        await commands.run(["npm", "ci", *quiet], WEB, npm_environment())
        stamp.write_text(lock)


def npm_environment() -> dict[str, str]:
    """Make an environment whose PATH begins with .venv's tools, among them Node where ./parley had to install it."""
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {**os.environ, "PATH": os.pathsep.join(paths)}


def node_version() -> str:
    """Ask Node for its version. Raises StackError when there is none."""
    try:
        done = subprocess.run(
            ["node", "--version"],
            env=npm_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        raise StackError("There is no Node: delete .venv and run ./parley again.") from None
    return done.stdout.strip()


def _holds(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> list[Path]:
    written = [path for path in _written(WEB) if path.is_file()]
    return sorted([*written, *(ROOT / "protos").rglob("*.proto")])


def _written(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in MADE:
            continue
        if path.is_dir():
            yield from _written(path)
        else:
            yield path


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two stacks from building at the same time."""
    folder = os.open(WEB, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


__all__ = ["DIST", "WEB", "build", "install", "node_version", "npm_environment"]
