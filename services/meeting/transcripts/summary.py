"""What a meeting came to: the points, what they rest on, and when a summary is to be made. Pure.

A point cites segments by their ids. It is shown with those that are still kept; when they were said stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.meeting.transcripts.transcript import Segment

MAX_LINES = 20_000
MAX_BYTES = 3_500_000
LINE_BYTES = 32
"""What may be sent to be summarised, and what a line takes beside its words."""
SETTLING = timedelta(seconds=15)
"""How long after the end of a meeting its summary is begun: the last words are still on their way."""
ABANDONED = timedelta(minutes=30)
"""After how long of silence a meeting that everybody has left, and nobody has ended, is summarised as well."""
PATIENCE = timedelta(hours=24)
"""For how long it is tried to make a summary, and how long what is said is held for one at most."""
FIRST_DELAY = timedelta(seconds=15)
LONGEST_DELAY = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Point:
    """A point; `cites` are segments, `offset_seconds` is when in the meeting the first of them was said."""

    text: str
    cites: tuple[UUID, ...]
    offset_seconds: float
    assignee: str = ""
    due: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary; `model` is what made it, `name@version`."""

    overview: str
    topics: tuple[Point, ...]
    decisions: tuple[Point, ...]
    action_items: tuple[Point, ...]
    model: str

    @property
    def points(self) -> tuple[Point, ...]:
        """All points of any kind."""
        return (*self.topics, *self.decisions, *self.action_items)

    @property
    def cites(self) -> set[UUID]:
        """All segments that it rests on."""
        return {each for point in self.points for each in point.cites}

    def in_order(self) -> list[Point]:
        """All points in order of time, each text once."""
        found: dict[str, Point] = {}
        for each in sorted(self.points, key=lambda point: point.offset_seconds):
            found.setdefault(each.text, each)
        return list(found.values())

    def stored(self) -> dict[str, Any]:
        """Turn it into what is kept."""
        kinds = ("topics", "decisions", "action_items")
        kept = {kind: [_stored(point) for point in getattr(self, kind)] for kind in kinds}
        return {"overview": self.overview, "model": self.model, **kept}


def summary_of(kept: Mapping[str, Any]) -> Summary:
    """Read a summary as it is kept."""
    return Summary(
        kept["overview"],
        _points_of(kept["topics"]),
        _points_of(kept["decisions"]),
        _points_of(kept["action_items"]),
        kept["model"],
    )


def point(
    text: str,
    cites: Iterable[Segment],
    origin: datetime,
    *,
    assignee: str = "",
    due: str = "",
) -> Point:
    """Make a point of the segments that it rests on, of which there is one at least."""
    cited = sorted(cites, key=lambda each: each.start_time)
    offset = max(0.0, (cited[0].start_time - origin).total_seconds())
    return Point(text, tuple(each.id for each in cited), offset, assignee, due)


def chosen(said: Sequence[Segment]) -> list[Segment]:
    """Choose what is sent to be summarised: all, or of what is too much the longest, in order of time."""
    budget, taken = MAX_BYTES, set[int]()
    for number in sorted(range(len(said)), key=lambda each: (-len(said[each].text), each)):
        budget -= _bytes(said[number])
        if budget < 0 or len(taken) == MAX_LINES:
            break
        taken.add(number)
    return [each for number, each in enumerate(said) if number in taken]


def delay(attempts: int) -> timedelta:
    """Tell how long to wait after so many attempts, one at least, that failed."""
    return min(FIRST_DELAY * (1 << min(attempts - 1, 10)), LONGEST_DELAY)


def _bytes(segment: Segment) -> int:
    return len(segment.text.encode()) + len(segment.display_name.encode()) + LINE_BYTES


def _stored(point: Point) -> dict[str, Any]:
    return {**asdict(point), "cites": [str(each) for each in point.cites]}


def _points_of(kept: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
    return tuple(
        Point(**{**each, "cites": tuple(UUID(cited) for cited in each["cites"])}) for each in kept
    )


__all__ = [
    "ABANDONED",
    "MAX_BYTES",
    "MAX_LINES",
    "PATIENCE",
    "SETTLING",
    "Point",
    "Summary",
    "chosen",
    "delay",
    "point",
    "summary_of",
]
