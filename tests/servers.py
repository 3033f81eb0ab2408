"""Real Postgres and Valkey for tests, run by the code that `./parley up` runs them with."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from chassis.migration.__main__ import migrate
from stack import postgres as postgres_server
from stack import valkey as valkey_server
from stack.postgres import DATABASES, SUPERUSER
from stack.supervisor import Supervisor, Unit

PASSWORD = "a password for tests"
SERVICES = Path(__file__).resolve().parent.parent / "services"
MIGRATIONS = {
    "user": SERVICES / "user/migrations",
    "meeting": SERVICES / "meeting/migrations",
    "media": SERVICES / "media/library/migrations",
}
PORTS = range(26_000, 31_000)
"""Where they listen: whole stacks for tests have ports below, and the kernel gives those from 32,768 to outgoing connections."""
_PORTS = itertools.cycle(random.sample(PORTS, len(PORTS)))


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A cluster of the tests' own."""

    port: int
    _templates: dict[str, str] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """Get the address of a database, for SQLAlchemy."""
        password = PASSWORD.replace(" ", "%20")
        return postgres_server.url(self.port, database, password, role=SUPERUSER)

    def migrated_database(self, service: str) -> AbstractContextManager[str]:
        """Make a database as a service keeps it, empty and up to date: a copy of one that is migrated once."""
        if service not in self._templates:
            template = f"template_{service}"
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
            migrate(self.url(template), MIGRATIONS[service])
            self._templates[service] = template
        return self.fresh_database(service, self._templates[service])

    @contextmanager
    def fresh_database(self, name: str = "test", template: str = "template1") -> Iterator[str]:
        """Make a database that lives as long as the block, without tables by default; yields its address."""
        database = f"{name}_{uuid.uuid4().hex[:12]}"
        names = map(sql.Identifier, (database, template))
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        try:
            yield self.url(database)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
            self._execute(drop)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement)


@contextmanager
def postgres_running() -> Iterator[PostgresServer]:
    """Run a Postgres on a free port."""
    port = free_port()
    passwords = dict.fromkeys((SUPERUSER, *DATABASES), PASSWORD)
    with open_folder() as folder:
        unit = postgres_server.Postgres(folder, port, passwords).unit()
        with supervised([unit], folder):
            yield PostgresServer(port)


@contextmanager
def valkey_running() -> Iterator[str]:
    """Run a Valkey on a free port; yields its address."""
    port = free_port()
    with open_folder() as folder:
        unit = valkey_server.unit(folder, folder, port, "secret")
        with supervised([unit], folder):
            yield valkey_server.url(port, "secret")


@contextmanager
def supervised(units: Sequence[Unit], logs: Path) -> Iterator[None]:
    """Run units, from a thread of their own, until the block ends."""
    is_up = threading.Event()
    problems: list[BaseException] = []
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def started() -> None:
        is_up.set()

    def run() -> None:
        try:
            loop.run_until_complete(Supervisor(units, logs, lambda: None).run(stop, started))
        except BaseException as problem:  # noqa: BLE001  # it is raised again, by the thread that waits
            problems.append(problem)
        finally:
            loop.close()
            is_up.set()

    thread = threading.Thread(target=run, name="supervisor")
    thread.start()
    try:
        is_up.wait()
        if not problems:
            yield
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    if problems:
        raise problems[0]


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that everybody may enter: as root, Postgres runs as `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="parley-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Find a TCP port of loopback that nobody has: another with every call."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("There is no end to them.")
