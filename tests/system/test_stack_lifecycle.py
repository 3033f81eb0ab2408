"""`./parley up` and what belongs to it, on whole stacks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from stack.secrets import Secrets
from stack.state import State
from stack.topology import topology
from tests.running_stack import (
    ROOT,
    RunningStack,
    eventually,
    free_offset,
    fresh_stack,
    parley,
    parley_command,
    parley_environment,
    stack_running,
)
from tests.servers import open_folder

PROCESSES = [process.name for process in topology(media_workers=2).processes]


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack of this module's own, since killing is not for the shared one."""
    with fresh_stack() as running:
        yield running


def is_ready(stack: RunningStack) -> bool:
    try:
        with urllib.request.urlopen(f"{stack.http}/readyz") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in processes)


def query(stack: RunningStack, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(
        host="127.0.0.1",
        port=stack.layout.port("postgres", "sql"),
        user="parley_user",
        password=Secrets(stack.state / "secrets").password("parley_user"),
        dbname="parley_user",
        autocommit=True,
    ) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_comes_back_without_a_restart_of_the_rest(
    own: RunningStack, name: str
) -> None:
    others = {process.name: process.pid for process in own.status.processes if process.name != name}
    killed = own.kill(name)
    own.wait_until_back(name, killed)
    eventually(lambda: is_ready(own), "the gateway reaches everything again")
    assert others == {
        process.name: process.pid for process in own.status.processes if process.name != name
    }


def test_status_tells_every_process_and_where_things_are(own: RunningStack) -> None:
    shown = parley("status", "--state", str(own.state))
    assert shown.returncode == 0, shown.stdout
    assert all(name in shown.stdout for name in PROCESSES)
    assert own.http in shown.stdout
    assert str(own.state / "logs") in shown.stdout


def test_status_fails_while_something_is_down(own: RunningStack) -> None:
    state = State(own.state)
    os.kill(own.pid("valkey"), signal.SIGSTOP)
    try:
        eventually(
            lambda: parley("status", "--state", str(own.state)).returncode == 1, "status fails"
        )
    finally:
        os.kill(own.pid("valkey"), signal.SIGCONT)
    eventually(
        lambda: all(process.state == "ready" for process in state.read_status().processes),  # type: ignore[union-attr]  # it is there
        "valkey is well again",
    )


def test_logs_shows_a_log_and_names_those_that_there_are(own: RunningStack) -> None:
    assert "service started" in parley("logs", "user", "--state", str(own.state)).stdout
    unknown = parley("logs", "nobody", "--state", str(own.state))
    assert unknown.returncode == 1
    assert "nginx.access" in unknown.stderr


def test_logs_follows_what_is_written(own: RunningStack) -> None:
    command = parley_command("logs", "nginx.access", "-f", "-n", "0", "--state", str(own.state))
    with subprocess.Popen(
        command, cwd=ROOT, env=parley_environment(), stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None

        def asked() -> bool:
            urllib.request.urlopen(f"{own.http}/healthz").close()
            return True

        eventually(asked, "nginx answers")
        log = State(own.state).log("nginx.access")
        with log.open("a") as writer:
            writer.write("a line that is new\n")
        lines = iter(following.stdout.readline, "")
        assert any("a line that is new" in line for line in lines)
        following.terminate()


def test_a_second_up_on_the_same_state_says_so(own: RunningStack) -> None:
    again = parley("up", "--state", str(own.state), "--port-offset", str(own.offset))
    assert again.returncode == 1
    assert "already" in again.stderr
    assert again.stderr.count("\n") == 1


def test_no_token_or_query_reaches_the_access_logs(own: RunningStack) -> None:
    request = urllib.request.Request(
        f"{own.http}/.well-known/jwks.json?secret=s3cr3t",
        headers={"Authorization": "Bearer t0k3n"},
    )
    with pytest.raises(OSError, match="400"):
        urllib.request.urlopen(request)
    for name in ("nginx.access", "envoy.access"):
        log = State(own.state).log(name)
        eventually(lambda log=log: "/.well-known/" in log.read_text(), f"{name} has a line")  # type: ignore[misc]  # bound now
        logged = log.read_text()
        assert "s3cr3t" not in logged
        assert "t0k3n" not in logged


def test_two_stacks_stand_side_by_side(own: RunningStack) -> None:
    with fresh_stack() as other:
        assert is_ready(own)
        assert is_ready(other)
        assert own.http != other.http


def test_a_taken_port_is_named_with_who_needs_it_and_what_to_do() -> None:
    offset = free_offset()
    port = topology(offset).port("valkey", "redis")
    with open_folder() as folder, socket.create_server(("127.0.0.1", port)):
        begun = parley("up", "--state", str(folder), "--port-offset", str(offset))
    assert begun.returncode == 1
    assert begun.stderr == (
        f"parley: Port {port} is taken and valkey (redis) needs it. "
        "Stop whoever has it, or move all ports with --port-offset N.\n"
    )


def test_ctrl_c_stops_everything_and_a_second_up_finds_its_data() -> None:
    offset = free_offset()
    with open_folder() as folder:
        command = parley_command("up", "--state", str(folder), "--port-offset", str(offset))
        with subprocess.Popen(
            command, cwd="/", env=parley_environment(), stdout=subprocess.PIPE, text=True
        ) as foreground:
            assert foreground.stdout is not None
            lines = iter(foreground.stdout.readline, "")
            assert any(line.startswith("Data") for line in lines)
            stack = RunningStack(folder, offset, topology(offset))
            query(stack, "CREATE TABLE kept AS SELECT 'a row' AS note")
            everything = family(foreground.pid)
            foreground.send_signal(signal.SIGINT)
            foreground.stdout.read()
        assert foreground.returncode == 0
        assert gone(everything)
        with stack_running(folder, offset) as again:
            assert query(again, "SELECT note FROM kept") == [("a row",)]


def test_nothing_outlives_a_killed_stack_and_the_next_up_starts_anew() -> None:
    offset = free_offset()
    with open_folder() as folder:
        with stack_running(folder, offset) as stack:
            query(stack, "CREATE TABLE kept AS SELECT 'a row' AS note")
            everything = family(stack.status.pid)
            os.kill(stack.status.pid, signal.SIGKILL)
            assert parley("status", "--state", str(folder)).returncode == 1
        with stack_running(folder, offset) as again:
            assert gone(everything)
            assert query(again, "SELECT note FROM kept") == [("a row",)]


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    assert parley("down", "--state", str(tmp_path)).returncode == 0
