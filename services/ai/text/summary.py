"""What was said, and what a summary of it is. Pure. Every point cites lines that were said; there is none without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MAX_TOPICS = 12
MAX_DECISIONS = 30
MAX_ACTION_ITEMS = 50
MAX_CITED = 20
"""Of each kind so many points, and so many lines for one of them."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of what was said; `id` is the caller's own mark."""

    id: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """A point, and the ids of the lines that it rests on. `assignee` and `due` are as they were said."""

    text: str
    line_ids: tuple[str, ...]
    assignee: str = ""
    due: str = ""

    def __post_init__(self) -> None:
        if not self.text or not self.line_ids:
            raise ValueError("a point has a text and cites lines")


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary; `model` is what made it, `name@version`."""

    overview: str
    topics: tuple[Point, ...]
    decisions: tuple[Point, ...]
    action_items: tuple[Point, ...]
    model: str

    def plain(self) -> dict[str, Any]:
        """Put it into what JSON knows."""
        return asdict(self)

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> Summary:
        """Make it of what `plain` made. Raises KeyError, TypeError and ValueError."""
        return cls(
            values["overview"],
            _points(values["topics"]),
            _points(values["decisions"]),
            _points(values["action_items"]),
            values["model"],
        )


def _points(values: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    return tuple(Point(**{**each, "line_ids": tuple(each["line_ids"])}) for each in values)


__all__ = [
    "MAX_ACTION_ITEMS",
    "MAX_CITED",
    "MAX_DECISIONS",
    "MAX_TOPICS",
    "Line",
    "Point",
    "Summary",
]
