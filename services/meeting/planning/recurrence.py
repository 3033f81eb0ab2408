"""Recurrence rules (RFC 5545 §3.3.10), as days of a wall calendar: icalendar reads them, python-dateutil follows them. Pure.

A rule gives days; at what time of the day, and on whose clock, is the schedule's to say: no rule is ever followed in UTC.
It gives a day once, so what is finer than a day is refused. Whoever asks for a window pays for the window, however long ago
the rule began: it is followed from the period on into which the window reaches, and COUNT is counted once, when a rule is
made (`last_day`). Where dateutil finds no day it walks on until Python's calendar ends, so it is followed shortly before
that (`LATER`), and a rule that does not come again soon is refused when it is made (`check_again`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import islice, starmap
from typing import Any

from dateutil import rrule
from dateutil.relativedelta import relativedelta
from icalendar import vRecur

from chassis.errors import InvalidArgument

MAX_LENGTH = 256
MAX_COUNT = 3660
MAX_INTERVAL = 1000
HORIZON = timedelta(days=50 * 366)
"""For so long COUNT is counted."""
SOON_YEARS = 12
"""After so long any day of a month has been a Monday, and there has been a 29 February: no rule that people mean is rarer."""
DAY = timedelta(days=1)
LATER = 19 * timedelta(days=146_097)
"""7,600 years. Every 400 the calendar is the same again, with its weekdays; Python's ends with the year 9999."""
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_NUMBER = 53
"""Of weeks in a year, and so of each weekday."""

_SUB_DAILY = ("BYHOUR", "BYMINUTE", "BYSECOND")


class RecurrenceInvalid(InvalidArgument):
    """The recurrence is no rule that can be followed; the message says why. Write it as RFC 5545 §3.3.10 has it."""

    reason = "RECURRENCE_INVALID"
    message = "The recurrence is no rule that can be followed."


class Frequency(Enum):
    """How long a period is; the values are dateutil's."""

    DAILY = rrule.DAILY
    WEEKLY = rrule.WEEKLY
    MONTHLY = rrule.MONTHLY
    YEARLY = rrule.YEARLY


_LONGEST = {
    Frequency.DAILY: 1,
    Frequency.WEEKLY: 7,
    Frequency.MONTHLY: 31,
    Frequency.YEARLY: 366,
}
"""How many days a period has at the most."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `until` is a UTC time where it was written with a Z, else a time or a day of the wall clock."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | date | None = None
    week_start: int = 0
    by: Mapping[str, Any] = field(default_factory=dict)
    """What else it says, as dateutil takes it: `byweekday` has dateutil's weekdays, the rest numbers."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of a rule may be: how it is written, which values icalendar may read of it, and what says so."""

    form: str
    is_right: Callable[[Any], bool]
    text: str


def _number(name: str, highest: int) -> _Part:
    return _Part(r"[0-9]+", lambda each: 1 <= each <= highest, f"{name} is from 1 to {highest}.")


def _numbers(name: str, highest: int, *, is_signed: bool = True) -> _Part:
    def is_right(number: int) -> bool:
        return 1 <= abs(number) <= highest

    form = r"[0-9,+-]+" if is_signed else r"[0-9,]+"
    return _Part(form, is_right, f"{name} has numbers from 1 to {highest}.")


def _is_weekday(day: Any) -> bool:
    return day in WEEKDAYS or 1 <= abs(day.relative or 0) <= MAX_NUMBER


_PARTS: Mapping[str, _Part] = {
    "FREQ": _Part(
        r"[A-Z]+",
        Frequency.__members__.__contains__,
        "FREQ is DAILY, WEEKLY, MONTHLY or YEARLY: a meeting is at most once a day.",
    ),
    "INTERVAL": _number("INTERVAL", MAX_INTERVAL),
    "COUNT": _number("COUNT", MAX_COUNT),
    "UNTIL": _Part(
        r"[0-9TZ]+",
        lambda each: isinstance(each, date) and each.year > date.min.year,
        "UNTIL is a day or a time: 20270131, 20270131T120000Z.",
    ),
    "WKST": _Part(r"[A-Z]+", WEEKDAYS.__contains__, "WKST is a weekday: MO, SU."),
    "BYMONTH": _numbers("BYMONTH", 12, is_signed=False),
    "BYMONTHDAY": _numbers("BYMONTHDAY", 31),
    "BYYEARDAY": _numbers("BYYEARDAY", 366),
    "BYWEEKNO": _numbers("BYWEEKNO", MAX_NUMBER),
    "BYSETPOS": _numbers("BYSETPOS", 366),
    "BYDAY": _Part(r"[0-9A-Z,+-]+", _is_weekday, "BYDAY has weekdays: MO, 1MO, -1FR."),
}


