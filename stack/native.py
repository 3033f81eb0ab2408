"""Builds what is compiled: the media service's hot path, in place, where the machine has a C compiler.

`./parley` runs this after it has made the environment; the wheel's build (hatch_build.py) too. Without a compiler or
Python's headers nothing is lost but speed: the same is there in pure Python.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT / "services" / "media"
NATIVE = MEDIA / "native"
SOURCES = tuple(sorted(NATIVE.glob("*.c")))
FLAGS = ("-O3", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Wextra")
"""Both bodies must come to the same numbers: no multiplication is fused with an addition."""


def target() -> Path:
    """Name the module that this Python loads."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return MEDIA / f"_native{suffix}"


def build() -> Path | None:
    """Compile it for this Python; None, and a line that says why, where that can't be done."""
    output = target()
    fresh = output.with_suffix(".new")
    if why := compile_to(fresh):
        _explain(why)
        return None
    fresh.replace(output)
    return output


def compiler() -> str:
    """Name the C compiler that this Python was made with."""
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[0]


def compile_to(output: Path, *flags: str, sources: Sequence[Path] = SOURCES) -> str:
    """Compile it into a file, with more flags; returns why that can't be done, or nothing."""
    includes = {NATIVE, *map(sysconfig.get_path, ("include", "platinclude"))}
    paths = sorted(f"-I{each}" for each in includes)
    command = [compiler(), *FLAGS, *flags, *paths, *map(str, sources), "-o", str(output), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"there is no C compiler ({error.strerror}: {compiler()})"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["the compiler failed"])[0]
    return ""


def _explain(why: str) -> None:
    print(f"parley: media is forwarded by pure Python: {why}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    build()
