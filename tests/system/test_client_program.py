"""The client test program, run as people run it: on the whole stack, and on stand-ins that do what no stack should."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loadtest.client.areas import AREAS
from stack.certificates import authority_path, issued
from tests.gateway_stand_ins import Answer, stand_in, tls_before
from tests.rest import client, sign_up
from tests.running_stack import ROOT, RunningStack, parley_environment

PROGRAM = (sys.executable, "-m", "loadtest.client")
PATIENCE_SECONDS = 240


def run(*arguments: str, command: tuple[str, ...] = PROGRAM) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=parley_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def status(code: int) -> Mapping[str, Any]:
    return {"code": code, "message": "Not so.", "details": []}


def results(report: Path) -> dict[str, dict[str, Any]]:
    """Read what a run found, by area and title."""
    document = json.loads(report.read_text())
    return {f"{each['area']}: {each['case']}": each for each in document["cases"]}


def test_a_whole_stack_passes(stack: RunningStack, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    numbers = ("--requests", "20", "--concurrency", "4")
    done = run("--url", stack.http, "--json", str(report), *numbers)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["area", "case", "result", "ms", "note"]
    assert {row.split()[0] for row in rows[1:-1]} == set(AREAS)
    found = json.loads(report.read_text())
    assert len(found["cases"]) == len(rows) - 2 == sum(found["counts"].values())
    assert found["counts"]["failed"] == 0
    assert found["left_behind"] == []
    assert found["figures"]["sequential_p50_ms"] <= found["figures"]["sequential_p99_ms"]
    for title in ("user: login", "signaling: join: joined comes", "timing: many at once"):
        assert results(report)[title]["result"] == "passed", title


def test_its_meetings_are_over_afterwards(stack: RunningStack, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("--url", stack.http, "--json", str(report), "--only", "signaling", "--quiet")
    assert done.returncode == 0, done.stdout
    meeting = results(report)["signaling: a meeting gives a ticket"]["note"]
    with client(stack) as http:
        found = sign_up(http).call("GET", f"/api/v1/{meeting}")
    assert found.status_code == 404 or found.json()["state"] == "MEETING_STATE_ENDED"


async def test_a_ca_of_ones_own_is_trusted_when_named(stack: RunningStack, tmp_path: Path) -> None:
    async with tls_before(stack.grpc_target, issued(tmp_path, ())) as url:
        chosen = ("--url", url, "--only", "gateway", "signaling", "grpc", "--quiet")
        unknown = await asyncio.to_thread(run, *chosen)
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert "--ca" in unknown.stderr
        for trust in (("--ca", str(authority_path(tmp_path))), ("--insecure",)):
            trusted = await asyncio.to_thread(run, *chosen, *trust)
            assert trusted.returncode == 0, trusted.stdout + trusted.stderr


def test_a_server_that_answers_500_fails(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with stand_in(lambda number: Answer(500, status(13))) as url:
        done = run("--url", url, "--json", str(report))
    assert done.returncode == 1, done.stdout + done.stderr
    found = results(report)
    assert {each["area"] for each in found.values()} == set(AREAS)
    assert "passed" not in {each["result"] for each in found.values()}
    assert found["gateway: /healthz says ok"]["note"].startswith("HTTP 500, not 200")
    joined = found["meeting: join"]
    assert (joined["result"], joined["note"]) == ("not run", "meeting: create was not run")
    assert found["meeting: create"]["note"] == "user: register failed"


def test_a_server_that_answers_nonsense_fails(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    nonsense = {"user": [], "status": "\x1b[2Jgone", "keys": "none"}
    with stand_in(lambda number: Answer(200, nonsense)) as url:
        done = run("--url", url, "--json", str(report))
    assert done.returncode == 1, done.stdout + done.stderr
    passed = [name for name, each in results(report).items() if each["result"] == "passed"]
    assert passed == ["gateway: /readyz: every service is reached"]  # its status alone counts
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_what_is_not_built_has_not_passed_and_has_not_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with stand_in(lambda number: Answer(501, status(12))) as url:
        done = run("--url", url, "--json", str(report), "--only", "media", "limits", "signaling")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {each["result"] for each in results(report).values()} == {"not built", "not run"}


REFUSAL = {"code": 8, "message": "Too many requests.", "details": []}
TOLD = {"retry-after": "1", "ratelimit-limit": "60", "ratelimit-remaining": "0"}


def limiting(headers: Mapping[str, str], body: Mapping[str, Any]) -> Callable[[int], Answer]:
    """Refuse twenty requests: the third volley, after one that sees whether anybody is there."""
    refused = range(42, 62)
    return lambda number: (
        Answer(429, body, headers) if number in refused else Answer(400, status(3))
    )


def test_a_gateway_that_limits_passes(tmp_path: Path) -> None:
    with stand_in(limiting({**TOLD, "ratelimit-reset": "1"}, REFUSAL)) as url:
        done = run("--url", url, "--only", "limits")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(": 5 passed")


@pytest.mark.parametrize(
    ("headers", "body", "complaint"),
    [
        (TOLD, REFUSAL, "there is no ratelimit-reset"),
        ({**TOLD, "ratelimit-reset": "1", "retry-after": "0"}, REFUSAL, "Retry-After is 0"),
        ({**TOLD, "ratelimit-reset": "1"}, {"error": "slow"}, "its fields are ['error']"),
        ({**TOLD, "ratelimit-reset": "1"}, {**REFUSAL, "code": 2}, "code 2, not 8"),
    ],
)
def test_a_gateway_that_limits_without_saying_how_fails(
    headers: Mapping[str, str], body: Mapping[str, Any], complaint: str
) -> None:
    with stand_in(limiting(headers, body)) as url:
        done = run("--url", url, "--only", "limits")
    assert done.returncode == 1, done.stdout + done.stderr
    assert complaint in done.stdout


def test_limits_that_are_off_are_said_to_be_skipped() -> None:
    asked: list[int] = []

    def answer(number: int) -> Answer:
        asked.append(number)
        return Answer(400, status(3))

    with stand_in(answer) as url:
        done = run("--url", url, "--only", "limits")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" in done.stdout
    assert "limits are off" in done.stdout
    assert "passed" not in done.stdout
    assert len(asked) <= 2001  # one to see whether anybody is there


def test_nobody_at_the_address_is_a_clear_line_and_status_2() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run("--url", url)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"client: {url} can't be reached: ")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--only", "nothing"),
        ("--url", "localhost:8000"),
        ("--url", "http://localhost:8000/api"),
        ("--requests", "0"),
        ("--concurrency", "many"),
        ("--json", "/no/such/folder/report.json"),
        ("--ca", "/no/such/ca.pem"),
        ("--ca", str(ROOT / "README.md")),
        ("--ca", str(ROOT / "README.md"), "--insecure"),
    ],
)
def test_wrong_usage_is_status_2_and_tries_nothing(wrong: tuple[str, ...]) -> None:
    done = run("--url", "https://localhost:1", *wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert wrong[0] in done.stderr or wrong[1] in done.stderr


def test_a_package_that_is_missing_is_named() -> None:
    script = "import sys; sys.modules['httpx'] = None; import runpy; runpy.run_module('loadtest.client', run_name='__main__')"
    done = run(command=(sys.executable, "-c", script))
    assert (done.returncode, done.stdout) == (2, "")
    assert "httpx is missing" in done.stderr


def test_help_names_every_area_and_option() -> None:
    done = run("--help")
    assert done.returncode == 0
    options = ("url", "ca", "insecure", "only", "requests", "concurrency", "json", "quiet")
    for each in (*AREAS, *(f"--{option}" for option in options), "exit status"):
        assert each.lower() in done.stdout.lower(), each


@pytest.mark.parametrize("no_colour", [{}, {"NO_COLOR": "1"}])
def test_colours_are_for_terminals_and_for_those_who_want_them(
    no_colour: Mapping[str, str],
) -> None:
    theirs, ours = pty.openpty()
    plain = {name: each for name, each in parley_environment().items() if name != "NO_COLOR"}
    with stand_in(lambda number: Answer(500, status(13))) as url:
        command = [*PROGRAM, "--url", url, "--only", "gateway"]
        subprocess.run(command, cwd=ROOT, env={**plain, **no_colour}, stdout=ours, check=False)
    os.close(ours)
    shown = os.read(theirs, 65_536).decode()
    os.close(theirs)
    assert "failed" in shown
    assert ("\x1b[31m" in shown) is not bool(no_colour)
