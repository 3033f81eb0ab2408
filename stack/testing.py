"""`./parley test`: all the tests, after making sure that what they need is there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack import web
from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    "unit",
    "contracts",
    "browser",
    "wire/media",
    "system",
    "wire/meeting",
    "gateway",
    "wire/user",
    "wire/signaling",
    "wire/mesh",
    "wire/ai",
)
"""The quick ones first, then the longest, so that the last ones end at about the same time."""
WIDEST = max(map(len, FOLDERS))
AT_ONCE = 2
"""Folders whose tests run beside each other: most wait for something, most of the time."""
PROGRESS = re.compile(r"[.FEsxX]+ +\[ *\d+%\]\n")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OTHERS = {"coturn": ("turnserver",), "firefox-esr": ("firefox-esr", "firefox")}
"""Packages of Debian's that tests use where they are, and the programs that they may be there as."""
CHROMIUM_VARIABLE = "PARLEY_CHROMIUM"
"""Tells the browser tests which executable to drive."""


def run(arguments: Sequence[str]) -> int:
    """Run pytest with `arguments`; without any, everything, the web app's own tests too. Raises StackError.

    Returns the exit status: pytest's, or that of the web app's tests if they fail first.
    """
    environment = {**os.environ, CHROMIUM_VARIABLE: str(chromium())}
    _install_others()
    asyncio.run(web.build())
    if not arguments:
        npm = ["npm", "test", "--silent"]
        done = subprocess.run(npm, cwd=web.WEB, env=web.npm_environment(), check=False)
        if done.returncode != 0:
            return done.returncode
        return _everything(environment)
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _everything(environment: Mapping[str, str]) -> int:
    """Run the tests of all folders, AT_ONCE at a time; returns the exit status of one that fails, if any does."""
    with ThreadPoolExecutor(AT_ONCE) as executor:
        statuses = list(executor.map(lambda folder: _folder(folder, environment), FOLDERS))
    return next(filter(None, statuses), 0)


def _folder(folder: str, environment: Mapping[str, str]) -> int:
    """Run a folder's tests, showing line by line how far they are and, at the end and in one piece, what pytest says of them."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", f"tests/{folder}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pytest:
        assert pytest.stdout is not None
        said = [f"tests/{folder}:\n"]
        for line in pytest.stdout:
            if PROGRESS.fullmatch(line):
                print(f"{folder:>{WIDEST}} {line}", end="", flush=True)
            else:
                said.append(line)
    print("".join(said), flush=True)
    return pytest.returncode


def chromium() -> Path:
    """Find a Chromium that runs, or install one: as root the distribution's, else Playwright's. Raises StackError."""
    if (found := installed_chromium()) is not None:
        return found
    for text, command in _ways_to_install():
        print(f"parley: {text} …", file=sys.stderr, flush=True)
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if (found := installed_chromium()) is not None:
            return found
    raise StackError("The tests need Chromium: install it (apt install chromium) and try again.")


def _install_others() -> None:
    """Install coturn and Firefox as root. Without them the tests go less far, and pytest says so."""
    for package, programs in OTHERS.items():
        if not any(map(shutil.which, programs)) and _is_debian_root():
            print(f"parley: installing {package} …", file=sys.stderr, flush=True)
            subprocess.run(_apt(package), check=False, stdout=subprocess.DEVNULL)


def installed_chromium() -> Path | None:
    """Find the first Chromium that runs: the system's, then Playwright's."""
    return next(filter(_runs, _candidates()), None)


def _candidates() -> Iterator[Path]:
    yield from (Path(found) for name in BROWSERS if (found := shutil.which(name)))
    script = "from playwright.sync_api import sync_playwright as play\nwith play() as p: print(p.chromium.executable_path)"
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if said:
        yield Path(said)


def _runs(browser: Path) -> bool:
    """Tell whether it starts at all: a downloaded one may lack the system's libraries."""
    try:
        command = [str(browser), "--version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _ways_to_install() -> Iterator[tuple[str, list[str]]]:
    if _is_debian_root():
        yield "installing the distribution's Chromium", _apt("chromium fonts-noto-cjk")
    playwright = [sys.executable, "-m", "playwright"]
    yield "fetching Playwright's Chromium", [*playwright, "install", "chromium"]


def _is_debian_root() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt(packages: str) -> list[str]:
    """Spell the command that installs packages of Debian's, asking nothing."""
    apt = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}"
    return ["sh", "-c", f"DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; {apt}"]


__all__ = ["CHROMIUM_VARIABLE", "chromium", "installed_chromium", "run"]
