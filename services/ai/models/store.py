"""The cache of built models: a folder each, `<name>-<digest of sources and recipe>`, whole or not there at all.

`SUMS` in it has the sha256 of each file as it was made, so that what is corrupt or missing can be named and is made
again. Sources that are fetched and not built yet lie beside in the same way. One process at a time works on a model;
the others wait for it and find it done.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.ai.models import recipes, sources
from services.ai.models.errors import ModelError
from services.ai.models.manifest import Manifest
from services.ai.models.sources import Listener, sha256

SUMS = "sums.json"
SOURCES = ".sources"
SETTINGS = "settings.json"


def home(manifest: Manifest, cache: Path) -> Path:
    """Say where a model lies in a cache, or would. Raises ModelError when its recipe is not known."""
    key = manifest.digest(recipes.recipe(manifest.recipe).version)
    return cache / f"{manifest.name}-{key}"


def problems(manifest: Manifest, cache: Path) -> list[str]:
    """Tell what is wrong with a model's files: `missing`, or `FILE is missing`, `FILE is corrupt`; or nothing."""
    return _problems(home(manifest, cache))


def ready(manifest: Manifest, cache: Path) -> Path:
    """Get the folder of a model that is there and good. Raises ModelError naming what is not."""
    if wrong := problems(manifest, cache):
        raise ModelError(f"{manifest.label}: {', '.join(wrong)}; run ./parley models build.")
    return home(manifest, cache)


def fetch(manifest: Manifest, cache: Path, tell: Listener) -> None:
    """Bring a model's sources here unless they, or what is built of them, are there and good. Raises ModelError."""
    with _working(manifest, cache):
        if problems(manifest, cache):
            _fetched(manifest, cache, tell)


def prepare(manifest: Manifest, cache: Path, tell: Listener) -> Path:
    """Fetch and build a model unless it is there and good; returns its folder. Raises ModelError."""
    with _working(manifest, cache):
        if wrong := problems(manifest, cache):
            tell(", ".join(wrong), 0.0)
            fetched = _fetched(manifest, cache, tell)
            with _made(home(manifest, cache), manifest.name) as built:
                _build(manifest, fetched, built, tell)
            shutil.rmtree(fetched)
        return home(manifest, cache)


def _fetched(manifest: Manifest, cache: Path, tell: Listener) -> Path:
    """Get the folder of a model's sources, which are fetched unless they are there and good."""
    folder = home(manifest, cache).with_suffix(SOURCES)
    if _problems(folder):
        with _made(folder, manifest.name) as into:
            sources.fetch(manifest, into, tell)
    return folder


def _build(manifest: Manifest, fetched: Path, into: Path, tell: Listener) -> None:
    """Run the recipe. Whatever goes wrong in it, the sources are not what it is for."""
    text = f"building by {manifest.recipe}" if manifest.recipe else "taking it as it is"
    files = {path.name: path for path in fetched.iterdir() if path.name != SUMS}
    tell(text, 0.0)
    try:
        recipes.run(
            manifest.recipe, files, into, lambda done: tell(text, done), manifest.parameters
        )
    except OSError:
        raise
    except Exception as error:
        raise ModelError(
            f"{manifest.label}: {text} fails: {type(error).__name__}: {error}"
        ) from error
    if manifest.settings:
        (into / SETTINGS).write_text(json.dumps(manifest.settings, indent=2) + "\n")
    tell(text, 1.0)


@contextmanager
def _made(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder that becomes `folder`, with its sums, when the block ends well."""
    with tempfile.TemporaryDirectory(prefix=_scratch(name), dir=folder.parent) as scratch:
        draft = Path(scratch) / "draft"
        draft.mkdir()
        yield draft
        sums = {path.name: sha256(path) for path in sorted(draft.iterdir())}
        (draft / SUMS).write_text(json.dumps(sums, indent=2) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)


def _problems(folder: Path) -> list[str]:
    try:
        sums: Mapping[str, str] = json.loads((folder / SUMS).read_bytes())
    except OSError:
        return ["missing"]
    except ValueError:
        return [f"{SUMS} is corrupt"]
    found = []
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif sha256(path) != expected:
            found.append(f"{name} is corrupt")
    return found


@contextmanager
def _working(manifest: Manifest, cache: Path) -> Iterator[None]:
    """Keep a second process from working on the same model, and clear up after one that was killed at it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache / f"{manifest.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left in cache.glob(f"{_scratch(manifest.name)}*"):
                shutil.rmtree(left)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ModelError(f"{manifest.label}: {error.strerror}: {error.filename}") from None


def _scratch(name: str) -> str:
    return f".{name}+"  # no model's name has a plus


__all__ = ["SETTINGS", "fetch", "home", "prepare", "problems", "ready"]
