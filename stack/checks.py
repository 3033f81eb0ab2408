"""`./parley check`: everything that can be said about the code without running it, one line per check."""

from __future__ import annotations

import filecmp
import os
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


def run() -> int:
    """Run every check and print how each went, then what is wrong. Returns 1 if anything is."""
    problems = []
    for name, check in _CHECKS.items():
        began = time.monotonic()
        problem = check()
        print(
            f"{'FAIL' if problem else 'ok  '}  {name}  ({time.monotonic() - began:.1f} s)",
            flush=True,
        )
        if problem:
            problems.append(f"--- {name}\n{problem}")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _tool(*command: str) -> Callable[[], Problem]:
    def check() -> Problem:
        return _said([str(TOOLS / command[0]), *command[1:]])

    return check


def _said(
    command: list[str], folder: Path = ROOT, environment: dict[str, str] | None = None
) -> Problem:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "gen")])
    values = {**(environment or os.environ), "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=folder, env=values, capture_output=True, text=True, check=False
    )
    return (
        ""
        if done.returncode == 0
        else (done.stdout + done.stderr).strip() or f"ended with {done.returncode}"
    )


def _breaking() -> Problem:
    """Compare the contracts with those of main, unless this is main's first commit with contracts."""
    for branch in BASE_BRANCHES:
        has = subprocess.run(
            ["git", "cat-file", "-e", f"{branch}:buf.yaml"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if has.returncode == 0:
            commit = subprocess.run(
                ["git", "rev-parse", branch], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            return _said([str(TOOLS / "buf"), "breaking", "--against", f".git#ref={commit}"])
    return ""


def _generated() -> Problem:
    """Generate into a folder beside and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        try:
            codegen.main(fresh)
        except subprocess.CalledProcessError as error:
            return str(error)
        stale = sorted(_differences(fresh, ROOT / "gen"))
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
    try:
        environment = web.npm_environment()
        web.install(environment)
    except StackError as error:
        return str(error)
    return _said(["npm", "run", "--silent", "check"], ROOT / "web", environment)


_CHECKS: dict[str, Callable[[], Problem]] = {
    "ruff format": _tool("ruff", "format", "--check", "--quiet", "."),
    "ruff": _tool("ruff", "check", "--quiet", "."),
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
