"""Configuration: read once from the environment, checked, and passed down.

Every field of a configuration class is one variable: `listen` is `PARLEY_LISTEN`. A field with a default may be left
out; an empty variable counts as left out.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

PREFIX = "PARLEY_"

C = TypeVar("C", bound="ServiceConfig")


class ConfigError(Exception):
    """A variable is missing or wrong; the text names it and fits on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What every service needs to know.

    Addresses are `host:port`. `service_key` is this service's Ed25519 private key (PEM, PKCS #8) and `trust` the JWKS
    with every service's public key, whose key ids are the services' names.
    """

    listen: str
    metrics_listen: str
    mesh: str
    service_key: Path
    trust: Path
    public_url: str = "http://localhost:8000"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    drain_seconds: float = 3.0
    """How long a stopping server stays up, NOT_SERVING, until the balancer has looked away."""


def load(kind: type[C], environ: Mapping[str, str]) -> C:
    """Read `kind` from `environ`. Raises ConfigError naming the first variable that is missing or wrong."""
    types = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        variable = PREFIX + field.name.upper()
        text = environ.get(variable, "")
        if text:
            values[field.name] = _convert(variable, types[field.name], text)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{variable} is not set.")
    return kind(**values)


def _convert(variable: str, kind: Any, text: str) -> object:
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise ConfigError(
                f"{variable} is {text!r}; it may be {', '.join(typing.get_args(kind))}."
            )
        return text
    try:
        return _CONVERTERS[kind](text)
    except ValueError:
        name = getattr(kind, "__name__", str(kind))
        raise ConfigError(f"{variable} is {text!r}, which is no {name}.") from None


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            text.lower()
        ]
    except KeyError:
        raise ValueError(text) from None


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_CONVERTERS: Mapping[Any, Callable[[str], object]] = {
    str: str,
    int: int,
    float: float,
    bool: _boolean,
    Path: Path,
    Path | None: Path,
    tuple[str, ...]: _texts,
}

__all__ = ["PREFIX", "ConfigError", "ServiceConfig", "load"]
