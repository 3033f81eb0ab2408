"""When a meeting is: a time on the wall clock of a zone, once or by a rule. Pure.

The wall clock is what is kept, and times are made of it when they are asked for: nine o'clock in Zurich stays nine o'clock
when the offset changes, also if a government changes its mind. A time that a clock skips is by the offset before the gap, one
that it shows twice is the first (RFC 5545 §3.3.5); times that so become one (a day that is skipped) are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from importlib import resources
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.errors import InvalidArgument, NotFound, ResourceExhausted
from services.meeting.domain import EtagMismatch, Meeting, MeetingState
from services.meeting.planning.recurrence import (
    DAY,
    RecurrenceInvalid,
    Rule,
    check_again,
    days,
    last_day,
    parse,
)
from services.meeting.records.report import TimeRangeInvalid

DEFAULT_DURATION = timedelta(hours=1)
DEFAULT_WINDOW = timedelta(days=30)
LONGEST_WINDOW = timedelta(days=366)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MARGIN = 2 * DAY
"""A day of the wall clock lies within it of the same day in UTC, though a zone skips one."""
MAX_SCHEDULES = 1000


class TimeZoneUnknown(InvalidArgument):
    """There is no such time zone. Use a name of the IANA database, `Europe/Zurich`."""

    reason = "TIME_ZONE_UNKNOWN"
    message = "There is no such time zone."


class NotScheduled(NotFound):
    """The meeting is for no time: it was made to begin at once."""

    reason = "NOT_SCHEDULED"
    message = "This meeting has no time."


class TooManySchedules(ResourceExhausted):
    """The account hosts as many meetings to come as it may. Cancel some."""

    reason = "TOO_MANY_SCHEDULES"
    message = "You have as many meetings to come as you may."


class CalendarFeedNotFound(NotFound):
    """There is no such feed, or no more: a newer one took its place. Make another."""

    reason = "CALENDAR_FEED_NOT_FOUND"
    message = "There is no such calendar feed."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a host says of when. `begin` is on the wall clock of `time_zone`, with its fold, and so are `exceptions`."""

    begin: datetime
    time_zone: str
    duration: timedelta
    recurrence: str = ""
    exceptions: tuple[datetime, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """The zone, by whose clock it is."""
        return zone_of(self.time_zone)

    @property
    def rule(self) -> Rule | None:
        """The rule by which it recurs, if it does."""
        return parse(self.recurrence) if self.recurrence else None

    @property
    def _time(self) -> time:
        return self.begin.time().replace(fold=0)

    @property
    def start_time(self) -> datetime:
        """When it is the first time."""
        return instant(self.begin, self.zone)

    @property
    def last_start_time(self) -> datetime | None:
        """When it is the last time, or before when; None where it goes on for ever."""
        rule = self.rule
        if rule is None:
            return self.start_time
        if (last := _last_day(self.recurrence, self.begin.date())) is not None:
            return instant(datetime.combine(last, self._time), self.zone)
        return _end(rule, self.zone)

    @property
    def end_time(self) -> datetime | None:
        """When it has been for the last time; None where it goes on for ever."""
        last = self.last_start_time
        return None if last is None else last + self.duration

    def starts(self, since: datetime, before: datetime) -> Iterator[datetime]:
        """List when it begins, of the times that end after `since` and begin before `before`; earliest first."""
        left_out = {instant(each, self.zone) for each in self.exceptions}
        last = self.last_start_time
        for each in self._all(since, before):
            if last is not None and each > last:
                return
            if each + self.duration > since and each < before and each not in left_out:
                yield each

    def recurs_after(self, now: datetime) -> bool:
        """Tell whether it recurs, and may begin after a time once more."""
        last = self.last_start_time
        return bool(self.recurrence) and (last is None or last > now)

    def next_start(self, now: datetime) -> datetime:
        """Find when it begins next, or goes on, within a year; else when it is the first time."""
        return next(self.starts(now, now + LONGEST_WINDOW), self.start_time)

    def _all(self, since: datetime, before: datetime) -> Iterator[datetime]:
        rule, zone, begin = self.rule, self.zone, self.begin
        if rule is None:
            yield self.start_time
            return
        first = (since - self.duration - MARGIN).date()
        seen: datetime | None = None
        for day in days(rule, begin.date(), first, (before + MARGIN).date()):
            moment = instant(datetime.combine(day, self._time), zone)
            if seen is None or moment > seen:
                yield moment
            seen = moment


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan as it stands. `sequence` counts its changes, as calendars know them (RFC 5545 §3.8.7.4)."""

    meeting_id: UUID
    plan: Plan
    update_time: datetime
    sequence: int = 0

    @property
    def etag(self) -> str:
        """Opaque version."""
        return f'"{self.sequence}"'

    def changed(self, plan: Plan, etag: str, now: datetime) -> Schedule:
        """Change it; the same again changes nothing. Raises EtagMismatch (not for an empty etag)."""
        if etag and etag != self.etag:
            raise EtagMismatch(text="The schedule changed meanwhile: read it again.")
        if plan == self.plan and plan.start_time == self.plan.start_time:  # == knows no fold
            return self
        return replace(self, plan=plan, sequence=self.sequence + 1, update_time=now)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A meeting with when it is."""

    meeting: Meeting
    schedule: Schedule

    @property
    def is_cancelled(self) -> bool:
        """Tell whether it is called off."""
        return self.meeting.state is MeetingState.CANCELLED

    @property
    def sequence(self) -> int:
        """The version that calendars go by: calling off is a change, too."""
        return self.schedule.sequence + self.is_cancelled

    @property
    def update_time(self) -> datetime:
        """When calendars last had something to learn."""
        return max(self.meeting.update_time, self.schedule.update_time)

    def starts(self, since: datetime, before: datetime) -> Iterator[datetime]:
        """List when it begins within a window; what is called off never does, what has ended does no more."""
        if self.is_cancelled:
            return iter(())
        end = self.meeting.end_time
        return self.schedule.plan.starts(since, before if end is None else min(before, end))


def plan_of(
    start: datetime,
    duration: timedelta | None,
    time_zone: str,
    recurrence: str,
    exceptions: Sequence[datetime],
    now: datetime,
) -> Plan:
    """Make a plan of what was asked for. Raises TimeZoneUnknown, RecurrenceInvalid, InvalidArgument.

    This may take 0.2 s: a rule that never comes again is followed through 400 years before it is refused.
    """
    zone, name = zone_of(time_zone or "UTC"), time_zone or "UTC"
    for each in (start, *exceptions):
        if not EARLIEST <= each < LATEST:
            raise InvalidArgument(fields={"schedule": "its times are from 2000 to 2199"})
    plan = Plan(
        begin=wall(start, zone),
        time_zone=name,
        duration=DEFAULT_DURATION if duration is None else duration,
        recurrence=recurrence.upper(),
        exceptions=tuple(sorted({wall(each, zone).replace(fold=0) for each in exceptions})),
    )
    if plan.rule is not None:
        check_again(plan.rule, plan.begin.date())
        _check_first(plan)
    if (end := plan.end_time) is not None and end <= now:
        raise InvalidArgument(fields={"schedule.start_time": "it is over already"})
    return plan


def window(
    start: datetime | None, end: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """Make a window of what was asked for. Raises TimeRangeInvalid."""
    start = start or now
    try:
        end = end or start + DEFAULT_WINDOW
        if not timedelta(0) < end - start <= LONGEST_WINDOW:
            raise TimeRangeInvalid
        if not EARLIEST - LONGEST_WINDOW <= start < LATEST + 100 * LONGEST_WINDOW:
            raise TimeRangeInvalid
    except OverflowError:
        raise TimeRangeInvalid from None
    return start, end


def instant(moment: datetime, zone: tzinfo) -> datetime:
    """Say when a wall clock shows a time; within gaps and overlaps as RFC 5545 §3.3.5 has it, unless it has a fold."""
    return moment.replace(tzinfo=zone).astimezone(UTC)


def wall(moment: datetime, zone: tzinfo) -> datetime:
    """Say what a wall clock shows at a time, to the second; with a fold the second time it shows that."""
    return moment.astimezone(zone).replace(tzinfo=None, microsecond=0)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """Find a zone by its name in the IANA database. Raises TimeZoneUnknown."""
    if name not in _zones():
        raise TimeZoneUnknown
    return UTC if name == "UTC" else ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    names = (resources.files("tzdata") / "zones").read_text().split()
    return frozenset(names) - {"Factory"}


@lru_cache(maxsize=1024)
def _last_day(recurrence: str, start: date) -> date | None:
    return last_day(parse(recurrence), start)


def _end(rule: Rule, zone: tzinfo) -> datetime | None:
    """Say when the last time may begin that UNTIL allows; the year 9999, which calendars write for "never", is none."""
    until = rule.until
    if until is None or until.year == date.max.year:
        return None
    if not isinstance(until, datetime):
        until = datetime.combine(until, datetime.max.time())
    return until if until.tzinfo is not None else instant(until, zone)


def _check_first(plan: Plan) -> None:
    """See that the first time is one of the rule's. Raises RecurrenceInvalid."""
    start = plan.start_time
    last = plan.last_start_time
    if last is not None and last < start:
        raise RecurrenceInvalid(text="UNTIL is before the first time.")
    first = replace(plan, exceptions=()).starts(start, start + timedelta(seconds=1))
    if next(first, None) != start:
        raise RecurrenceInvalid(text="start_time is not a time by the recurrence.")


__all__ = [
    "DEFAULT_DURATION",
    "EARLIEST",
    "LATEST",
    "LONGEST_WINDOW",
    "MAX_SCHEDULES",
    "CalendarFeedNotFound",
    "NotScheduled",
    "Plan",
    "Schedule",
    "Scheduled",
    "TimeZoneUnknown",
    "TooManySchedules",
    "instant",
    "plan_of",
    "wall",
    "window",
    "zone_of",
]
