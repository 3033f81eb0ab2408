"""Model files come by manifest, are what they should be, and are there whole or not at all."""

from __future__ import annotations

import hashlib
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from services.ai import models
from services.ai.models import Manifest, ModelError, Source

CONTENT = b"weights" * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make pip know one folder and no other index; the package `weights` 1.0 is in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("weights/model.onnx", CONTENT)
        wheel.writestr(
            "weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights\nVersion: 1.0\n"
        )
        wheel.writestr("weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def manifest(index: Path) -> Manifest:
    wheel = (index / "weights-1.0-py3-none-any.whl").read_bytes()
    return Manifest(
        name="test",
        version="1.0",
        task="testing",
        licence="MIT",
        languages=("any",),
        file="model.onnx",
        sha256=sha256(CONTENT),
        source=Source("weights", "1.0", "weights/model.onnx", sha256(wheel)),
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetched(manifest: Manifest, cache: Path) -> list[str]:
    said: list[str] = []
    assert models.fetch(manifest, cache, said.append).read_bytes() == CONTENT
    assert {path.name for path in cache.iterdir()} == {manifest.path(cache).name, "lock"}
    return said


def test_a_missing_file_is_fetched_from_the_package_index(manifest: Manifest, cache: Path) -> None:
    assert fetched(manifest, cache)[0] == "test@1.0 is missing: fetching it"


def test_a_corrupt_file_is_named_and_fetched_again(manifest: Manifest, cache: Path) -> None:
    fetched(manifest, cache)
    manifest.path(cache).write_bytes(CONTENT[:-1])
    assert fetched(manifest, cache)[0] == "test@1.0 is corrupt: fetching it"


def test_of_those_who_fetch_at_once_one_fetches(manifest: Manifest, cache: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: models.fetch(manifest, cache, said.append), range(4)))
    assert paths == {manifest.path(cache)}
    assert len([line for line in said if "fetching" in line]) == 1


def test_a_full_cache_needs_no_index(manifest: Manifest, cache: Path, index: Path) -> None:
    fetched(manifest, cache)
    next(index.iterdir()).unlink()
    assert fetched(manifest, cache) == []


def test_without_index_and_cache_the_error_names_model_and_package(
    manifest: Manifest, cache: Path, index: Path
) -> None:
    next(index.iterdir()).unlink()
    with pytest.raises(ModelError, match=r"test@1\.0: weights 1\.0 can't be had"):
        models.fetch(manifest, cache, print)


def test_another_package_under_the_same_name_is_refused(manifest: Manifest, cache: Path) -> None:
    wrong = replace(manifest, source=replace(manifest.source, sha256="0" * 64))
    with pytest.raises(ModelError, match="weights is not the one that is pinned"):
        models.fetch(wrong, cache, print)
    assert models.problem(wrong, cache) == "missing"


def test_another_file_than_the_manifest_says_never_reaches_the_cache(
    manifest: Manifest, cache: Path
) -> None:
    wrong = replace(manifest, sha256="0" * 64)
    with pytest.raises(ModelError, match="not what the manifest says"):
        models.fetch(wrong, cache, print)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_file_of_the_operators_own_is_taken_by_path(
    manifest: Manifest, cache: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(CONTENT)
    assert fetched(replace(manifest, source=Source(path=str(own))), cache)
    own.unlink()
    missing = replace(manifest, name="other", file="other", source=Source(path=str(own)))
    with pytest.raises(ModelError, match=re.escape(f"{own}: No such file")):
        models.fetch(missing, cache, print)


def test_every_manifest_of_ours_can_be_read_and_is_pinned() -> None:
    for manifest in models.manifests():
        assert re.fullmatch("[0-9a-f]{64}", manifest.sha256)
        assert manifest.source.path or re.fullmatch("[0-9a-f]{64}", manifest.source.sha256)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = 'bad'")
    with pytest.raises(ModelError, match=r"bad\.toml can't be read"):
        models.manifests(tmp_path)
