"""Recurrence rules: the days that they give, beside what python-dateutil gives from the first day on, and what is refused.

dateutil follows the rules itself; what is weighed here is where it is begun and ended, and what it is told.
"""

from __future__ import annotations

import datetime as datetime_module
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from services.meeting.planning.recurrence import (
    MAX_COUNT,
    WEEKDAYS,
    RecurrenceInvalid,
    check_again,
    days,
    last_day,
    parse,
)

SPAN = timedelta(days=3 * 366)
STARTS = st.dates(date(2000, 1, 1), date(2006, 12, 31))
SOONER = SimpleNamespace(**{**vars(datetime_module), "MAXYEAR": 2010})
"""Keeps the yardstick from looking for the days of a rule that has none up to the year 9999."""


def numbers(highest: int, *, signed: bool = True) -> st.SearchStrategy[str]:
    least = -highest if signed else 1
    one = st.integers(least, highest).filter(bool)
    return st.lists(one, min_size=1, max_size=4, unique=True).map(lambda e: ",".join(map(str, e)))


PLAIN_DAYS = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True).map(",".join)
# Of days with and without a number, python-dateutil takes those that are both; by the RFC it is either.
COUNTED_DAYS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "-1", "-2", "5"]), st.sampled_from(WEEKDAYS)),
    min_size=1,
    max_size=3,
    unique=True,
).map(lambda each: ",".join(map("".join, each)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Draw a rule that RFC 5545 allows, and on which its readers agree."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}"]
    counted = frequency in ("MONTHLY", "YEARLY")
    may = {
        "INTERVAL": st.integers(1, 5).map(str),
        "WKST": st.sampled_from(WEEKDAYS),
        "BYMONTH": numbers(12, signed=False),
        "BYDAY": PLAIN_DAYS | COUNTED_DAYS if counted else PLAIN_DAYS,
    }
    if frequency != "WEEKLY":
        may["BYMONTHDAY"] = numbers(31)
    if frequency == "YEARLY":
        may["BYYEARDAY"] = numbers(366)
        if draw(st.booleans()):
            may |= {"BYWEEKNO": numbers(53), "BYDAY": PLAIN_DAYS}
    chosen = draw(st.lists(st.sampled_from(sorted(may)), unique=True, max_size=4))
    if "BYWEEKNO" in chosen and "BYDAY" not in chosen:
        chosen.append("BYDAY")
    parts += [f"{name}={draw(may[name])}" for name in chosen]
    # Of the week in which a rule begins, python-dateutil counts but what follows; by the RFC the week is whole.
    may_count = frequency != "WEEKLY" and any(name.startswith("BY") for name in chosen)
    if may_count and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(numbers(4))}")
    return ";".join(parts)


def by_dateutil(rule: str, start: date, before: date) -> list[date]:
    begin = datetime.combine(start, time())
    until = before.strftime("%Y%m%d")
    with mock.patch("dateutil.rrule.datetime", SOONER):
        found = [each.date() for each in rrulestr(f"{rule};UNTIL={until}", dtstart=begin)]
    return [day for day in found if day < before]


def days_of(rule: str, start: str, years: int = 1) -> list[date]:
    begin = date.fromisoformat(start)
    return [*days(parse(rule), begin, begin, begin + timedelta(days=366 * years))]


@settings(max_examples=50)
@given(rules(), STARTS)
def test_days_are_those_of_dateutil(rule: str, start: date) -> None:
    before = start + SPAN
    assert [*days(parse(rule), start, start, before)] == by_dateutil(rule, start, before)


@settings(max_examples=50)
@given(rules(), STARTS, st.integers(0, 1000))
def test_a_window_shows_what_the_whole_has_there(rule: str, start: date, skipped: int) -> None:
    since, before = start + timedelta(days=skipped), start + SPAN
    whole = [*days(parse(rule), start, start, before)]
    assert [*days(parse(rule), start, since, before)] == [day for day in whole if day >= since]


@settings(max_examples=20)
@given(rules(), st.integers(1, 20))
def test_count_counts_what_there_is(rule: str, count: int) -> None:
    start = date(2026, 1, 5)
    endless = [*days(parse(rule), start, start, start + timedelta(days=50 * 366))][:count]
    assert last_day(parse(f"{rule};COUNT={count}"), start) == (endless[-1] if endless else start)


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=MONTHLY;BYMONTHDAY=31", "2026-01-31", "01-31 03-31 05-31 07-31 08-31"),
        ("FREQ=MONTHLY", "2026-01-31", "01-31 03-31 05-31 07-31 08-31"),
        ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1", "2026-01-30", "01-30 02-27 03-27 04-24 05-29"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30", "01-30 02-27 03-27 04-24 05-29"),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1",
            "2026-05-01",
            "05-01 06-01 07-01 08-03 09-01",
        ),
        # The week in which it begins counts as a whole: its first day is over.
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "2026-01-06", "01-12 01-19"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=2", "2026-01-06", "01-06 01-13"),
        # With a number and without one: either.
        ("FREQ=MONTHLY;BYDAY=1MO,TU", "2026-01-05", "01-05 01-06 01-13 01-20 01-27 02-02"),
        ("FREQ=MONTHLY;BYDAY=TU,-1MO", "2026-01-20", "01-20 01-26 01-27 02-03 02-10"),
        ("FREQ=MONTHLY;BYDAY=53MO,-53TU,1WE", "2026-11-04", "11-04 12-02 01-06"),
        ("FREQ=YEARLY;BYDAY=1MO,FR", "2026-12-18", "12-18 12-25 01-01 01-04 01-08"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU", "2026-01-04", "01-04 01-05 01-18 01-19"),
    ],
)
def test_days_that_people_mean(rule: str, start: str, expected: str) -> None:
    wanted = expected.split()
    assert [f"{day:%m-%d}" for day in days_of(rule, start)[: len(wanted)]] == wanted


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=YEARLY", "2092-02-29", "2092-02-29 2096-02-29 2104-02-29 2108-02-29"),
        (
            "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-1",
            "2099-02-28",
            "2099-02-28 2100-02-28 2101-02-28",
        ),
        # Weeks are those of most of their days' year: the first may begin in December, the last end in January.
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", "2024-12-30", "2024-12-30 2025-12-29 2027-01-04"),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR", "2021-01-01", "2021-01-01 2027-01-01 2032-12-31"),
        ("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "2022-01-02", "2022-01-02 2023-01-01 2023-12-31"),
        ("FREQ=YEARLY;BYWEEKNO=20", "2026-05-13", "2026-05-13 2027-05-19 2028-05-17"),
    ],
)
def test_days_over_the_years(rule: str, start: str, expected: str) -> None:
    wanted = expected.split()
    assert [f"{day}" for day in days_of(rule, start, 20)[: len(wanted)]] == wanted


