"""The compiled hot path with sanitizers in it, in place of the one that is built; for a pytest of its own (`-p tests.sanitized`).

AddressSanitizer ends the process at the first access out of bounds, UndefinedBehaviorSanitizer at the first overflow.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stack import native

MODULE = "services.media._native"
VARIABLE = "PARLEY_SANITIZED"
FLAGS = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *("-O1", "-g", "-fno-omit-frame-pointer", "-U_FORTIFY_SOURCE"),
)
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:malloc_context_size=1:quarantine_size_mb=16",  # Python itself leaves much to the system when it ends
    "UBSAN_OPTIONS": "print_stacktrace=0",
    "PYTHONMALLOC": "malloc",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what others bring takes longer to load than the tests take
}


class SanitizerMissing(Exception):
    """There is no compiler, or it has no sanitizers; the text says which."""


class BuildFailed(Exception):
    """It can't be compiled, though another program can."""


def build(folder: Path, sources: Sequence[Path] = native.SOURCES) -> Path:
    """Compile it into a folder. Raises SanitizerMissing, BuildFailed."""
    output, empty = folder / "_native.so", folder / "empty.c"
    empty.write_text("#include <Python.h>\n")
    if why := native.compile_to(folder / "empty.so", *FLAGS, sources=[empty]):
        raise SanitizerMissing(why)
    if why := native.compile_to(output, *FLAGS, sources=sources):
        raise BuildFailed(why)
    return output


def pytest_report_header() -> str:
    """Say what is tested."""
    return f"hot path: {sys.modules[MODULE].__file__}, with sanitizers"


def environment(module: Path) -> dict[str, str]:
    """Make the environment of a Python that loads it. Raises SanitizerMissing."""
    ask = [native.compiler(), "-print-file-name=libasan.so"]
    library = subprocess.run(ask, capture_output=True, text=True, check=True)
    path = Path(library.stdout.strip())
    if not path.is_absolute():  # it answers with the name alone when there is none
        raise SanitizerMissing("there is no libasan")
    return {**os.environ, **ENVIRONMENT, "LD_PRELOAD": str(path), VARIABLE: str(module)}


def _load(path: str) -> None:
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)


if VARIABLE in os.environ:
    _load(os.environ[VARIABLE])
