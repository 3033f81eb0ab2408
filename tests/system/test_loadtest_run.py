"""The runner of scenarios, run as people run it, on the whole stack through Nginx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest

from loadtest.scenario import load
from stack.certificates import authority_path
from stack.secrets import Secrets
from tests.running_stack import ROOT, RunningStack, parley_environment

SCENARIOS = ROOT / "loadtest" / "scenarios"
PATIENCE_SECONDS = 240


def loadtest(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments],
        cwd=ROOT,
        env={**parley_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def run(stack: RunningStack, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run one of our scenarios on the stack."""
    path = SCENARIOS / f"{name}.json"
    return loadtest("run", str(path), "--host", stack.grpc_target, *more)


def measured(stack: RunningStack, name: str, *more: str) -> dict[str, Any]:
    """Run one of our scenarios to a good end; returns its report."""
    done = run(stack, name, "--format", "json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def administrator(stack: RunningStack) -> str:
    """Sign an administrator's token with the stack's own key, as nobody outside could."""
    with psycopg.connect(
        host="127.0.0.1",
        port=stack.layout.port("postgres", "sql"),
        user="parley_user",
        password=Secrets(stack.state / "secrets").password("parley_user"),
        dbname="parley_user",
    ) as database:
        row = database.execute("SELECT kid, private_pem FROM signing_keys").fetchone()
    assert row is not None
    claims = {"iss": "parley", "aud": "parley", "sub": f"users/{uuid.uuid4()}", "role": "admin"}
    expiry = {"exp": time.time() + 900}
    return jwt.encode({**claims, **expiry}, bytes(row[1]), "EdDSA", headers={"kid": row[0]})


@pytest.mark.parametrize(
    ("name", "total"),
    [("login", 6), ("get_meeting", 40), ("refresh", 3), ("upload_media", 4), ("connect", 5)],
)
def test_a_scenario_makes_so_many_calls_and_all_go_well(
    stack: RunningStack, name: str, total: int
) -> None:
    found = measured(stack, name, "--total", str(total), "--concurrency", "3")
    assert found["count"] == len(found["details"]) == total
    assert found["statusCodeDistribution"] == {"OK": total}
    assert found["errorDistribution"] == {}
    assert sum(bucket["count"] for bucket in found["histogram"]) == total
    percentages = [each["percentage"] for each in found["latencyDistribution"]]
    assert percentages == [10, 25, 50, 75, 90, 95, 99]
    assert found["fastest"] <= found["average"] <= found["slowest"] <= found["total"]
    assert found["options"]["host"] == stack.grpc_target
    assert found["options"]["concurrency"] == 3


def test_a_stream_without_an_end_is_broken_off_by_the_scenario(stack: RunningStack) -> None:
    found = measured(stack, "subscribe", "--total", "5")
    assert found["statusCodeDistribution"] == {"Canceled": 5}
    assert sum(bucket["count"] for bucket in found["histogram"]) == 5


def test_no_token_is_in_a_report(stack: RunningStack) -> None:
    found = measured(stack, "get_user", "--total", "1")
    assert found["options"]["metadata"] == {"authorization": "Bearer {{env `LOAD_TOKEN`}}"}
    assert "eyJ" not in json.dumps(found)


def test_a_rate_and_a_duration_bound_a_run(stack: RunningStack) -> None:
    found = measured(stack, "get_json_web_key_set", "--rps", "20", "--duration", "2")
    assert 1 <= found["count"] <= 40
    assert (found["options"]["rps"], found["options"]["duration"]) == (20, 2_000_000_000)
    found = measured(stack, "get_json_web_key_set", "--total", "3", "--duration", "60")
    assert found["count"] == 3


def test_people_read_a_summary(stack: RunningStack, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    done = run(stack, "get_json_web_key_set", "--total", "7", "--output", str(report))
    assert (done.returncode, done.stdout) == (0, "")
    lines = report.read_text().splitlines()
    assert "  Name:\t\tAuthService.GetJsonWebKeySet" in lines
    assert "  Count:\t7" in lines
    assert "  [OK]   7 responses   " in lines


def test_what_is_not_built_is_said_and_is_no_failure(stack: RunningStack) -> None:
    done = run(stack, "list_recordings", "--total", "3")
    assert done.returncode == 0, done.stderr
    assert "[Unimplemented]   3 responses" in done.stdout
    assert "not built: parley.media.v1.RecordingService.ListRecordings" in done.stderr


def test_calls_that_fail_fail_the_run(stack: RunningStack) -> None:
    done = run(stack, "get_user", "--total", "3", "--token", "nonsense", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["statusCodeDistribution"] == {"Unauthenticated": 3}


def test_where_nobody_listens_calls_fail() -> None:
    path = str(SCENARIOS / "get_json_web_key_set.json")
    done = loadtest("run", path, "--host", "127.0.0.1:1", "--total", "2", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["statusCodeDistribution"] == {"Unavailable": 2}
    needing = loadtest("run", str(SCENARIOS / "get_meeting.json"), "--host", "127.0.0.1:1")
    assert needing.returncode == 2
    assert "AuthService.Register answers UNAVAILABLE" in needing.stderr


def test_an_administrator_s_token_has_to_be_given(stack: RunningStack) -> None:
    done = run(stack, "list_nodes", "--total", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "LOAD_ADMIN_TOKEN" in done.stderr
    assert run(stack, "list_nodes", "--total", "1", "--token", administrator(stack)).returncode == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"call": "parley.user.v1.AuthService.NoSuch"}, "has no method"),
        ({"totl": 3}, "'totl' is no key of ghz"),
        ({"data": {"no_such_field": 1}}, "no_such_field"),
        ({"data": {"password": "{{upper `a`}}"}}, "upper"),
        ({"data": {"password": "{{env `NO_SUCH_VARIABLE`}}"}}, "NO_SUCH_VARIABLE is not set"),
        ({"host": "192.0.2.1:8000"}, "is another machine: say --host"),
        ({"protoset": "no/such.binpb"}, "no/such.binpb"),
        ({"insecure": False, "cacert": "no/such.pem"}, "no/such.pem"),
    ],
)
def test_a_wrong_file_is_refused_before_any_call(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    document = {**json.loads((SCENARIOS / "login.json").read_text()), "host": "127.0.0.1:1"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**document, "data": {"password": "x"}, **change}))
    done = loadtest("run", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_more_than_can_be_made_is_refused(stack: RunningStack) -> None:
    done = run(stack, "refresh", "--total", "401")
    assert done.returncode == 2
    assert "at most 400 calls" in done.stderr


def test_what_ghz_needs_can_be_made_and_is_used(stack: RunningStack, tmp_path: Path) -> None:
    script = tmp_path / "load.sh"
    where = ("--host", stack.grpc_target, "--pool", "2", "--output", str(script))
    done = loadtest("token", *where)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert script.stat().st_mode & 0o777 == 0o600
    shown = subprocess.run(
        ["sh", "-c", f". {script} && env"], capture_output=True, text=True, check=True
    ).stdout
    given = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("LOAD_"))
    assert given["LOAD_MEETING"].startswith("meetings/")
    assert len(given["LOAD_TICKETS"].split(",")) == 2
    command = ("run", str(SCENARIOS / "connect.json"), "--host", stack.grpc_target, "--total")
    assert loadtest(*command, "2", environment=given).returncode == 0
    spent = loadtest(*command, "3", environment=given)
    assert spent.returncode == 2
    assert "number 2 is asked for" in spent.stderr


