"""Recurrence rules: the days that they give, beside python-dateutil's, and what is refused."""

from __future__ import annotations

import datetime as datetime_module
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from itertools import takewhile
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
    days,
    last_day,
    parse,
)

SPAN = timedelta(days=3 * 366)
STARTS = st.dates(date(2000, 1, 1), date(2006, 12, 31))


@pytest.fixture(scope="module", autouse=True)
def the_yardstick_ends() -> Iterator[None]:
    """Keep dateutil from looking for the days of a rule that has none up to the year 9999."""
    sooner = SimpleNamespace(**{**vars(datetime_module), "MAXYEAR": 2010})
    with mock.patch("dateutil.rrule.datetime", sooner):
        yield


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
    found = rrulestr(f"{rule};UNTIL={until}", dtstart=begin)
    return [*takewhile(lambda day: day < before, (each.date() for each in found))]


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
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "2026-01-06", "01-12 01-19"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU", "2026-01-04", "01-04 01-05 01-18 01-19"),
    ],
)
def test_days_that_people_mean(rule: str, start: str, expected: str) -> None:
    begin = date.fromisoformat(start)
    found = [*days(parse(rule), begin, begin, begin + timedelta(days=365))]
    wanted = expected.split()
    assert [f"{day:%m-%d}" for day in found[: len(wanted)]] == wanted


def test_the_29th_of_february_is_every_four_years_but_in_2100() -> None:
    begin = date(2092, 2, 29)
    found = [*days(parse("FREQ=YEARLY"), begin, begin, date(2110, 1, 1))]
    assert [day.year for day in found] == [2092, 2096, 2104, 2108]


def test_a_window_far_from_the_start_costs_as_much_as_a_near_one() -> None:
    begin, rule = date(2000, 1, 1), parse("FREQ=DAILY;INTERVAL=3")
    seen = [*days(rule, begin, date(2190, 1, 1), date(2190, 1, 10))]
    assert len(seen) == 3
    assert all((day - begin).days % 3 == 0 for day in seen)


@pytest.mark.parametrize(
    "rule", ["FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"]
)
def test_a_rule_without_days_ends(rule: str) -> None:
    begin = date(2026, 1, 1)
    assert [*days(parse(rule), begin, begin, date(2027, 1, 1))] == []
    assert last_day(parse(f"{rule};COUNT=2"), begin) == begin


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
