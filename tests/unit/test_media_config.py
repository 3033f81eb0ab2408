"""What an operator may set about media, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.config import ConfigError, load
from services.media.config import Config
from stack import settings
from stack.errors import StackError

REQUIRED = {
    "PARLEY_LISTEN": "127.0.0.1:1",
    "PARLEY_METRICS_LISTEN": "127.0.0.1:2",
    "PARLEY_MESH": "127.0.0.1:3",
    "PARLEY_SERVICE_KEY": "/keys/media.key",
    "PARLEY_TRUST": "/keys/trust.jwks",
    "PARLEY_REDIS_URL": "redis://127.0.0.1:4",
    "PARLEY_NODE_ID": "media-0",
    "PARLEY_UDP_LISTEN": "127.0.0.1:5",
}


@pytest.mark.parametrize(("text", "last_n"), [("", 25), ("1", 1), ("500", 500)])
def test_the_number_of_cameras_is_the_operators_to_set(text: str, last_n: int) -> None:
    assert load(Config, {**REQUIRED, "PARLEY_LAST_N": text}).last_n == last_n


@pytest.mark.parametrize("text", ["0", "-1", "501"])
def test_a_number_of_cameras_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"PARLEY_LAST_N is {text}; it is from 1 to 500"):
        load(Config, {**REQUIRED, "PARLEY_LAST_N": text})


def test_the_stacks_settings_have_it_too(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    assert settings.load(path).media.last_n == 25
    path.write_text("[media]\nlast_n = 9\n")
    assert settings.load(path).media.last_n == 9
    path.write_text("[media]\nlast_n = 0\n")
    with pytest.raises(StackError, match=r"\[media\] `last_n` is from 1 to 500"):
        settings.load(path)