@given(st.integers(1, 53), st.integers(0, 4))
def test_weeks_are_numbered_as_iso_8601_has_them(number: int, weekday: int) -> None:
    every = (date(2000, 1, 1) + timedelta(days=day) for day in range(31 * 366))
    expected = [day for day in every if day.isocalendar()[1:] == (number, weekday + 1)]
    found = days_of(f"FREQ=YEARLY;BYWEEKNO={number};BYDAY={WEEKDAYS[weekday]}", "2000-01-01", 31)
    assert found == expected


def test_a_window_far_from_the_start_costs_as_much_as_a_near_one() -> None:
    begin, rule = date(2000, 1, 1), parse("FREQ=DAILY;INTERVAL=3")
    seen = [*days(rule, begin, date(2190, 1, 1), date(2190, 1, 10))]
    assert len(seen) == 3
    assert all((day - begin).days % 3 == 0 for day in seen)


def test_days_end_where_the_calendar_does() -> None:
    """The last week of the year 9999, where 2399 is looked for, has days of a January that Python does not know."""
    rule = parse("FREQ=WEEKLY;INTERVAL=1000;BYMONTH=1;BYDAY=SU")
    begin = date(2285, 1, 4)
    assert [*days(rule, begin, begin, date(2300, 1, 1))] == [begin]


@pytest.mark.parametrize(
    "rule", ["FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"]
)
def test_a_rule_without_days_ends(rule: str) -> None:
    begin = date(2026, 1, 1)
    assert [*days(parse(rule), begin, begin, date(2027, 1, 1))] == []
    assert last_day(parse(f"{rule};COUNT=2"), begin) == begin


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=YEARLY", "2096-02-29"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=1", "2196-02-29"),
        ("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;UNTIL=20261231", "2026-11-13"),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25;BYDAY=MO", "2090-12-25"),
        ("FREQ=YEARLY;INTERVAL=100", "2026-01-01"),
        ("FREQ=DAILY;INTERVAL=1000", "2026-01-01"),
    ],
)
def test_a_rule_that_people_mean_comes_again(rule: str, start: str) -> None:
    check_again(parse(rule), date.fromisoformat(start))


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2", "2026-01-05"),
        ("FREQ=MONTHLY;INTERVAL=12;BYDAY=1MO;BYMONTH=2", "2026-01-05"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "2044-02-29"),
        ("FREQ=YEARLY;INTERVAL=1000;COUNT=1", "2026-01-01"),
        (f"FREQ=MONTHLY;BYDAY=MO;BYSETPOS={','.join(map(str, range(6, 60)))}", "2027-02-01"),
    ],
)
def test_a_rule_that_never_comes_again_is_refused(rule: str, start: str) -> None:
    with pytest.raises(RecurrenceInvalid, match="comes again"):
        check_again(parse(rule), date.fromisoformat(start))


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY",
        "FREQ=HOURLY;COUNT=3",
        "FREQ=DAILY;BYHOUR=9,15",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z",
        "FREQ=DAILY;COUNT=0",
        f"FREQ=DAILY;COUNT={MAX_COUNT + 1}",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=1001",
        "FREQ=DAILY;INTERVAL=1,2",
        "FREQ=DAILY;UNTIL=P1D",
        "FREQ=DAILY;UNTIL=120000",
        "FREQ=DAILY;UNTIL=20270131,20270201",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20270231",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO",
        "FREQ=MONTHLY;BYWEEKNO=20",
        "FREQ=MONTHLY;BYYEARDAY=20",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYMONTHDAY=１",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=MONTHLY;BYDAY=XX",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYMONTH=-1",
        "FREQ=MONTHLY;BYMONTH=+1",
        "FREQ=MONTHLY;BYMONTH=5L",
        "FREQ=MONTHLY;BYMONTHDAY= 1",
        "FREQ=MONTHLY;BYMONTHDAY=1_0",
        "FREQ=MONTHLY;BYDAY=00MO",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;",
        "RRULE:FREQ=DAILY",
        "FREQ=DAILY\r\nATTENDEE:mailto:eve@example.org",
        "BYDAY=MO",
        "nonsense",
        "FREQ=DAILY;BYMONTH=" + ",".join(["1"] * 200),
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(RecurrenceInvalid):
        parse(rule)


@given(st.text(max_size=60))
def test_nothing_but_a_refusal_comes_of_nonsense(text: str) -> None:
    with suppress(RecurrenceInvalid):
        parse(text)
