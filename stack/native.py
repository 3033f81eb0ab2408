"""Builds what is compiled: the media service's hot path, in place, where the machine has a C compiler.

`./parley` runs this after it has made the environment; the wheel's build (hatch_build.py) too. Without a compiler or
Python's headers nothing is lost but speed: the same is there in pure Python.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT / "services" / "media"
SOURCES = tuple(sorted((MEDIA / "native").glob("*.c")))
FLAGS = ("-O3", "-fPIC", "-shared", "-Wall", "-Wextra")


def target() -> Path:
    """Name the module that this Python loads."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return MEDIA / f"_native{suffix}"


def build() -> Path | None:
    """Compile it for this Python; None, and a line that says why, where that can't be done."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    includes = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    output = target()
    fresh = output.with_suffix(".new")
    command = [compiler, *FLAGS, *(f"-I{each}" for each in sorted(includes)), *map(str, SOURCES)]
    try:
        done = subprocess.run(
            [*command, "-o", str(fresh), "-lm"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        _explain(f"there is no C compiler ({error.strerror}: {compiler})")
        return None
    if done.returncode != 0:
        _explain((done.stderr.strip().splitlines() or ["the compiler failed"])[0])
        return None
    fresh.replace(output)
    return output


def _explain(why: str) -> None:
    print(f"parley: media is forwarded by pure Python: {why}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    build()