@lru_cache(maxsize=1024)
def parse(text: str) -> Rule:
    """Read a rule. Raises RecurrenceInvalid."""
    if len(text) > MAX_LENGTH:
        raise RecurrenceInvalid(text=f"The recurrence is longer than {MAX_LENGTH} characters.")
    said: dict[str, list[Any]] = {}
    for part in text.upper().split(";"):
        name, _, written = part.partition("=")
        if not written or name in said:
            raise RecurrenceInvalid(text=f"{part[:40]!r} can't be in a recurrence, or not twice.")
        said[name] = _read(name, written)
    if "FREQ" not in said:
        raise RecurrenceInvalid(text=_PARTS["FREQ"].text)
    rule = Rule(
        frequency=Frequency[said.pop("FREQ")[0]],
        interval=said.pop("INTERVAL", [1])[0],
        count=said.pop("COUNT", [None])[0],
        until=said.pop("UNTIL", [None])[0],
        week_start=WEEKDAYS.index(said.pop("WKST", ["MO"])[0]),
        by=_by(said),
    )
    _check(rule)
    return rule


def days(rule: Rule, start: date, since: date, before: date) -> Iterator[date]:
    """List the days of a rule that begins at `start`, from `since` on and before `before`, as if it went on for ever."""
    since = max(since, start)
    found = rrule.rrule(
        rule.frequency.value,
        dtstart=_period(rule, start, since) + LATER,
        interval=rule.interval,
        wkst=rule.week_start,
        until=before - DAY + LATER,
        **_explicit(rule, start),
    )
    with suppress(ValueError):  # the calendar ends in the middle of a week
        yield from (day for each in found if (day := each.date() - LATER) >= since)


def last_day(rule: Rule, start: date) -> date | None:
    """Count to the last day of a rule with COUNT; None of one without."""
    if rule.count is None:
        return None
    return [start, *islice(days(rule, start, start, start + HORIZON), rule.count)][-1]


def check_again(rule: Rule, start: date) -> None:
    """See that a rule comes again soon, its end aside. Raises RecurrenceInvalid; where it never does, after up to 0.2 s."""
    soon = SOON_YEARS * timedelta(days=366) * rule.interval
    before = start + min(soon, date.max - LATER - start)
    if len([*islice(days(rule, start, start, before), 2)]) < 2:
        text = f"A recurrence comes again within {SOON_YEARS} years, times its INTERVAL."
        raise RecurrenceInvalid(text=text)