def test_ghz_s_metadata_can_be_made(stack: RunningStack) -> None:
    done = loadtest("token", "--host", stack.grpc_target, "--format", "metadata")
    scheme, token = json.loads(done.stdout)["authorization"].split(" ")
    assert scheme == "Bearer"
    assert run(stack, "get_user", "--total", "2", "--token", token).returncode == 0


def test_it_goes_over_tls(stack: RunningStack) -> None:
    host = f"localhost:{stack.layout.port('nginx', 'https')}"
    path, trust = str(SCENARIOS / "get_user.json"), str(authority_path(stack.state / "secrets"))
    done = loadtest("run", path, "--host", host, "--cacert", trust, "--total", "2")
    assert done.returncode == 0, done.stdout + done.stderr


LACKING = {
    "detect_emotion": {"FailedPrecondition"},
    "stream_detect_emotion": {"FailedPrecondition"},
    "recognize_speech": {"OK", "Unavailable"},
    "stream_recognize_speech": {"OK", "Unavailable"},
    "recognize_long_speech": {"NotFound", "Unavailable"},
    "export_transcript": {"NotFound"},
    "get_summary": {"NotFound"},
    "generate_summary": {"FailedPrecondition"},
    "catch_up": {"FailedPrecondition"},
    "begin_sign_in": {"NotFound"},
    "complete_sign_in": {"NotFound"},
    "create_guest_session": {"PermissionDenied"},
    "delete_account": {"OK", "NotFound", "Unauthenticated"},
    "delete_invitation": {"OK", "NotFound"},
    "delete_meeting": {"OK", "NotFound"},
    "delete_webhook": {"OK", "NotFound"},
    "deny_participant": {"FailedPrecondition"},
    "get_avatar": {"NotFound"},
    "open_breakouts": {"OK", "FailedPrecondition"},
    "enable_totp": {"FailedPrecondition"},
    "disable_totp": {"FailedPrecondition"},
    "replace_recovery_codes": {"FailedPrecondition"},
    "reset_password": {"Unauthenticated"},
    "verify_email": {"Unauthenticated"},
}
"""How these end where faces may not be read, no model of speech is built, and nothing was said or uploaded; nor are there
identity providers, guests, pictures, second factors, links from mails, people in a lobby, or an account, a meeting, an
invitation or a webhook to delete twice (its sessions may have ended already, too), or breakout rooms to open twice."""


