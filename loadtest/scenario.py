"""Scenarios: ghz configuration files (https://ghz.sh/docs/options), as JSON, read strictly.

A key that ghz does not have is an error, since ghz would ignore it in silence; so is one that ghz has and we do not do.
Durations are Go's ("10s", "1m30s"). Paths are relative to the current folder, as with ghz; where nothing is there,
to the repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MOST_CALLS = 100_000
MOST_WORKERS = 500
MOST_CONNECTIONS = 50
MOST_PER_SECOND = 10_000
MOST_SECONDS = 600.0

UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")

Data = Mapping[str, Any] | list[Mapping[str, Any]]


class ScenarioError(Exception):
    """A file is no scenario that can be run here. The text names the file and says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is called, how often and with what. Times are in seconds; 0 means that there is none."""

    path: Path
    call: str = ""
    protoset: str = ""
    name: str = ""
    host: str = ""
    insecure: bool = False
    cacert: str = ""
    total: int = 200
    concurrency: int = 50
    connections: int = 1
    rps: int = 0
    duration: float = 0.0
    max_duration: float = 0.0
    timeout: float = 20.0
    stream_interval: float = 0.0
    stream_call_count: int = 0
    stream_call_duration: float = 0.0
    skip_first: int = 0
    count_errors: bool = False
    data: Data = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def cuts_streams(self) -> bool:
        """Whether the scenario itself breaks streams off, so that CANCELLED is how they are to end."""
        return bool(self.stream_call_count or self.stream_call_duration)

    @property
    def most_seconds(self) -> float:
        """How long new calls are begun, at most."""
        return self.max_duration or self.duration or MOST_SECONDS

    @property
    def most_calls(self) -> int:
        """How many calls are begun, at most: where a duration is given, `total` counts no more, as with ghz."""
        return MOST_CALLS if self.duration and not self.max_duration else self.total


def load(path: Path) -> Scenario:
    """Read a scenario. Raises ScenarioError."""
    try:
        return checked(_read(path))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from None


def checked(scenario: Scenario) -> Scenario:
    """Check that a scenario is whole, and not too much. Raises ValueError."""
    for key in ("call", "protoset", "host"):
        if not getattr(scenario, key):
            raise ValueError(f"{key!r} is missing")
    if not scenario.timeout:
        raise ValueError("'timeout' must be above 0: a call without a deadline may never end")
    for key, least, most in LIMITS:
        if not least <= getattr(scenario, key) <= most:
            raise ValueError(f"{key.replace('_', '-')!r} must be from {least} to {most}")
    if scenario.connections > scenario.concurrency:
        raise ValueError("'connections' must not be more than 'concurrency'")
    return scenario


LIMITS = (
    ("total", 1, MOST_CALLS),
    ("concurrency", 1, MOST_WORKERS),
    ("connections", 1, MOST_CONNECTIONS),
    ("rps", 0, MOST_PER_SECOND),
    ("duration", 0, MOST_SECONDS),
    ("max_duration", 0, MOST_SECONDS),
    ("timeout", 0, MOST_SECONDS),
)
"""What is allowed, whatever a file says."""


def seconds(value: object) -> float:
    """Read a duration as Go writes it. Raises ValueError."""
    if value in ("0", 0):
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration like 10s or 1m30s")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(value))


def located(path: str) -> Path:
    """Find a file that a scenario names."""
    here = Path(path)
    return here if here.exists() or here.is_absolute() else ROOT / path


def _read(path: Path) -> Scenario:
    if path.suffix.lower() != ".json":
        raise ValueError("only JSON is read here; ghz also reads TOML and YAML")
    document = json.loads(path.read_text())
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    scenario = Scenario(path)
    for key, value in document.items():
        scenario = replace(scenario, **_values(key, value))
    return scenario


def _values(key: str, value: object) -> dict[str, Any]:
    """Read one key into what it sets."""
    if key in NOT_DONE:
        raise ValueError(f"{key!r} is not done here: use ghz for it")
    if key not in READERS:
        raise ValueError(f"{key!r} is no key of ghz")
    name, read = READERS[key]
    try:
        return {name: read(value)}
    except ValueError as error:
        raise ValueError(f"{key!r}: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value.strip()


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a whole number from 0")
    return value


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("it is not an object of strings")
    return value


def _data(value: object) -> Data:
    """Read call data: an object, or objects in an array: one for each call in turn, or the messages of a stream."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    raise ValueError("it is neither an object nor an array of objects")


READERS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "call": ("call", _text),
    "protoset": ("protoset", _text),
    "name": ("name", _text),
    "host": ("host", _text),
    "insecure": ("insecure", _flag),
    "cacert": ("cacert", _text),
    "total": ("total", _number),
    "concurrency": ("concurrency", _number),
    "connections": ("connections", _number),
    "rps": ("rps", _number),
    "duration": ("duration", seconds),
    "max-duration": ("max_duration", seconds),
    "timeout": ("timeout", seconds),
    "stream-interval": ("stream_interval", seconds),
    "stream-call-count": ("stream_call_count", _number),
    "stream-call-duration": ("stream_call_duration", seconds),
    "skipFirst": ("skip_first", _number),
    "count-errors": ("count_errors", _flag),
    "data": ("data", _data),
    "data-file": ("data", lambda path: _data(json.loads(located(_text(path)).read_text()))),
    "metadata": ("metadata", _texts),
    "metadata-file": (
        "metadata",
        lambda path: _texts(json.loads(located(_text(path)).read_text())),
    ),
    "tags": ("tags", _texts),
}
"""ghz's keys, the fields that they set, and how each is read."""

_OTHER_KEYS = """
proto import-paths cert key skipTLS cname authority async concurrency-schedule concurrency-start concurrency-end
concurrency-step concurrency-step-duration concurrency-max-duration duration-stop binary-file stream-dynamic-messages
output format connect-timeout keepalive cpus reflect-metadata debug enable-compression load-schedule load-start
load-end load-step load-step-duration load-max-duration lb-strategy max-recv-message-size max-send-message-size
disable-template-functions disable-template-data
"""
NOT_DONE = frozenset(_OTHER_KEYS.split())
"""ghz's other keys."""

__all__ = ["ROOT", "Scenario", "ScenarioError", "checked", "load", "located", "seconds"]
