"""`./parley test` runs folders beside each other, and says of each how far it is and how it went."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack import testing


def test_all_folders_are_run_and_what_fails_is_told_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bodies = {"good": "pass", "bad": "raise ValueError('so it went')", "also": "pass"}
    for folder, body in bodies.items():
        path = tmp_path / "tests" / folder / "test_it.py"
        path.parent.mkdir(parents=True)
        path.write_text(f"def test_it():\n    {body}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q --import-mode=importlib\n")
    monkeypatch.setattr(testing, "ROOT", tmp_path)
    monkeypatch.setattr(testing, "FOLDERS", tuple(bodies))
    assert testing._everything(os.environ) == 1
    said = capfd.readouterr().out
    for folder, mark in (("good", "."), ("bad", "F"), ("also", ".")):
        assert f"{folder:>{testing.WIDEST}} {mark}" in said
    of_bad = said.partition("tests/bad:\n")[2].partition("1 failed")[0]
    assert "ValueError: so it went" in of_bad
    assert "%]" not in of_bad


def test_no_test_is_outside_the_folders() -> None:
    tests = testing.ROOT / "tests"
    folders = {str(path.parent.relative_to(tests)) for path in tests.rglob("test_*.py")}
    assert folders == set(testing.FOLDERS)
