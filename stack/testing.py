"""`./parley test`: all the tests, after making sure that what they need is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stack import web
from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def run(arguments: Sequence[str]) -> int:
    """Run pytest with `arguments`, by default on everything. Returns its exit status. Raises StackError."""
    environment = {**os.environ, "PARLEY_CHROMIUM": chromium()}
    if not arguments:
        web.build()
        web_tests = subprocess.run(
            ["npm", "test", "--silent"], cwd=ROOT / "web", env=web.npm_environment(), check=False
        )
        if web_tests.returncode != 0:
            return web_tests.returncode
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False
    ).returncode


def chromium() -> str:
    """Find a Chromium, or install one: Playwright's own, or, as root, the distribution's. Raises StackError."""
    if (found := _installed()) is not None:
        return found
    print("parley: fetching a browser for the browser tests …", file=sys.stderr, flush=True)
    playwright = [sys.executable, "-m", "playwright", "install", "chromium", "--with-deps"]
    if os.geteuid() != 0:
        playwright.pop()
    attempts = [playwright]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        apt = "apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk"
        attempts.insert(0, ["sh", "-c", f"DEBIAN_FRONTEND=noninteractive {apt}"])
    for command in attempts:
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if (found := _installed()) is not None:
            return found
    raise StackError(
        "The browser tests need Chromium: install it (apt-get install chromium) and try again."
    )


def _installed() -> str | None:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    script = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    path = done.stdout.strip()
    return path if path and Path(path).exists() else None


__all__ = ["chromium", "run"]
