"""Meetings as iCalendar (RFC 5545), and what is sent of them by mail (iMIP, RFC 6047). Pure.

Times are those of the zone's wall clock, with the zone's definition beside them, so that calendars follow the rule as we do.
What people wrote is text and nothing else: it can't begin a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parseaddr
from functools import lru_cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vDuration,
    vRecur,
    vText,
    vUri,
)

from services.meeting.domain import Meeting
from services.meeting.planning.schedule import Plan, Scheduled, zone_of

CONTENT_TYPE = "text/calendar; charset=utf-8"
PRODUCT = "-//Parley//Parley//EN"
REQUEST = "REQUEST"
CANCEL = "CANCEL"
ZONE_YEARS = 10
"""For so long a zone's definition tells when its clock will jump; where calendars know the zone, they use their own."""
REFRESH = "PT1H"


@dataclass(frozen=True, slots=True)
class Invited:
    """Who asks whom: the sender of our mail, by the host's name, and an address."""

    sender: str
    host: str
    email: str


def meeting_url(public_url: str, meeting: Meeting) -> str:
    """Say where a meeting is in the browser."""
    return f"{public_url.rstrip('/')}/m/{meeting.code}"


def calendar(scheduled: Iterable[Scheduled], public_url: str, name: str = "") -> bytes:
    """Write meetings as a file, or as a feed of that name."""
    made = _calendar()
    if name:
        made.add("x-wr-calname", name)
        made.add("refresh-interval", vText(REFRESH), parameters={"VALUE": "DURATION"})
        made.add("x-published-ttl", REFRESH)
    return _written(made, scheduled, public_url, None)


def message(scheduled: Scheduled, public_url: str, method: str, invited: Invited) -> bytes:
    """Write what is sent to somebody: a REQUEST to come, or its CANCEL."""
    made = _calendar()
    made.add("method", method)
    return _written(made, [scheduled], public_url, (method, invited))


def plain(text: str) -> str:
    """Take out of a text what calendars and mail programs may break a line at; its own line breaks stay."""
    lines = "\n".join(text.splitlines())
    return "".join(each if each.isprintable() or each == "\n" else " " for each in lines)


def _calendar() -> Calendar:
    made = Calendar()
    made.add("prodid", PRODUCT)
    made.add("version", "2.0")
    made.add("calscale", "GREGORIAN")
    return made


def _written(
    made: Calendar,
    scheduled: Iterable[Scheduled],
    public_url: str,
    sent: tuple[str, Invited] | None,
) -> bytes:
    every = list(scheduled)
    for zone, (first, last) in sorted(_zones(every).items()):
        made.add_component(_zone(zone, first, last))
    for each in every:
        made.add_component(_event(each, public_url, sent))
    return bytes(made.to_ical())


def _event(each: Scheduled, public_url: str, sent: tuple[str, Invited] | None) -> Event:
    meeting, plan = each.meeting, each.schedule.plan
    url = meeting_url(public_url, meeting)
    event = Event()
    event.add("uid", f"{meeting.id}@{urlsplit(public_url).hostname or 'parley'}")
    event.add("dtstamp", each.update_time.astimezone(UTC))
    event.add("created", meeting.create_time.astimezone(UTC))
    event.add("last-modified", each.update_time.astimezone(UTC))
    event.add("dtstart", _shown(plan.begin, plan))
    event.add("duration", vDuration(plan.duration))
    if plan.rule is not None:
        event.add("rrule", vRecur.from_ical(_rule(plan)))
        for left_out in plan.exceptions:
            event.add("exdate", _shown(left_out, plan))
    event.add("summary", plain(meeting.title).replace("\n", " "))
    event.add("description", f"{plain(meeting.description)}\n\n{url}".strip())
    event.add("location", url)
    event.add("url", vUri(url))
    is_cancelled = each.is_cancelled or (sent is not None and sent[0] == CANCEL)
    event.add("sequence", each.sequence)
    event.add("status", "CANCELLED" if is_cancelled else "CONFIRMED")
    if sent is not None:
        _address(event, sent[1])
    return event


