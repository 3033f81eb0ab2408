"""The SDK's wheel, built and laid open as an installer would."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.running_stack import ROOT

SDK = ROOT / "sdk"
EXAMPLES = SDK / "examples"


def build(scratch: Path) -> Path:
    """Build the wheel; returns its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch)]
    done = subprocess.run(command, cwd=SDK, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = scratch.glob("*.whl")
    return wheel


def laid_open(scratch: Path) -> Path:
    """Build the wheel and unpack it; returns the folder to have on the path."""
    folder = scratch / "installed"
    with zipfile.ZipFile(build(scratch)) as wheel:
        wheel.extractall(folder)
    return folder


__all__ = ["EXAMPLES", "SDK", "build", "laid_open"]
