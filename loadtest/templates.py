"""The part of Go's templates that our scenarios use, read and filled as ghz does it.

ghz fills `{{…}}` anew for each call: call data (`{{.RequestNumber}}`), its own functions (`{{randomString 8}}`) and
those of the sprig library (`{{env `NAME`}}`). What stands in a scenario and is not known here is an error, never text.
Since ghz fills the JSON text of `data`, strings inside a template are written in back quotes, which JSON leaves alone.
"""

from __future__ import annotations

import random
import re
import string
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

LETTERS = string.ascii_letters + string.digits
SHORTEST, LONGEST = 2, 16
"""Lengths that `randomString 0` chooses from."""

_ACTION = re.compile(r"\{\{((?:`[^`]*`|\"(?:\\.|[^\"\\])*\"|[^`\"])*?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s+|(?P<field>\.[A-Za-z]\w*)|(?P<name>[A-Za-z_]\w*)|(?P<number>-?\d+)"
    r"|`(?P<raw>[^`]*)`|\"(?P<quoted>[^\"\\]*)\"|(?P<bracket>[()])"
)

Environment = Mapping[str, str]
"""What `env` reads."""


class TemplateError(ValueError):
    """A template can't be read here, or can't be filled."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What a template is filled with: the call's data, by ghz's names, and the environment."""

    fields: Mapping[str, object]
    environment: Environment = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a string."""

    value: object

    def evaluate(self, _: Filling) -> object:
        """Get the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Field:
    """A piece of call data, `.RequestNumber`."""

    name: str

    def evaluate(self, filling: Filling) -> object:
        """Look the value up. Raises TemplateError for a name that ghz does not have."""
        if self.name not in filling.fields:
            raise TemplateError(f"there is no call data {{{{.{self.name}}}}}")
        return filling.fields[self.name]


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it is given."""

    name: str
    arguments: tuple[Expression, ...]

    def evaluate(self, filling: Filling) -> object:
        """Call it. Raises TemplateError when it can't do with what it is given."""
        values = [argument.evaluate(filling) for argument in self.arguments]
        try:
            return FUNCTIONS[self.name](filling, *values)
        except (TypeError, ValueError, LookupError) as error:
            raise TemplateError(f"{self.name} {' '.join(map(_shown, values))}: {error}") from None


Expression = Literal | Field | Call


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places to be filled."""

    parts: tuple[str | Expression, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template. Raises TemplateError for what is not supported, by its name."""
        parts: list[str | Expression] = []
        end = 0
        for action in _ACTION.finditer(text):
            parts += [text[end : action.start()], _expression(action[1])]
            end = action.end()
        if "{{" in text[end:]:
            raise TemplateError(f"a template does not end: {text[end:][:60]}")
        return cls((*parts, text[end:]))

    @property
    def has_actions(self) -> bool:
        """Whether there is anything to fill."""
        return len(self.parts) > 1

    @property
    def variables(self) -> frozenset[str]:
        """The names of the environment variables that it reads."""
        calls = (each for part in self.parts for each in _calls(part))
        return frozenset(
            str(argument.value)
            for call in calls
            if call.name == "env"
            for argument in call.arguments
            if isinstance(argument, Literal)
        )

    def fill(self, filling: Filling) -> str:
        """Give the text, filled. Raises TemplateError."""
        return "".join(
            part if isinstance(part, str) else _text(part.evaluate(filling)) for part in self.parts
        )


def call_fields(number: int, worker: str, method: Mapping[str, object]) -> Mapping[str, object]:
    """Make the data of one call, by ghz's names; `method` has those that are the same for all calls."""
    now = time.time_ns()
    return {
        **method,
        "WorkerID": worker,
        "RequestNumber": number,
        "Timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "TimestampUnix": now // 1_000_000_000,
        "TimestampUnixMilli": now // 1_000_000,
        "TimestampUnixNano": now,
        "UUID": str(uuid.uuid4()),
    }


def _env(filling: Filling, name: str) -> str:
    return filling.environment.get(name, "")


def _random_string(_: Filling, length: int) -> str:
    if length <= 0:
        length = random.randint(SHORTEST, LONGEST)  # noqa: S311  # load, not secrets
    return "".join(random.choices(LETTERS, k=length))  # noqa: S311


def _random_int(_: Filling, least: int, limit: int) -> int:
    return random.randrange(max(least, 0), limit if limit > 0 else 1)  # noqa: S311


def _split_list(_: Filling, separator: str, text: str) -> list[str]:
    return text.split(separator)


def _index(_: Filling, values: list[str], place: int) -> str:
    if not 0 <= place < len(values):
        raise LookupError(f"there are {len(values)}, and number {place} is asked for")
    return values[place]


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "env": _env,
    "index": _index,
    "newUUID": lambda _: str(uuid.uuid4()),
    "randomInt": _random_int,
    "randomString": _random_string,
    "splitList": _split_list,
}
"""Go's, ghz's and sprig's functions that are supported."""


def _expression(text: str) -> Expression:
    tokens = list(_tokens(text))
    expression = _command(tokens, text)
    if tokens:
        raise _unsupported(text)
    return expression


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        if (token := _TOKEN.match(text, place)) is None:
            raise _unsupported(text)
        place = token.end()
        if token.lastgroup is not None:
            yield token.lastgroup, token[token.lastgroup]


def _command(tokens: list[tuple[str, str]], text: str) -> Expression:
    """Take a value, or a function with its arguments, to the end or to a closing bracket."""
    first = _operand(tokens, text)
    arguments = []
    while tokens and tokens[0] != ("bracket", ")"):
        arguments.append(_operand(tokens, text))
    if not arguments:
        return first
    if not isinstance(first, Call) or first.arguments:
        raise _unsupported(text)
    return Call(first.name, tuple(arguments))


def _operand(tokens: list[tuple[str, str]], text: str) -> Expression:
    kind, value = tokens.pop(0) if tokens else ("nothing", "")
    if kind == "name" and value in FUNCTIONS:
        return Call(value, ())
    if kind in ("raw", "quoted"):
        return Literal(value)
    if kind == "number":
        return Literal(int(value))
    if kind == "field":
        return Field(value[1:])
    if (kind, value) == ("bracket", "("):
        inner = _command(tokens, text)
        if not tokens or tokens.pop(0) != ("bracket", ")"):
            raise _unsupported(text)
        return inner
    raise _unsupported(text)


def _unsupported(text: str) -> TemplateError:
    known = ", ".join(sorted(FUNCTIONS))
    return TemplateError(
        f"{{{{{text}}}}} is not supported here: only call data and the functions {known}"
    )


def _calls(part: str | Expression) -> Iterator[Call]:
    if isinstance(part, Call):
        yield part
        for argument in part.arguments:
            yield from _calls(argument)


def _text(value: object) -> str:
    if isinstance(value, list):
        raise TemplateError("a list is not text: take one of it with index")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


__all__ = ["Environment", "Filling", "Template", "TemplateError", "call_fields"]
