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


def operations() -> int:
    paths = json.loads(DOCUMENT.read_text())["paths"].values()
    return sum(len(verbs) for verbs in paths)


def test_schemathesis_finds_nothing(stack: RunningStack, tmp_path: Path) -> None:
    with client(stack) as http:
        token = sign_up(http).access_token
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    where = ["--url", stack.http, "--header", f"Authorization: Bearer {token}"]
    options = ["--phases", PHASES, "--max-examples", str(EXAMPLES), "--workers", "1", "--seed", "7"]
    options += ["--continue-on-failure", "--no-color", *where]
    done = subprocess.run(
        [program, "--config-file", CONFIGURATION, "run", DOCUMENT, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"Tested: {operations()}\n" in done.stdout, done.stdout[-2000:]