def _period(rule: Rule, start: date, since: date) -> date:
    """Find the first day of that of a rule's periods that is the last to begin by `since`."""
    if rule.frequency in (Frequency.MONTHLY, Frequency.YEARLY):
        is_yearly = rule.frequency is Frequency.YEARLY
        origin = start.replace(day=1, month=1 if is_yearly else start.month)
        length = rule.interval * (12 if is_yearly else 1)
        months = 12 * (since.year - origin.year) + since.month - origin.month
        return origin + relativedelta(months=months // length * length)
    is_weekly = rule.frequency is Frequency.WEEKLY
    origin = start - DAY * ((start.weekday() - rule.week_start) % 7 if is_weekly else 0)
    step = DAY * rule.interval * (7 if is_weekly else 1)
    return origin + (since - origin) // step * step


def _explicit(rule: Rule, start: date) -> dict[str, Any]:
    """Say also what a rule leaves to its first day, and so that dateutil takes it as the RFC has it."""
    by = dict(rule.by)
    if not by.keys() & {"byyearday", "bymonthday", "byweekday"}:
        if rule.frequency is Frequency.WEEKLY or "byweekno" in by:
            by["byweekday"] = (rrule.weekday(start.weekday()),)
        elif rule.frequency is not Frequency.DAILY:
            by["bymonthday"] = (start.day,)
            if rule.frequency is Frequency.YEARLY:
                by.setdefault("bymonth", (start.month,))
    if _has_numbers(rule):
        of_month = rule.frequency is Frequency.MONTHLY or "bymonth" in by
        by["byweekday"] = (*_numbered(by["byweekday"], 5 if of_month else MAX_NUMBER),)
    if "bysetpos" in by:
        by["bysetpos"] = {_at_most(_LONGEST[rule.frequency], each) for each in by["bysetpos"]}
    return by


def _numbered(weekdays: tuple[Any, ...], highest: int) -> Iterator[Any]:
    """Give all of some weekdays numbers: of `1MO` and `TU` dateutil takes what is both, the RFC what is either."""
    for each in weekdays:
        numbers = [_at_most(highest, each.n)] if each.n else range(1, highest + 1)
        yield from map(each, numbers)


def _at_most(highest: int, number: int) -> int:
    """Have one more than there can be stand for all that are more: dateutil seeks each of them, a 53rd Monday of December, too."""
    return max(-highest - 1, min(number, highest + 1))


def _has_numbers(rule: Rule) -> bool:
    return any(each.n for each in rule.by.get("byweekday", ()))


def _by(said: dict[str, list[Any]]) -> dict[str, Any]:
    """Put what icalendar has read as dateutil takes it."""
    by: dict[str, Any] = {name.lower(): (*values,) for name, values in said.items()}
    if weekdays := by.pop("byday", ()):
        numbers = ((WEEKDAYS.index(each.weekday), each.relative) for each in weekdays)
        by["byweekday"] = (*starmap(rrule.weekday, numbers),)
    return by


def _read(name: str, written: str) -> list[Any]:
    """Read the values of a part, as icalendar has them. Raises RecurrenceInvalid."""
    if name in _SUB_DAILY:
        raise RecurrenceInvalid(text=f"{name} is not possible: start_time has the time of day.")
    if (part := _PARTS.get(name)) is None:
        raise RecurrenceInvalid(text=f"A recurrence has no {name[:40]!r}.")
    with suppress(ValueError):
        if re.fullmatch(part.form, written):  # icalendar takes spaces, too
            values: list[Any] = vRecur.from_ical(f"{name}={written}")[name]
            if all(map(part.is_right, values)):
                return values
    raise RecurrenceInvalid(text=part.text)


def _check(rule: Rule) -> None:
    """See that the parts of a rule go together (RFC 5545 §3.3.10). Raises RecurrenceInvalid."""
    is_yearly, is_monthly = (
        rule.frequency is each for each in (Frequency.YEARLY, Frequency.MONTHLY)
    )
    has_weeks = "byweekno" in rule.by
    wrong = {
        "COUNT and UNTIL exclude each other.": rule.count is not None and rule.until is not None,
        "BYWEEKNO goes with FREQ=YEARLY alone.": has_weeks and not is_yearly,
        "BYYEARDAY goes with FREQ=YEARLY alone.": "byyearday" in rule.by and not is_yearly,
        "BYMONTHDAY does not go with FREQ=WEEKLY.": "bymonthday" in rule.by
        and rule.frequency is Frequency.WEEKLY,
        "Numbers in BYDAY go with FREQ=MONTHLY and YEARLY alone, without BYWEEKNO.": (
            _has_numbers(rule) and (has_weeks or not (is_yearly or is_monthly))
        ),
        "BYSETPOS needs another part with BY.": [*rule.by] == ["bysetpos"],
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            raise RecurrenceInvalid(text=text)


__all__ = [
    "MAX_COUNT",
    "MAX_INTERVAL",
    "MAX_LENGTH",
    "WEEKDAYS",
    "Frequency",
    "RecurrenceInvalid",
    "Rule",
    "check_again",
    "days",
    "last_day",
    "parse",
]
