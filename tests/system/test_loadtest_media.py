"""The media load generator, run as people run it, on the whole stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.running_stack import ROOT, RunningStack, parley_environment

PROGRAM = (sys.executable, "-m", "loadtest.media")
PATIENCE_SECONDS = 240
VOID = 3


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=ROOT,
        env=parley_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def test_rooms_are_filled_and_what_is_sent_arrives_unchanged(
    stack: RunningStack, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    sizes = "--rooms 2 --publishers 2 --subscribers 3 --duration 3 --bitrate 300 --processes 2"
    done = run("--url", stack.http, "--json", str(report), *sizes.split())
    assert done.returncode in (0, VOID), done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert (done.returncode == VOID) == bool(found["void"]) == ("VOID" in done.stdout)
    figures = found["figures"]
    assert (figures["joined"], figures["failed"]) == (6, 0)
    assert figures["tracks"] == 2 * (2 * 1 + 1 * 2) * 2  # sound and a picture of each
    assert figures["silent"] == figures["corrupt"] == 0
    assert figures["received"] > 0
    assert found["complaints"] == []
    assert "joined" in done.stderr  # its progress


def test_where_nobody_answers_it_says_so() -> None:
    done = run("--url", "http://127.0.0.1:9", "--duration", "1")
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
