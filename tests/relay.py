"""A TURN relay for tests: Debian's coturn on loopback, where it is installed (`./parley test` sees to it as root)."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.certificates import Certificate

SECRET = "a secret for tests"
NAME = "turn.localhost"
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a relay is to listen: for STUN and TURN over UDP and TCP, and for TLS."""

    plain: int
    tls: int


def coturn() -> str | None:
    """Find coturn's server."""
    return shutil.which("turnserver")


@contextmanager
def coturn_running(folder: Path, ports: Ports, certificate: Certificate) -> Iterator[None]:
    """Run coturn on loopback, relaying to loopback alone, with SECRET for its secret."""
    executable = coturn()
    assert executable is not None
    configuration = folder / "turnserver.conf"
    configuration.write_text(
        f"""
listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port={ports.plain}
tls-listening-port={ports.tls}
use-auth-secret
static-auth-secret={SECRET}
realm=localhost
cert={certificate.certificate}
pkey={certificate.key}
allow-loopback-peers
allowed-peer-ip=127.0.0.1
allowed-peer-ip=::1
denied-peer-ip=0.0.0.0-255.255.255.255
denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
no-multicast-peers
no-cli
no-rfc5780
user-quota=8
total-quota=2000
userdb={folder}/turndb
pidfile={folder}/turnserver.pid
log-file=stdout
verbose
"""
    )
    with (folder / "turnserver.log").open("wb") as log:
        process = subprocess.Popen(
            [executable, "-c", str(configuration)], stdout=log, stderr=log, cwd=folder
        )
        try:
            _wait_until_open(ports.tls, process)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "coturn has ended"
            assert time.monotonic() < limit, "coturn does not listen"
            time.sleep(0.05)
        else:
            return


__all__ = ["NAME", "SECRET", "Ports", "coturn", "coturn_running"]