def _address(event: Event, invited: Invited) -> None:
    organizer = vCalAddress(f"mailto:{parseaddr(invited.sender)[1]}")
    organizer.params["CN"] = _parameter(invited.host)
    event.add("organizer", organizer)
    attendee = vCalAddress(f"mailto:{invited.email}")
    answers = {"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "FALSE"}
    for name, value in answers.items():
        attendee.params[name] = vText(value)
    event.add("attendee", attendee)


def _parameter(text: str) -> vText:
    """Make a parameter's value, which can have neither quotes nor breaks of lines."""
    return vText(plain(text).replace("\n", " ").replace('"', "'") or "Parley")


def _shown(moment: datetime, plan: Plan) -> datetime:
    """Say a time on the zone's clock; in UTC where the clock shows it the second time, which can't be said otherwise."""
    there = moment.replace(tzinfo=plan.zone)
    is_second = moment.fold and there.utcoffset() != there.replace(fold=0).utcoffset()
    return there.astimezone(UTC) if is_second else there


def _rule(plan: Plan) -> str:
    """Write the rule with its end in UTC, as it must be beside a time of a zone (RFC 5545 §3.3.10)."""
    last = plan.last_start_time
    parts = [part for part in plan.recurrence.split(";") if not part.startswith("UNTIL=")]
    if len(parts) < len(plan.recurrence.split(";")) and last is not None:
        parts.append(f"UNTIL={last.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    return ";".join(parts)


def _zones(every: Iterable[Scheduled]) -> dict[str, tuple[int, int]]:
    """Say of which zones definitions are needed, from and to which year; none of UTC."""
    zones: dict[str, tuple[int, int]] = {}
    for plan in (each.schedule.plan for each in every):
        if not isinstance(plan.zone, ZoneInfo):
            continue
        first = plan.begin.year
        end = first + ZONE_YEARS if plan.end_time is None else plan.end_time.year + 1
        seen_first, seen_last = zones.get(plan.time_zone, (first, 0))
        last = max(seen_last, min(end, first + ZONE_YEARS))
        zones[plan.time_zone] = min(first, seen_first), last
    return zones


@lru_cache(maxsize=256)
def _zone(name: str, first_year: int, last_year: int) -> Timezone:
    """Define a zone: how its clock goes when the first year begins, and each of its jumps till the last year ends."""
    zone, begin = zone_of(name), datetime(first_year, 1, 1, tzinfo=UTC)
    made = Timezone()
    made.add("tzid", name)
    at_first = _observance(zone, begin, begin)
    kinds: dict[tuple[timedelta, timedelta], list[datetime]] = {}
    for jump in _jumps(zone, begin, datetime(last_year + 1, 1, 1, tzinfo=UTC)):
        before = _offset(zone, jump - timedelta(seconds=1))
        kinds.setdefault((before, _offset(zone, jump)), []).append(jump)
    made.add_component(at_first)
    for (before, _), jumps in kinds.items():
        observance = _observance(zone, jumps[0] - timedelta(seconds=1), jumps[0])
        for again in jumps[1:]:
            observance.add("rdate", _local(again, before))
        made.add_component(observance)
    return made


def _observance(
    zone: tzinfo, before: datetime, jump: datetime
) -> TimezoneStandard | TimezoneDaylight:
    """Tell how a clock goes from a jump on, the time of which is said by the offset before (RFC 5545 §3.6.5)."""
    there = jump.astimezone(zone)
    made = TimezoneDaylight() if there.dst() else TimezoneStandard()
    made.add("dtstart", _local(jump, _offset(zone, before)))
    made.add("tzoffsetfrom", _offset(zone, before))
    made.add("tzoffsetto", _offset(zone, jump))
    made.add("tzname", there.tzname() or "")
    return made


def _jumps(zone: tzinfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """List when a clock's offset changes, to the second."""
    day = begin
    while day < end:
        low, high = day, day + timedelta(days=1)
        if _offset(zone, low) != _offset(zone, high):
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                if _offset(zone, middle) == _offset(zone, day):
                    low = middle
                else:
                    high = middle
            yield high
        day += timedelta(days=1)


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _local(moment: datetime, offset: timedelta) -> datetime:
    return (moment + offset).replace(tzinfo=None)


__all__ = [
    "CANCEL",
    "CONTENT_TYPE",
    "REQUEST",
    "Invited",
    "calendar",
    "meeting_url",
    "message",
    "plain",
]
