"""What is left of meetings: who attended, and how the server was used. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.errors import InvalidArgument

DEFAULT_SPAN = timedelta(days=30)
LONGEST_SPAN = timedelta(days=366)


class TimeRangeInvalid(InvalidArgument):
    """The time does not begin before it ends, or is longer than 366 days. Ask for a span of time that is."""

    reason = "TIME_RANGE_INVALID"
    message = "This is no span of time that can be told of."


@dataclass(frozen=True, slots=True)
class Attendance:
    """An account's time in a meeting; `last_leave_time` is None while it is there."""

    user_id: UUID
    display_name: str
    first_join_time: datetime
    last_leave_time: datetime | None
    duration: timedelta
    visit_count: int


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, without its end."""

    start_time: datetime
    end_time: datetime


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the server was used in a span of time, and is used now."""

    span: Span
    meeting_count: int
    live_meeting_count: int
    participant_count: int
    live_participant_count: int
    active_user_count: int
    participant_time: timedelta


def span_of(start: datetime | None, end: datetime | None, now: datetime) -> Span:
    """Make a span of what was asked for. Raises TimeRangeInvalid."""
    end = end or now
    try:
        start = start or end - DEFAULT_SPAN
    except OverflowError:
        raise TimeRangeInvalid from None
    if not timedelta(0) < end - start <= LONGEST_SPAN:
        raise TimeRangeInvalid
    return Span(start, end)


__all__ = ["Attendance", "Span", "Statistics", "TimeRangeInvalid", "span_of"]
