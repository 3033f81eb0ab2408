"""`./parley check`: everything that can be said about the code without running it, one line per check."""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from stack import codegen, web
from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
SHELL_SCRIPTS = (".ci/run",)
BASE_BRANCHES = ("origin/main", "main")

Problem = str
"""What is wrong, as a person should read it; empty when nothing is."""


class Skipped(Exception):
    """A check can't be made here; the text says why."""


def run() -> int:
    """Run every check and print how each went, then what is wrong. Returns 1 if anything is."""
    problems = []
    for name, check in _CHECKS.items():
        began = time.monotonic()
        try:
            problem = check()
        except Skipped as skipped:
            print(f"skip  {name}: {skipped}", flush=True)
            continue
        seconds = time.monotonic() - began
        print(f"{'FAIL' if problem else 'ok  '}  {name}  ({seconds:.1f} s)", flush=True)
        if problem:
            problems.append(f"\n--- {name}\n{problem}")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _tool(*command: str) -> Callable[[], Problem]:
    def check() -> Problem:
        return _said([str(TOOLS / command[0]), *command[1:]])

    return check


def _said(
    command: list[str], folder: Path = ROOT, environment: dict[str, str] | None = None
) -> Problem:
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "gen", ROOT / "sdk")))
    values = {**(environment or os.environ), "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=folder, env=values, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip() or f"ended with {done.returncode}"


def _breaking() -> Problem:
    """Compare the contracts with those of main. Raises Skipped where there are none to compare with."""
    if (commit := _base()) is None:
        raise Skipped("there is no main branch with contracts to compare with")
    return _said([str(TOOLS / "buf"), "breaking", "--against", f".git#ref={commit}"])


def _base() -> str | None:
    """Find the commit that main is at, if it has contracts."""
    if shutil.which("git") is None:
        return None
    for branch in BASE_BRANCHES:
        command = ["git", "rev-parse", "--verify", "--quiet", f"{branch}:buf.yaml"]
        if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0:
            command = ["git", "rev-parse", branch]
            found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            return found.stdout.strip()
    return None


def _generated() -> Problem:
    """Generate into a folder beside and compare."""
    script = (
        "import sys, pathlib; from stack import codegen; codegen.main(pathlib.Path(sys.argv[1]))"
    )
    with tempfile.TemporaryDirectory() as scratch:
        if problem := _said([sys.executable, "-c", script, scratch]):
            return problem
        stale = sorted(_differences(Path(scratch), ROOT / "gen"))
    return f"Run ./parley gen and commit: {', '.join(stale)} differ." if stale else ""


def _differences(fresh: Path, kept: Path) -> Iterator[str]:
    def files(root: Path) -> set[Path]:
        return {
            path.relative_to(root)
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    ours, theirs = files(fresh), files(kept)
    yield from map(str, ours ^ theirs)
    for path in ours & theirs:
        if not filecmp.cmp(fresh / path, kept / path, shallow=False):
            yield str(path)


def _requirements() -> Problem:
    """The pip fallback's hashes must be the lock's."""
    kept = ROOT / codegen.REQUIREMENTS
    return (
        ""
        if kept.read_text() == codegen.requirements()
        else "Run ./parley gen and commit requirements.lock."
    )


def _web() -> Problem:
    """The web app's own checks: tsc and eslint."""
    try:
        asyncio.run(web.install())
    except StackError as error:
        return str(error)
    return _said(["npm", "run", "--silent", "check"], web.WEB, web.npm_environment())


_CHECKS: dict[str, Callable[[], Problem]] = {
    "ruff format": _tool("ruff", "format", "--check", "--quiet", ".", "parley"),
    "ruff": _tool("ruff", "check", "--quiet", ".", "parley"),
    "mypy": _tool("mypy"),
    "imports": _tool("lint-imports"),
    "buf format": _tool("buf", "format", "--exit-code", "--diff", "protos"),
    "buf lint": _tool("buf", "lint"),
    "buf breaking": _breaking,
    "generated code": _generated,
    "requirements.lock": _requirements,
    "shellcheck": _tool("shellcheck", *SHELL_SCRIPTS),
    "web": _web,
}

__all__ = ["run"]
