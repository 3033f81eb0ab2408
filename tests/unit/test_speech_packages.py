"""Recorded sound comes out of packages that are pinned, and out of no others."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from loadtest.corpus import packages
from loadtest.corpus.packages import CorpusError, Package, contents, fetched
from loadtest.peers.dictation import WEIGHTS
from loadtest.peers.parley_dictation import MODELS
from services.ai import models


def member(name: str, data: bytes) -> bytes:
    """A member of an ar archive: deb(5)."""
    header = f"{name:<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(data):<10}`\n"
    return header.encode() + data + b"\n" * (len(data) % 2)


def debian_package(files: dict[str, bytes]) -> bytes:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:xz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo("./" + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    before = member("debian-binary", b"2.0\n") + member("control.tar", b"odd")
    return b"!<arch>\n" + before + member("data.tar.xz", inner.getvalue())


def pinned(data: bytes) -> Package:
    return Package("sounds", "1", hashlib.sha256(data).hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, on a machine that has no Debian to ask."""
    monkeypatch.setattr(packages, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr("shutil.which", lambda *_: None)
    return tmp_path


def test_a_package_in_the_cache_is_read_without_a_network(cache: Path) -> None:
    data = debian_package({"usr/share/a.wav": b"sound", "usr/share/doc/odd": b"x"})
    package = pinned(data)
    package.path(cache).write_bytes(data)
    assert contents(package) == {"usr/share/a.wav": b"sound", "usr/share/doc/odd": b"x"}


def test_a_package_that_is_not_the_pinned_one_is_not_read(cache: Path) -> None:
    data = debian_package({"a.wav": b"sound"})
    package = pinned(data)
    package.path(cache).write_bytes(data + b"!")
    with pytest.raises(CorpusError, match="sounds comes from Debian"):
        fetched(package, cache)


def test_who_is_measured_beside_us_has_the_weights_that_we_have() -> None:
    known = models.manifests()
    for model, weights in WEIGHTS.items():
        sources = models.named(known, MODELS[model]).sources
        have = {(each.place, each.version, each.sha256) for each in sources}
        assert {(each.name, each.version, each.sha256) for each in weights} <= have
