"""Virtual environments of what Parley is measured beside: in the repository's cache, made once for their requirements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from stack.errors import StackError
from stack.state import default_root

ROOT = Path(__file__).resolve().parents[2]


def installed(name: str, requirements: Path) -> Path:
    """Install a peer's packages, if they are not in the cache; returns its Python. Raises StackError."""
    text = requirements.read_bytes() + sys.version.encode()
    folder = default_root(ROOT) / "cache" / f"{name}-{hashlib.sha256(text).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv(name, "venv", "--python", sys.executable, str(folder))
        _uv(name, "pip", "install", "--python", str(python), "-r", str(requirements))
        (folder / "complete").touch()
    return python


def _uv(name: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"The {name} can't be installed: {done.stderr.strip()[-400:]}")


__all__ = ["installed"]
