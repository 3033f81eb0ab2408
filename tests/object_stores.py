"""Object stores for tests: a folder, and a real S3 (SeaweedFS from its wheel) in a process of its own."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from services.media.library.objects import S3
from tests.servers import free_port, open_folder

READY_SECONDS = 60.0
BUCKET = "parley-tests"
LOG = "weed.log"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 with one bucket."""

    url: str
    access: S3

    def unfinished(self) -> int:
        """Count the multipart uploads that were begun and neither completed nor aborted (S3 ListMultipartUploads)."""
        address = f"{self.access.endpoint}/{BUCKET}?uploads="
        answer = httpx.get(address, headers=_signature(self.access, f"/{BUCKET}", "uploads="))
        return answer.raise_for_status().text.count("<Upload>")


def _signature(access: S3, path: str, query: str) -> dict[str, str]:
    """Sign a GET (AWS Signature Version 4, by header): obstore signs none that lists uploads."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    nothing = hashlib.sha256(b"").hexdigest()
    host = access.endpoint.removeprefix("http://")
    names = "host;x-amz-content-sha256;x-amz-date"
    request = (
        f"GET\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{nothing}\n"
        f"x-amz-date:{moment}\n\n{names}\n{nothing}"
    )
    scope = (moment[:8], access.region, "s3", "aws4_request")
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{'/'.join(scope)}\n{digest}"
    key = f"AWS4{access.secret_key}".encode()
    for part in (*scope, text):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{access.access_key}/{'/'.join(scope)}"
    return {
        "x-amz-date": moment,
        "x-amz-content-sha256": nothing,
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}",
    }


@contextmanager
def s3_running() -> Iterator[S3Server]:
    """Run SeaweedFS on ports that are free, with a bucket in it and keys of its own."""
    with open_folder() as folder:
        keys = S3(
            region="us-east-1", access_key=secrets.token_hex(8), secret_key=secrets.token_hex(16)
        )
        ports = [free_port() for _ in range(10)]
        process = _started(folder, ports, keys)
        try:
            endpoint = f"http://127.0.0.1:{ports[0]}"
            access = S3(
                endpoint=endpoint,
                region=keys.region,
                access_key=keys.access_key,
                secret_key=keys.secret_key,
            )
            _wait(endpoint, process, folder / LOG)
            yield S3Server(f"s3://{BUCKET}/library", access)
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
        "bucket": BUCKET,
    }
    environment = {
        **os.environ,
        "GOMEMLIMIT": "400MiB",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [weed, "mini", *(f"-{name}={value}" for name, value in options.items())],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
        )


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + READY_SECONDS
    while time.monotonic() < limit:
        assert process.poll() is None, f"SeaweedFS ended: {log.read_text(errors='replace')[-2000:]}"
        try:
            if httpx.get(f"{endpoint}/{BUCKET}").status_code in (200, 403):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("SeaweedFS is not ready")


__all__ = ["S3Server", "s3_running"]
