"""Configuration says which variable is wrong, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.config import ConfigError, ServiceConfig, load

REQUIRED = {
    "PARLEY_LISTEN": "127.0.0.1:1",
    "PARLEY_METRICS_LISTEN": "127.0.0.1:2",
    "PARLEY_MESH": "127.0.0.1:3",
    "PARLEY_SERVICE_KEY": "/keys/user.key",
    "PARLEY_TRUST": "/keys/trust.jwks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    pool_size: int = 10
    strict: bool = True
    advertise: tuple[str, ...] = ()


def test_fields_come_from_variables_of_their_names() -> None:
    config = load(
        Config,
        {**REQUIRED, "PARLEY_POOL_SIZE": "3", "PARLEY_STRICT": "no", "PARLEY_ADVERTISE": "a, b"},
    )
    assert (config.pool_size, config.strict, config.advertise) == (3, False, ("a", "b"))
    assert config.service_key == Path("/keys/user.key")


def test_an_empty_variable_counts_as_left_out() -> None:
    assert load(Config, {**REQUIRED, "PARLEY_POOL_SIZE": ""}).pool_size == 10


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"PARLEY_MESH": ""}, "PARLEY_MESH is not set"),
        ({"PARLEY_POOL_SIZE": "many"}, "PARLEY_POOL_SIZE is 'many', which is no int"),
        ({"PARLEY_STRICT": "perhaps"}, "PARLEY_STRICT is 'perhaps', which is no bool"),
        ({"PARLEY_LOG_FORMAT": "xml"}, "PARLEY_LOG_FORMAT is 'xml'; it may be json, console"),
    ],
)
def test_a_wrong_variable_is_named(changed: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(Config, {**REQUIRED, **changed})
