"""Change without loss: whatever is reloaded or restarted while people read and write, no request fails and none is done twice."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.gateway.traffic import Traffic, traffic
from tests.rest import client, sign_up
from tests.running_stack import RunningStack, eventually, parley, parley_command, parley_environment

PATHS = ["/api/v1/users/me", "/api/v1/meetings", "/api/v1/media", "/.well-known/jwks.json"]
AT_LEAST = 20_000
"""How many reads all changes together see."""

seen_reads: list[int] = []


async def change(stack: RunningStack, *words: str) -> None:
    command = parley_command(*words, "--state", str(stack.state))
    process = await asyncio.create_subprocess_exec(
        *command, env=parley_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.fixture(scope="module")
def tokens(stack: RunningStack) -> list[str]:
    with client(stack) as http:
        return [sign_up(http).access_token for _ in range(4)]


async def under_traffic(stack: RunningStack, tokens: list[str], *words: str, reads: int) -> Traffic:
    async with traffic(stack.http, tokens, PATHS) as seen:
        await asyncio.sleep(0.3)
        await change(stack, *words)
        while seen.reads < reads and not seen.failed:  # noqa: ASYNC110  # counting, not waiting
            await asyncio.sleep(0.1)
    seen_reads.append(seen.reads)
    return seen


@pytest.mark.parametrize("words", [("reload",), ("restart", "envoy"), ("restart", "user"), ("restart", "meeting"), ("restart", "library"), ("restart", "signaling"), ("restart", "media"), ("restart", "ai")], ids=" ".join)  # fmt: skip
async def test_no_request_is_lost(
    stack: RunningStack, tokens: list[str], words: tuple[str, ...]
) -> None:
    before = {process.name: process.pid for process in stack.status.processes}
    seen = await under_traffic(stack, tokens, *words, reads=2500)
    assert not seen.failed
    assert seen.writes
    assert all(len(names) == 1 for names in seen.created.values() if names), (
        "a write was done twice"
    )
    after = {process.name: process.pid for process in stack.status.processes}
    changed = {name for name in before if before[name] != after[name]}
    wanted = {name for name in before if words[-1] == name.partition("-")[0]}
    assert changed == (wanted if words[0] == "restart" else set())


def test_enough_was_asked_to_say_so() -> None:
    assert sum(seen_reads) >= AT_LEAST


async def test_a_replica_that_is_killed_is_not_missed(edge: RunningStack) -> None:
    with client(edge) as http:
        token = sign_up(http).access_token
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=edge.http, headers=headers) as reader:
        killed = edge.kill("meeting-1")
        try:
            statuses = [(await reader.get("/api/v1/meetings")).status_code for _ in range(15)]
        finally:
            await asyncio.to_thread(edge.wait_until_back, "meeting-1", killed)
    assert set(statuses) == {200}


def test_settings_are_taken_up_without_a_restart(edge: RunningStack) -> None:
    path = edge.state / "parley.toml"
    before, pids = path.read_text(), [process.pid for process in edge.status.processes]
    transport = httpx.HTTPTransport(local_address="127.0.0.77")
    with httpx.Client(transport=transport, base_url=edge.http.replace("localhost", "127.0.0.1")) as visitor:  # fmt: skip
        assert visitor.get("/healthz").status_code == 200
        path.write_text(before.replace("127.0.0.66/32", "127.0.0.77/32"))
        try:
            assert parley("reload", "--state", str(edge.state)).returncode == 0
            eventually(lambda: visitor.get("/").status_code == 403, "the address is denied")
        finally:
            path.write_text(before)
            assert parley("reload", "--state", str(edge.state)).returncode == 0
        eventually(lambda: visitor.get("/").status_code == 200, "it is let in again")
    assert [process.pid for process in edge.status.processes] == pids


@pytest.mark.parametrize("wrong", ["[acces]\n", "[access]\ndeny = 7\n", '[access]\ndeny = ["here"]\n', "[limits.api]\naddress = { steady = 0, burst = 1 }\n", "not toml"])  # fmt: skip
def test_settings_that_are_wrong_change_nothing(edge: RunningStack, wrong: str) -> None:
    path = edge.state / "parley.toml"
    before = path.read_text()
    path.write_text(wrong)
    try:
        refused = parley("reload", "--state", str(edge.state))
    finally:
        path.write_text(before)
    assert refused.returncode == 1
    assert "parley.toml" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert httpx.get(f"{edge.http}/readyz").status_code == 200


def test_what_can_not_be_restarted_is_said(edge: RunningStack) -> None:
    refused = parley("restart", "postgres", "--state", str(edge.state))
    assert refused.returncode == 1
    assert "postgres can't be restarted without a gap" in refused.stderr
