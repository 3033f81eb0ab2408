from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stack import state as state_module
from stack.errors import StackError
from stack.secrets import SERVICES, Secrets
from stack.state import ProcessStatus, StackStatus, State, default_root
from stack.supervisor import rotate
from stack.templates import render
from stack.up import Options, up


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(state_module, "open_to_all", lambda folder: True)
    made = State(tmp_path / "state")
    made.create()
    return made


STATUS = StackStatus(
    4711, "ready", "http://localhost:8000", (ProcessStatus("user", "ready", 1, 0, {}),)
)


def test_a_second_stack_on_the_same_state_is_told_who_has_it(state: State) -> None:
    with state.locked():
        state.write_status(STATUS)
        assert state.is_running()
        with pytest.raises(StackError, match=r"already \(pid 4711\)"), state.locked():
            pass
    assert not state.is_running()


def test_a_status_is_read_as_it_was_written(state: State) -> None:
    state.write_status(STATUS)
    assert state.read_status() == STATUS


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_status_that_is_no_status_counts_as_none(state: State, content: str) -> None:
    (state.run / "status.json").write_text(content)
    assert state.read_status() is None


def test_a_state_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="--state"):
        State(tmp_path / "file" / "state").create()


def test_root_keeps_state_where_nobody_can_get_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(state_module, "open_to_all", lambda folder: folder == Path("/srv/parley"))
    assert default_root(Path("/srv/parley")) == Path("/srv/parley/.state")
    assert default_root(Path("/root/parley")).parent == Path("/var/lib")


def test_secrets_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    before, after = Secrets(tmp_path), Secrets(tmp_path)
    assert before.password("valkey") == after.password("valkey")
    assert before.password("valkey") != before.password("parley")
    before.write_trust()
    assert before.key("user").read_bytes() == after.key("user").read_bytes()
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_trust_has_the_public_key_of_every_service(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    secrets.write_trust()
    keys = json.loads(secrets.trust.read_text())["keys"]
    assert {key["kid"] for key in keys} == set(SERVICES)
    assert all("d" not in key for key in keys)
    load_pem_private_key(secrets.key("ai").read_bytes(), password=None)


def test_a_log_that_grows_too_long_keeps_its_end_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "user.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old " * 10 + b"new")
        rotate(log, limit=7)
        writer.write(b"newest")
    assert log.read_bytes() == b"newest"
    assert (tmp_path / "user.log.1").read_bytes() == b"old new"


def test_a_template_wants_every_value_and_indents_what_has_lines() -> None:
    assert render("a:\n  {{list}}\n", {"list": "- 1\n- 2"}) == "a:\n  - 1\n  - 2\n"
    with pytest.raises(KeyError, match="list"):
        render("{{list}}", {})


def test_a_full_disk_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "open_to_all", lambda folder: True)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=12_000_000))
    with pytest.raises(StackError, match="12 MB left and 500 MB are needed"):
        up(Options(tmp_path / "state"))
