"""The compiled hot path keeps its contracts under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack import native
from tests import sanitized

ROOT = Path(__file__).resolve().parents[2]
SUITES = (
    "test_fanout.py",
    "test_fanout_differential.py",
    "test_intake.py",
    "test_acknowledged.py",
)
PLUGINS = ("-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "tests.sanitized")
CHECK = "check_packet(&packet, data.len) < 0"


def build(folder: Path, sources: Sequence[Path] = native.SOURCES) -> Path:
    """Compile it with sanitizers. Only where not even an empty program can be compiled so is the test skipped."""
    try:
        return sanitized.build(folder, sources)
    except sanitized.SanitizerMissing:
        # The compiled way is optional (ADR 15), and so is a compiler: without one there is nothing here that could be wrong. A
        # source that does not compile is no such case, and fails.
        pytest.skip(reason="no compiler that has AddressSanitizer and UndefinedBehaviorSanitizer")


def run(module: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the contract's tests with a module."""
    suites = [str(ROOT / "tests" / "contracts" / name) for name in SUITES]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "--noconftest", "--capture=no", *PLUGINS, *arguments, *suites],
        cwd=ROOT,
        env=sanitized.environment(module),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def test_the_contract_is_kept_and_nothing_is_out_of_bounds(tmp_path: Path) -> None:
    module = build(tmp_path)
    done = run(module)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert f"{module}, with sanitizers" in done.stdout
    assert "skipped" not in done.stdout


def test_a_check_that_is_left_out_is_noticed(tmp_path: Path) -> None:
    """Were the sanitizers not there, the test above would prove nothing."""
    changed = tmp_path / "fanout.c"
    text = (native.NATIVE / "fanout.c").read_text()
    assert text.count(CHECK) == 2
    changed.write_text(text.replace(CHECK, "0"))
    others = [each for each in native.SOURCES if each.name != changed.name]
    done = run(build(tmp_path, [changed, *others]), "-k", "refuses and picture")
    assert done.returncode != 0
    assert "ERROR: AddressSanitizer" in done.stderr + done.stdout
