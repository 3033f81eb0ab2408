"""Recurrence rules (RFC 5545 §3.3.10), as days of a wall calendar. Pure.

A rule gives days; at what time of the day, and on whose clock, is the schedule's to say: no rule is ever followed in UTC.
It gives a day once, so what is finer than a day is refused. Whoever asks for a window pays for the window, however long ago
the rule began and whether or not anything is in it: COUNT is counted once, when a rule is made (`last_day`).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache

from chassis.errors import InvalidArgument

MAX_LENGTH = 256
MAX_COUNT = 3660
MAX_INTERVAL = 1000
HORIZON = timedelta(days=50 * 366)
"""For so long COUNT is counted."""
DAY = timedelta(days=1)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

_BY_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,4}")
_RANGES = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYSETPOS": (1, 366, True),
}
"""The lowest and the highest number, and whether one counts from the end, too."""
_SUB_DAILY = ("BYHOUR", "BYMINUTE", "BYSECOND")


class RecurrenceInvalid(InvalidArgument):
    """The recurrence is no rule that can be followed; the message says why. Write it as RFC 5545 §3.3.10 has it."""

    reason = "RECURRENCE_INVALID"
    message = "The recurrence is no rule that can be followed."


class Frequency(Enum):
    """How long a period is."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `until` is a UTC time where it was written with a Z, else a time or a day of the wall clock."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | date | None = None
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    """Each with the how manieth of its month or year (0: every), and 0 for Monday."""
    positions: tuple[int, ...] = ()
    week_start: int = 0


@lru_cache(maxsize=1024)
def parse(text: str) -> Rule:
    """Read a rule. Raises RecurrenceInvalid."""
    if len(text) > MAX_LENGTH:
        raise RecurrenceInvalid(text=f"The recurrence is longer than {MAX_LENGTH} characters.")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise RecurrenceInvalid(text=f"{part[:40]!r} can't be in a recurrence, or not twice.")
        parts[name] = value
    if finer := sorted(set(parts) & set(_SUB_DAILY)):
        raise RecurrenceInvalid(text=f"{finer[0]} is not possible: start_time has the time of day.")
    rule = Rule(
        frequency=_frequency(parts.pop("FREQ", "")),
        interval=_number(parts, "INTERVAL", MAX_INTERVAL) or 1,
        count=_number(parts, "COUNT", MAX_COUNT),
        until=_until(parts.pop("UNTIL", "")),
        months=_numbers(parts, "BYMONTH"),
        weeks=_numbers(parts, "BYWEEKNO"),
        year_days=_numbers(parts, "BYYEARDAY"),
        month_days=_numbers(parts, "BYMONTHDAY"),
        weekdays=_weekdays(parts.pop("BYDAY", "")),
        positions=_numbers(parts, "BYSETPOS"),
        week_start=_weekday(parts.pop("WKST", "MO")),
    )
    if parts:
        raise RecurrenceInvalid(text=f"A recurrence has no {min(parts)[:40]!r}.")
    _check(rule)
    return rule


def days(rule: Rule, start: date, since: date, before: date) -> Iterator[date]:
    """List the days of a rule that begins at `start`, from `since` on and before `before`, as if it went on for ever."""
    since = max(since, start)
    is_one = _filter(rule, start)
    for first, end in _periods(rule, start, since, before):
        if rule.positions:
            whole = [each for each in _span(first, end) if is_one(each)]
            found = _at(whole, rule.positions)
        else:
            found = [*filter(is_one, _span(max(first, since), min(end, before)))]
        yield from (each for each in found if since <= each < before)


def last_day(rule: Rule, start: date) -> date | None:
    """Count to the last day of a rule with COUNT; None of one without."""
    if rule.count is None:
        return None
    last = start
    for number, each in enumerate(days(rule, start, start, start + HORIZON), 1):
        last = each
        if number == rule.count:
            break
    return last


def _periods(rule: Rule, start: date, since: date, before: date) -> Iterator[tuple[date, date]]:
    """List a rule's periods that reach into a window, each by its first day and the one after its last."""
    if rule.frequency in (Frequency.DAILY, Frequency.WEEKLY):
        length = 1 if rule.frequency is Frequency.DAILY else 7
        origin = start
        if rule.frequency is Frequency.WEEKLY:
            origin -= DAY * ((start.weekday() - rule.week_start) % 7)
        step = length * rule.interval
        number = (since - origin).days // step
        while (first := origin + DAY * (number * step)) < before:
            yield first, first + DAY * length
            number += 1
        return
    is_yearly = rule.frequency is Frequency.YEARLY
    step = rule.interval * (12 if is_yearly else 1)
    origin_month = _month_number(start) - (start.month - 1 if is_yearly else 0)
    month = origin_month + (_month_number(since) - origin_month) // step * step
    while (first := _first_of(month)) < before:
        yield first, _first_of(month + (12 if is_yearly else 1))
        month += step


def _filter(rule: Rule, start: date) -> Callable[[date], bool]:
    """Make of a rule the question whether a day of a period is one of its days; what it does not say is as at `start`."""
    rules: list[Callable[[date], bool]] = []
    months, month_days, weekdays = rule.months, rule.month_days, rule.weekdays
    if not (rule.weeks or rule.year_days or month_days or weekdays):
        if rule.frequency is Frequency.YEARLY:
            months, month_days = months or (start.month,), (start.day,)
        elif rule.frequency is Frequency.MONTHLY:
            month_days = (start.day,)
    is_plain = not (rule.year_days or month_days or weekdays)
    if is_plain and (rule.frequency is Frequency.WEEKLY or rule.weeks):
        weekdays = ((0, start.weekday()),)
    if months:
        rules.append(lambda day: day.month in months)
    if weekdays:
        of_month = rule.frequency is Frequency.MONTHLY or bool(months)
        rules.append(lambda day: _is_weekday(day, weekdays, of_month=of_month))
    if month_days:
        rules.append(lambda day: _is_number(day.day, _month_length(day), month_days))
    if rule.year_days:
        rules.append(lambda day: _is_number(_year_day(day), _year_length(day), rule.year_days))
    if rule.weeks:
        rules.append(lambda day: _is_number(*_week(day, rule.week_start), rule.weeks))
    return lambda day: all(each(day) for each in rules)


