"""Identity providers as an operator names them: in the service's variable and in the stack's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chassis.config import ConfigError, load
from services.user.config import Config
from services.user.sessions.providers import parse_providers
from stack import settings
from stack import state as state_module
from stack.errors import StackError
from stack.secrets import Secrets
from stack.services import Services
from stack.state import State
from stack.topology import topology

REQUIRED = {
    "PARLEY_LISTEN": "127.0.0.1:1",
    "PARLEY_METRICS_LISTEN": "127.0.0.1:2",
    "PARLEY_MESH": "127.0.0.1:3",
    "PARLEY_SERVICE_KEY": "/key",
    "PARLEY_TRUST": "/trust",
    "PARLEY_DATABASE_URL": "postgresql://",
}
WRITTEN = """
[identity_providers.work]
issuer = "https://id.example.org"
client_id = "parley"
client_secret = "s3cret"
display_name = "Example Inc."

[identity_providers.home]
issuer = "https://home.example.org"
client_id = "p"
"""


def written(folder: Path, text: str) -> settings.Settings:
    path = folder / "parley.toml"
    path.write_text(text)
    return settings.load(path)


@pytest.fixture(autouse=True)
def open_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "open_to_all", lambda folder: True)


def environment(folder: Path, found: settings.Settings) -> dict[str, str]:
    """What the stack tells the user service."""
    state, layout = State(folder), topology()
    state.create()
    services = Services(layout, state, Secrets(state.secrets), found, "http://x", ("127.0.0.1",))
    unit: Any = next(unit for unit in services.units() if unit.name == "user")
    return dict(unit.environment)


def test_what_the_operator_writes_reaches_the_service_in_order(tmp_path: Path) -> None:
    found = written(tmp_path, WRITTEN)
    assert "s3cret" not in repr(found)
    config = load(Config, environment(tmp_path / "state", found))
    work, home = parse_providers(config.identity_providers)
    assert (work.id, work.display_name, work.client_secret) == ("work", "Example Inc.", "s3cret")
    assert (home.id, home.display_name, home.scopes) == ("home", "home", "openid email profile")
    assert "s3cret" not in repr(config)


def test_without_them_there_are_none(tmp_path: Path) -> None:
    told = environment(tmp_path / "state", written(tmp_path, ""))
    assert "PARLEY_IDENTITY_PROVIDERS" not in told
    assert load(Config, told).identity_providers == ""


@pytest.mark.parametrize(
    "text",
    [
        "identity_providers = 1",
        "[identity_providers]\nwork = 1",
        '[identity_providers.work]\nissuer = "https://id.example.org"',
        f"{WRITTEN}\ncolour = 'red'",
    ],
)
def test_half_a_provider_is_refused_there(tmp_path: Path, text: str) -> None:
    with pytest.raises(StackError, match="identity_providers"):
        written(tmp_path, text)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"PARLEY_IDENTITY_PROVIDERS": "{"}, "PARLEY_IDENTITY_PROVIDERS"),
        (
            {"PARLEY_IDENTITY_PROVIDERS": json.dumps([{"id": "a", "display_name": ""}])},
            "not complete",
        ),
        ({"PARLEY_GUEST_SECONDS": "90000"}, "PARLEY_GUEST_SECONDS"),
        ({"PARLEY_GUEST_SECONDS": "0"}, "PARLEY_GUEST_SECONDS"),
    ],
)
def test_what_can_t_work_is_refused_at_the_start(values: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(Config, {**REQUIRED, **values})
