"""Object stores for tests: a folder, and a real S3 (SeaweedFS from its wheel) in a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.media.library.objects import S3
from tests.servers import open_folder

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 with one bucket."""

    url: str
    access: S3


@contextmanager
def s3_running() -> Iterator[S3Server]:
    """Run SeaweedFS on ports that are free, with a bucket in it and keys of its own."""
    with open_folder() as folder:
        keys = S3(
            region="us-east-1", access_key=secrets.token_hex(8), secret_key=secrets.token_hex(16)
        )
        ports = _free_ports(10)
        process = _started(folder, ports, keys)
        try:
            endpoint = f"http://127.0.0.1:{ports[0]}"
            access = S3(
                endpoint=endpoint,
                region=keys.region,
                access_key=keys.access_key,
                secret_key=keys.secret_key,
            )
            _wait(endpoint, process)
            yield S3Server("s3://parley-tests/library", access)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _started(folder: Path, ports: list[int], keys: S3) -> subprocess.Popen[bytes]:
    weed = shutil.which("weed", path=sysconfig.get_path("scripts")) or "weed"
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc, admin, admin_grpc = (
        ports
    )
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "volume.preStopSeconds": 0,
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "admin.port": admin,
        "admin.port.grpc": admin_grpc,
        "webdav": "false",
        "bucket": "parley-tests",
    }
    environment = {
        **os.environ,
        "GOMEMLIMIT": "400MiB",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }
    with (folder / "weed.log").open("wb") as log:
        return subprocess.Popen(
            [weed, "mini", *(f"-{name}={value}" for name, value in options.items())],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
        )


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + READY_SECONDS
    while time.monotonic() < limit:
        assert process.poll() is None, "SeaweedFS ended"
        try:
            if httpx.get(f"{endpoint}/parley-tests").status_code in (200, 403):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("SeaweedFS is not ready")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


__all__ = ["S3Server", "s3_running"]
