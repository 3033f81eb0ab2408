"""Calendar files and letters: what a calendar program reads back, and that people's words stay words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from chassis.mail import Mail
from services.meeting.domain import MeetingState
from services.meeting.planning.calendar_file import CANCEL, REQUEST, Invited, calendar, message
from services.meeting.planning.invitation import distinct, tried_again
from services.meeting.planning.invitation_letters import Occasion, Writer
from services.meeting.planning.schedule import Schedule, Scheduled, plan_of
from tests.meetings import NOW, a_meeting

URL = "https://meet.example.org/"
SENDER = "Parley <parley@example.org>"
HOSTILE = "Daily\r\nATTENDEE:mailto:eve@example.org\nBcc: eve@example.org\x0bX\u2028Y\x85Z, a;b\\n 会议 😀"
MEETING_ID = UUID(int=7)


def scheduled(zone: str = "Europe/Berlin", rule: str = "", **values: Any) -> Scheduled:
    start = datetime(2026, 3, 23, 9, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    exceptions = [start + timedelta(days=7, hours=-1)] if rule else []
    plan = plan_of(start, timedelta(minutes=45), zone, rule, exceptions, NOW)
    meeting = a_meeting(id=MEETING_ID, **{"state": MeetingState.SCHEDULED, **values})
    return Scheduled(meeting, Schedule(meeting.id, plan, NOW, 3))


def event_of(data: bytes) -> Any:
    (event,) = Calendar.from_ical(data).walk("VEVENT")
    return event


def test_a_file_says_when_where_and_what() -> None:
    data = calendar([scheduled(rule="FREQ=WEEKLY;BYDAY=MO;COUNT=5", title="Lunch")], URL)
    event = event_of(data)
    assert str(event["UID"]) == f"{MEETING_ID}@meet.example.org"
    assert (event["SEQUENCE"], event["STATUS"], event["SUMMARY"]) == (3, "CONFIRMED", "Lunch")
    assert event["URL"] == event["LOCATION"] == "https://meet.example.org/m/abc-defg-hij"
    assert event["DTSTART"].dt == datetime(2026, 3, 23, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert event["DURATION"].dt == timedelta(minutes=45)
    assert event["RRULE"].to_ical() == b"FREQ=WEEKLY;COUNT=5;BYDAY=MO"
    assert event["EXDATE"].dts[0].dt == datetime(2026, 3, 30, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    zone: Any = Calendar.from_ical(data).walk("VTIMEZONE")[0]
    assert zone["TZID"] == "Europe/Berlin"
    assert {each.name for each in zone.subcomponents} == {"STANDARD", "DAYLIGHT"}
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))


@pytest.mark.parametrize(
    "name",
    [
        *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"),
        *("Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns"),
    ],
)
def test_the_zones_definition_goes_as_the_zone_does(name: str) -> None:
    """Read by the offsets before each jump, as RFC 5545 has it, not by the library that wrote it."""
    data = calendar([scheduled(name, "FREQ=DAILY")], URL)
    zone: Any = Calendar.from_ical(data).walk("VTIMEZONE")[0]
    offsets: dict[datetime, timedelta] = {}
    for each in zone.subcomponents:
        more = each.get("RDATE", [])
        lists = more if isinstance(more, list) else [more]
        local = [each["DTSTART"].dt, *(date.dt for dates in lists for date in dates.dts)]
        before = each["TZOFFSETFROM"].td
        offsets |= {(at - before).replace(tzinfo=UTC): each["TZOFFSETTO"].td for at in local}
    moment, true = datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo(name)
    while moment.year < 2028:
        last = max(at for at in offsets if at <= moment)
        assert offsets[last] == moment.astimezone(true).utcoffset(), moment
        moment += timedelta(minutes=30)


def test_an_end_of_the_rule_is_in_utc_beside_a_zone() -> None:
    event = event_of(calendar([scheduled(rule="FREQ=DAILY;UNTIL=20260401T090000")], URL))
    assert event["RRULE"]["UNTIL"] == [datetime(2026, 4, 1, 7, tzinfo=UTC)]


def test_utc_needs_no_definition() -> None:
    data = calendar([scheduled("UTC")], URL)
    assert b"DTSTART:20260323T090000Z" in data
    assert b"VTIMEZONE" not in data


def test_the_second_of_two_times_is_told_in_utc() -> None:
    start = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    plan = plan_of(start, None, "Europe/Berlin", "", (), NOW)
    data = calendar([Scheduled(a_meeting(), Schedule(MEETING_ID, plan, NOW))], URL)
    assert event_of(data)["DTSTART"].dt == start


def test_what_is_called_off_says_so_and_is_newer() -> None:
    event = event_of(calendar([scheduled(state=MeetingState.CANCELLED)], URL))
    assert (event["STATUS"], event["SEQUENCE"]) == ("CANCELLED", 4)


def test_words_begin_no_line_of_a_calendar() -> None:
    invited = Invited(SENDER, HOSTILE + '";X=1', "ann@example.org")
    off = message(scheduled(title=HOSTILE, description=HOSTILE * 20), URL, REQUEST, invited)
    for line in off.decode().splitlines():
        assert not line.startswith(("ATTENDEE:mailto:eve", "Bcc", "X"))
    event = event_of(off)
    assert isinstance(event["ATTENDEE"], str)
    assert event["ATTENDEE"] == "mailto:ann@example.org"
    assert event["ORGANIZER"] == "mailto:parley@example.org"
    assert "会议 😀" in event["SUMMARY"]
    assert "a;b\\n" in event["DESCRIPTION"]


@settings(max_examples=30)
@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=64))
def test_whatever_is_written_is_read_back_as_one_event(title: str, text: str, host: str) -> None:
    invited = Invited(SENDER, host, "ann@example.org")
    data = message(scheduled("UTC", title=title, description=text), URL, CANCEL, invited)
    event = event_of(data)
    names = {"UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "DTSTART", "DURATION", "SUMMARY"}
    names |= {"DESCRIPTION", "LOCATION", "URL", "SEQUENCE", "STATUS", "ORGANIZER", "ATTENDEE"}
    assert set(event) == names
    assert data.count(b"\nBEGIN:") == 1


def test_a_feed_has_all_of_them_with_each_zone_once() -> None:
    every = [scheduled(), scheduled("Asia/Shanghai"), scheduled(rule="FREQ=DAILY")]
    read: Any = Calendar.from_ical(calendar(every, URL, "Parley"))
    assert len(read.walk("VEVENT")) == 3
    assert sorted(each["TZID"] for each in read.walk("VTIMEZONE")) == [
        "Asia/Shanghai",
        "Europe/Berlin",
    ]
    assert (read["X-WR-CALNAME"], read["X-PUBLISHED-TTL"]) == ("Parley", "PT1H")


def written(occasion: Occasion, language: str, words: str = "", **values: Any) -> tuple[Mail, Any]:
    of = scheduled(**values)
    host = values.get("title", "Ann")
    mail = Writer(of.meeting, of, host, SENDER, URL, NOW).letter(
        occasion, "bob@example.org", language, words
    )
    raw = bytes(mail.message(SENDER, NOW, "one"))
    return mail, message_from_bytes(raw, policy=policy.default)


@pytest.mark.parametrize(
    ("language", "when"),
    [
        ("en", "When: Monday, 23 March 2026, 09:00 – 09:45 (Europe/Berlin)"),
        ("zh", "时间: 2026年3月23日 星期一 09:00 – 09:45 (Europe/Berlin)"),
    ],
)
def test_a_letter_tells_when_and_brings_the_calendars_message(language: str, when: str) -> None:
    _, read = written(Occasion.INVITED, language, "See you\nthere", rule="FREQ=WEEKLY;INTERVAL=2")
    text = read.get_body(("plain",)).get_content()
    assert when in text
    assert "https://meet.example.org/m/abc-defg-hij" in text
    assert "> See you\n> there" in text
    assert "every 2 weeks" in text or "每 2 周" in text
    (part,) = (each for each in read.walk() if each.get_content_type() == "text/calendar")
    assert part["Content-Type"].params["method"] == "REQUEST"
    assert event_of(part.get_content().encode())["ATTENDEE"] == "mailto:bob@example.org"
    (attached,) = read.iter_attachments()
    assert attached.get_filename() == "invite.ics"


@pytest.mark.parametrize("occasion", [Occasion.CALLED_OFF, Occasion.TAKEN_BACK])
def test_what_is_off_is_cancelled_in_the_calendar(occasion: Occasion) -> None:
    mail, read = written(occasion, "en")
    assert mail.method == "CANCEL"
    assert event_of(mail.calendar)["STATUS"] == "CANCELLED"
    assert "/m/abc" not in read.get_body(("plain",)).get_content()


def test_a_meeting_without_a_time_brings_no_calendar() -> None:
    letter = Writer(a_meeting(), None, "Ann", SENDER, URL, NOW).letter(
        Occasion.INVITED, "bob@example.org", "en"
    )
    assert (letter.calendar, "When" in letter.text) == (b"", False)


def test_words_begin_no_line_of_a_letters_head() -> None:
    _, read = written(Occasion.INVITED, "en", HOSTILE, title=HOSTILE)
    assert set(read.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }
    assert read["To"] == "bob@example.org"
    assert read["Message-ID"] == "<one@example.org>"
    said = read.get_body(("plain",)).get_content()
    assert "\n> Bcc: eve" in said
    assert "\nBcc" not in said


@settings(max_examples=30)
@given(st.text(max_size=100), st.text(max_size=100))
def test_whatever_is_written_a_letter_can_be_sent(title: str, words: str) -> None:
    _, read = written(Occasion.INVITED, "zh", words, title=title)
    assert read["Bcc"] is None
    assert read["To"] == "bob@example.org"


LOCAL = st.text("abcXYZ019.!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=30)


@given(LOCAL)
def test_every_address_that_the_contract_takes_is_one_address(local: str) -> None:
    """The contract's rule is HTML's, which takes more than RFC 5322 does."""
    mail = Mail(f"{local}@example.org", "Hello", "Hello\n")
    try:
        raw = bytes(mail.message(SENDER, NOW))
    except ValueError:
        return
    to = message_from_bytes(raw, policy=policy.default)["To"]
    assert len(to.addresses) == 1
    assert to.addresses[0].domain in ("example.org", "")


def test_addresses_are_told_apart_by_more_than_their_case() -> None:
    assert distinct(["Ann@x.org", "bob@x.org", "ann@X.org"]) == ["Ann@x.org", "bob@x.org"]


def test_a_letter_is_given_up_in_the_end() -> None:
    waits = [tried_again(number) for number in range(1, 8)]
    assert waits[0] == timedelta(minutes=1)
    assert waits[-1] is None