LOST_STATUS = "Internal error from Core"
"""What grpc.aio says instead of the status when a stream is refused just as the client writes to it: such calls are made again."""


def test_every_scenario_runs(stack: RunningStack) -> None:
    """Each is answered, or said to be not built, but none is refused for what it sends.

    One that must not do what it asks for (drain the nodes under all others) has a tag for how it is to end.
    """
    files = sorted(map(str, SCENARIOS.iterdir()))
    token = {**os.environ, "LOAD_ADMIN_TOKEN": administrator(stack)}
    arguments = ("--host", stack.grpc_target, "--total", "2", "--format", "json")
    refused = [path for path in files if "status" in load(Path(path)).tags]
    lacking = [path for path in files if Path(path).stem in LACKING]
    plain = set(files) - set(refused) - set(lacking)
    done = loadtest("run", *plain, *arguments, environment=token)
    without = loadtest("run", *lacking, *arguments, environment=token)
    also = loadtest("run", *refused, *arguments, environment=token)
    assert len(refused) == 1, "one report is told as it is, not in a list"
    told = [*json.loads(done.stdout), *json.loads(without.stdout), json.loads(also.stdout)]
    reports = {report["options"]["call"]: report for report in told}
    assert len(reports) == len(files)
    for path in files:
        call, tries = load(Path(path)).call, 0
        while LOST_STATUS in str(reports[call]["errorDistribution"]) and (tries := tries + 1) < 10:
            again = loadtest("run", path, *arguments, environment=token)
            reports[call] = json.loads(again.stdout)
    wrong = {}
    for path in files:
        scenario = load(Path(path))
        report = reports[scenario.call]
        well = LACKING.get(Path(path).stem, {scenario.tags.get("status", "OK")})
        well |= {"Canceled"} if scenario.cuts_streams else set()
        statuses = report["statusCodeDistribution"]
        if not (set(statuses) <= well or set(statuses) == {"Unimplemented"}):
            wrong[scenario.name] = statuses, report["errorDistribution"]
        assert report["count"] == 2
    assert wrong == {}
    assert done.returncode == 0, done.stderr
