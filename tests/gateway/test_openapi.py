"""What is served is what the OpenAPI document says: schemathesis asks every operation, in ways that are right and wrong."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

from tests.rest import client, sign_up
from tests.running_stack import RunningStack

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "gen" / "openapi.json"
PHASES = "examples,coverage,fuzzing"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 5
SECONDS = 600
ENDING = "sessions:endAll$"
"""After this everything would be refused: it is asked last, by itself."""
ENDLESS = "events:watch$"
"""A stream that has no end."""


def operations() -> int:
    paths = json.loads(DOCUMENT.read_text())["paths"].values()
    return sum(len(verbs) for verbs in paths)


def test_schemathesis_finds_nothing(stack: RunningStack, tmp_path: Path) -> None:
    with client(stack) as http:
        token = sign_up(http).access_token
    apart = f"{ENDING}|{ENDLESS}"
    ask(stack, token, tmp_path, operations() - 2, "--exclude-path-regex", apart)
    with client(stack) as http:
        me = http.get("/api/v1/users/me", headers={"authorization": f"Bearer {token}"})
    assert me.status_code == 200, "what follows an end of the session is all refused"
    ask(stack, token, tmp_path, 1, "--include-path-regex", ENDING)


def ask(stack: RunningStack, token: str, folder: Path, count: int, *which: str) -> None:
    """Ask so many operations, and see that nothing is found."""
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    where = ["--url", stack.http, "--header", f"Authorization: Bearer {token}"]
    options = ["--phases", PHASES, "--max-examples", str(EXAMPLES), "--workers", "1", "--seed", "7"]
    options += ["--continue-on-failure", "--no-color", *where, *which]
    done = subprocess.run(
        [program, "--config-file", CONFIGURATION, "run", DOCUMENT, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-9000:]
    assert f"Tested: {count}\n" in done.stdout, done.stdout[-2000:]
