"""When meetings are, where clocks jump: by the wall clock of their zone, never by UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument
from services.meeting.domain import EtagMismatch
from services.meeting.planning.recurrence import RecurrenceInvalid
from services.meeting.planning.schedule import (
    Plan,
    Schedule,
    TimeZoneUnknown,
    instant,
    plan_of,
    wall,
    window,
    zone_of,
)
from services.meeting.records.report import TimeRangeInvalid

MEETING_ID = UUID(int=7)
NOW = datetime(2000, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD = datetime.fromisoformat("2001-01-01")


def planned(zone: str, begin: str, rule: str = "", *exceptions: str) -> Plan:
    """Plan an hour from a time of the wall clock on."""
    at = zone_of(zone)
    left_out = [instant(datetime.fromisoformat(each), at) for each in exceptions]
    start = datetime.fromisoformat(begin).replace(tzinfo=at).astimezone(UTC)
    return plan_of(start, None, zone, rule, left_out, NOW)


def utc(plan: Plan, since: str, days: int) -> list[str]:
    begin = datetime.fromisoformat(since).replace(tzinfo=UTC)
    return [f"{each:%m-%dT%H:%M}" for each in plan.starts(begin, begin + timedelta(days=days))]


@pytest.mark.parametrize(
    ("zone", "begin", "rule", "since", "expected"),
    [
        # 2:30 does not exist on 29 March: it is 2:30 by the offset before, 3:30 on the clock.
        (
            "Europe/Berlin",
            "2026-03-28T02:30",
            "FREQ=DAILY",
            "2026-03-28",
            "03-28T01:30 03-29T01:30 03-30T00:30",
        ),
        # 2:30 is twice on 25 October: it is the first.
        (
            "Europe/Berlin",
            "2026-10-24T02:30",
            "FREQ=DAILY",
            "2026-10-24",
            "10-24T00:30 10-25T00:30 10-26T01:30",
        ),
        (
            "America/New_York",
            "2026-03-01T09:00",
            "FREQ=WEEKLY",
            "2026-03-01",
            "03-01T14:00 03-08T13:00 03-15T13:00",
        ),
        # Late in the evening the day in UTC is another one: Monday stays Monday.
        (
            "America/New_York",
            "2026-11-02T21:00",
            "FREQ=WEEKLY;BYDAY=MO",
            "2026-11-02",
            "11-03T02:00 11-10T02:00",
        ),
        (
            "Asia/Shanghai",
            "2026-03-27T08:00",
            "FREQ=DAILY",
            "2026-03-27",
            "03-27T00:00 03-28T00:00 03-29T00:00",
        ),
        # Lord Howe's clocks jump by half an hour, on 5 April and 4 October.
        (
            "Australia/Lord_Howe",
            "2026-04-04T12:00",
            "FREQ=DAILY",
            "2026-04-04",
            "04-04T01:00 04-05T01:30 04-06T01:30",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T02:15",
            "FREQ=DAILY",
            "2026-10-02",
            "10-02T15:45 10-03T15:45 10-04T15:15",
        ),
        # Samoa had no 30 December 2011: what would be then is what is on the 31st.
        (
            "Pacific/Apia",
            "2011-12-29T10:00",
            "FREQ=DAILY",
            "2011-12-29",
            "12-29T20:00 12-30T20:00 12-31T20:00",
        ),
    ],
)
def test_a_time_is_the_wall_clocks(
    zone: str, begin: str, rule: str, since: str, expected: str
) -> None:
    wanted = expected.split()
    assert utc(planned(zone, begin, rule), since, 20)[: len(wanted)] == wanted


def test_nothing_is_told_twice_where_a_day_is_skipped() -> None:
    found = utc(planned("Pacific/Apia", "2011-12-28T10:00", "FREQ=DAILY;COUNT=5"), "2011-12-28", 9)
    assert found == ["12-28T20:00", "12-29T20:00", "12-30T20:00", "12-31T20:00"]


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20261103T015959Z", "10-27T01:00"),  # a second before the one in UTC
        ("20261103T020000Z", "11-03T02:00"),
        ("20261102T210000", "11-03T02:00"),  # on the wall clock
        ("20261102T205959", "10-27T01:00"),
        ("20261102", "11-03T02:00"),  # the whole day, on the wall clock
    ],
)
def test_until_is_in_utc_where_it_says_so(until: str, last: str) -> None:
    plan = planned("America/New_York", "2026-10-19T21:00", f"FREQ=WEEKLY;UNTIL={until}")
    assert utc(plan, "2026-10-01", 90)[-1] == last


def test_until_is_exact_where_the_clock_shows_a_time_twice() -> None:
    """2:30 is first at 00:30 UTC; an end between that and the second 2:30 does not take it away."""
    plan = planned("Europe/Berlin", "2026-10-24T02:30", "FREQ=DAILY;UNTIL=20261025T011500Z")
    assert utc(plan, "2026-10-24", 9) == ["10-24T00:30", "10-25T00:30"]


@pytest.mark.parametrize("until", ["99991231", "99991231T235959", "99991231T235959Z"])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_until_the_end_of_the_calendar_is_for_ever(zone: str, until: str) -> None:
    plan = planned(zone, "2026-10-19T21:00", f"FREQ=WEEKLY;UNTIL={until}")
    assert plan.end_time is None
    assert len(utc(plan, "2199-01-01", 28)) == 4


@pytest.mark.parametrize("until", ["00010101", "00010101T000000", "00020101T000000Z"])
def test_until_before_there_were_clocks_is_refused(until: str) -> None:
    with pytest.raises(RecurrenceInvalid):
        planned("Asia/Shanghai", "2026-10-19T21:00", f"FREQ=WEEKLY;UNTIL={until}")


def test_exceptions_count_and_are_left_out() -> None:
    plan = planned("Europe/Berlin", "2026-03-28T09:00", "FREQ=DAILY;COUNT=3", "2026-03-29T09:00")
    assert utc(plan, "2026-03-28", 9) == ["03-28T08:00", "03-30T07:00"]
    assert plan.end_time == datetime(2026, 3, 30, 8, tzinfo=UTC)


def test_a_window_has_what_goes_on_at_its_beginning_and_not_what_begins_at_its_end() -> None:
    plan = planned("UTC", "2026-03-28T09:00", "FREQ=DAILY")
    begin = datetime(2026, 3, 29, 9, 59, tzinfo=UTC)
    assert len([*plan.starts(begin, begin + timedelta(days=1, minutes=-59))]) == 1
    assert [*plan.starts(begin + timedelta(minutes=1), begin + timedelta(minutes=2))] == []


def test_the_second_of_two_times_is_kept_of_a_meeting_that_is_once() -> None:
    start = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    plan = plan_of(start, HOUR, "Europe/Berlin", "", (), NOW)
    assert (plan.begin.hour, plan.start_time) == (2, start)
    with pytest.raises(RecurrenceInvalid):
        plan_of(start, HOUR, "Europe/Berlin", "FREQ=DAILY", (), NOW)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=WEEKLY;BYDAY=TU",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;UNTIL=20260101T000000Z",
        "FREQ=SECONDLY",
    ],
)
def test_a_rule_that_does_not_have_the_first_time_is_refused(rule: str) -> None:
    with pytest.raises(RecurrenceInvalid):
        planned("Europe/Berlin", "2026-03-30T09:00", rule)


def test_a_rule_that_has_but_the_first_time_is_refused() -> None:
    with pytest.raises(RecurrenceInvalid, match="comes again"):
        planned("Europe/Berlin", "2044-02-29T09:00", "FREQ=DAILY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO")


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../UTC", "/etc/passwd", "Factory", "europe/berlin"]
)
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(TimeZoneUnknown):
        plan_of(datetime(2026, 1, 1, tzinfo=UTC), None, zone, "", (), NOW)


@pytest.mark.parametrize("year", [1, 1999, 2200, 9999])
def test_times_that_nobody_means_are_refused(year: int) -> None:
    start = datetime(year, 6, 1, tzinfo=UTC)
    with pytest.raises(InvalidArgument):
        plan_of(start, None, "Europe/Berlin", "FREQ=DAILY", (), NOW)


def test_what_is_over_is_not_planned_but_what_goes_on_is() -> None:
    start, now = datetime(2026, 1, 5, 9, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(InvalidArgument):
        plan_of(start, None, "", "", (), now)
    with pytest.raises(InvalidArgument):
        plan_of(start, None, "", "FREQ=WEEKLY;COUNT=3", (), now)
    plan = plan_of(start, None, "", "freq=weekly", (), now)
    assert plan.next_start(now) == datetime(2026, 2, 2, 9, tzinfo=UTC)


def test_a_change_is_a_new_version_and_the_same_again_is_none() -> None:
    plan = planned("UTC", "2026-03-28T09:00")
    schedule = Schedule(MEETING_ID, plan, NOW)
    assert schedule.changed(plan, schedule.etag, NOW + HOUR) is schedule
    moved = schedule.changed(planned("UTC", "2026-03-28T10:00"), schedule.etag, NOW + HOUR)
    assert (moved.sequence, moved.update_time) == (1, NOW + HOUR)
    with pytest.raises(EtagMismatch):
        moved.changed(plan, schedule.etag, NOW)


@pytest.mark.parametrize(("start", "days"), [(NOW, 0), (NOW, 367), (NOW, -1)])
def test_a_window_has_an_end(start: datetime, days: int) -> None:
    with pytest.raises(TimeRangeInvalid):
        window(start, start + timedelta(days=days), NOW)


@pytest.mark.parametrize("year", [1, 9999])
def test_a_window_at_the_end_of_time_is_refused(year: int) -> None:
    with pytest.raises(TimeRangeInvalid):
        window(datetime(year, 12, 30, tzinfo=UTC), None, NOW)


@given(
    st.datetimes(OLD, datetime.fromisoformat("2099-01-01")),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tehran", "UTC"]),
)
def test_every_time_that_there_is_comes_back_from_the_wall(moment: datetime, zone: str) -> None:
    there = moment.replace(microsecond=0, tzinfo=UTC)
    at = zone_of(zone)
    assert instant(wall(there, at), at) == there


@given(
    st.datetimes(OLD, datetime.fromisoformat("2037-01-01")),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=DAILY;INTERVAL=2", "FREQ=MONTHLY"]),
)
def test_all_times_are_at_the_same_time_of_day_but_in_gaps(
    begin: datetime, zone: str, rule: str
) -> None:
    at = zone_of(zone)
    begin = begin.replace(microsecond=0)
    if wall(instant(begin, at), at) != begin:
        return  # in a gap
    start = instant(begin, at)
    plan = plan_of(start, HOUR, zone, rule, (), NOW)
    found = [*plan.starts(start, start + timedelta(days=366))]
    assert found[0] == start
    assert found == sorted(set(found))
    for each in found:
        shown = each.astimezone(ZoneInfo(zone))
        if shown.time() != begin.time():
            same = shown.replace(hour=begin.hour, minute=begin.minute, second=begin.second)
            assert same.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != begin.time()