def _is_number(number: int, count: int, wanted: tuple[int, ...]) -> bool:
    """Tell whether the `number`th of `count` is among those wanted, which may count from the end."""
    return number in wanted or number - count - 1 in wanted


def _is_weekday(day: date, wanted: tuple[tuple[int, int], ...], *, of_month: bool) -> bool:
    number, length = (
        (day.day, _month_length(day)) if of_month else (_year_day(day), _year_length(day))
    )
    nth, nth_last = (number - 1) // 7 + 1, -((length - number) // 7 + 1)
    return any(
        weekday == day.weekday() and ordinal in (0, nth, nth_last) for ordinal, weekday in wanted
    )


def _week(day: date, week_start: int) -> tuple[int, int]:
    """Number the week of a day, in the year to which most of the week belongs; and count that year's weeks."""
    middle = day - DAY * ((day.weekday() - week_start) % 7) + DAY * 3
    year_end = date(middle.year, 12, 31)
    count = (_year_day(year_end) - 1 - (year_end.weekday() - week_start - 3) % 7) // 7 + 1
    return (_year_day(middle) - 1) // 7 + 1, count


def _at(found: list[date], positions: tuple[int, ...]) -> list[date]:
    count = len(found)
    return [each for number, each in enumerate(found, 1) if _is_number(number, count, positions)]


def _span(first: date, end: date) -> Iterator[date]:
    return (first + DAY * number for number in range((end - first).days))


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def _month_length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _year_day(day: date) -> int:
    return day.timetuple().tm_yday


def _year_length(day: date) -> int:
    return 366 if calendar.isleap(day.year) else 365


def _frequency(text: str) -> Frequency:
    try:
        return Frequency(text)
    except ValueError:
        raise RecurrenceInvalid(
            text="FREQ is DAILY, WEEKLY, MONTHLY or YEARLY: a meeting is at most once a day."
        ) from None


def _number(parts: dict[str, str], name: str, highest: int) -> int | None:
    if (text := parts.pop(name, None)) is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= highest:
        raise RecurrenceInvalid(text=f"{name} is from 1 to {highest}.")
    return int(text)


def _numbers(parts: dict[str, str], name: str) -> tuple[int, ...]:
    if (text := parts.pop(name, None)) is None:
        return ()
    lowest, highest, is_signed = _RANGES[name]
    numbers = []
    for each in text.split(","):
        number = int(each) if each.isascii() and _NUMBER.fullmatch(each) else 0
        if not lowest <= (abs(number) if is_signed else number) <= highest:
            raise RecurrenceInvalid(text=f"{name} has numbers from {lowest} to {highest}.")
        numbers.append(number)
    return tuple(numbers)


def _weekdays(text: str) -> tuple[tuple[int, int], ...]:
    if not text:
        return ()
    found = []
    for each in text.split(","):
        match = _BY_DAY.fullmatch(each) if each.isascii() else None
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            raise RecurrenceInvalid(text="BYDAY has weekdays: MO, 1MO, -1FR.")
        found.append((int(match[1] or 0), WEEKDAYS.index(match[2])))
    return tuple(found)


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise RecurrenceInvalid(text="WKST is a weekday: MO, SU.")
    return WEEKDAYS.index(text)


def _until(text: str) -> datetime | date | None:
    if not text:
        return None
    forms: Mapping[int, str] = {8: "%Y%m%d", 15: "%Y%m%dT%H%M%S", 16: "%Y%m%dT%H%M%SZ"}
    try:
        moment = datetime.strptime(text, forms[len(text)])  # noqa: DTZ007  # the zone follows
    except (KeyError, ValueError):
        raise RecurrenceInvalid(
            text="UNTIL is a day or a time: 20270131, 20270131T120000Z."
        ) from None
    if text.endswith("Z"):
        return moment.replace(tzinfo=UTC)
    return moment if "T" in text else moment.date()


def _check(rule: Rule) -> None:
    """See that the parts of a rule go together (RFC 5545 §3.3.10). Raises RecurrenceInvalid."""
    is_yearly, is_monthly = (
        rule.frequency is each for each in (Frequency.YEARLY, Frequency.MONTHLY)
    )
    has_ordinals = any(ordinal for ordinal, _ in rule.weekdays)
    said = rule.months or rule.weeks or rule.year_days or rule.month_days or rule.weekdays
    wrong = {
        "COUNT and UNTIL exclude each other.": rule.count is not None and rule.until is not None,
        "BYWEEKNO goes with FREQ=YEARLY alone.": rule.weeks and not is_yearly,
        "BYYEARDAY goes with FREQ=YEARLY alone.": rule.year_days and not is_yearly,
        "BYMONTHDAY does not go with FREQ=WEEKLY.": rule.month_days
        and rule.frequency is Frequency.WEEKLY,
        "Numbers in BYDAY go with FREQ=MONTHLY and YEARLY alone, without BYWEEKNO.": has_ordinals
        and (rule.weeks or not (is_yearly or is_monthly)),
        "BYSETPOS needs another part with BY.": rule.positions and not said,
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
    "days",
    "last_day",
    "parse",
]
