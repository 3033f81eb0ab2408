"""A planned meeting by REST: planned, read as a file and as a feed, and an invitation in the outbox."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
from icalendar import Calendar

from tests.rest import Person, reason, until
from tests.running_stack import RunningStack

PLAN = {
    "meeting": {"title": "周会, weekly"},
    "schedule": {
        "start_time": "2099-01-05T09:00:00Z",
        "duration": "2700s",
        "time_zone": "Europe/Zurich",
        "recurrence": "FREQ=WEEKLY;BYDAY=MO;COUNT=3",
    },
}


def letters_to(stack: RunningStack, address: str) -> list[Path]:
    found = sorted((Path(stack.state) / "outbox").glob("invitations-*.eml"))
    return [each for each in found if f"To: {address}" in each.read_text()]


def test_a_meeting_is_planned_invited_to_and_in_calendars(
    stack: RunningStack, http: httpx.Client, ann: Person, bob: Person
) -> None:
    made = ann.call("POST", "/api/v1/meetings:schedule", json=PLAN)
    assert made.status_code == 200, made.text
    meeting, schedule = made.json()["meeting"]["name"], made.json()["schedule"]

    file = bob.call("GET", f"/api/v1/{meeting}/calendar.ics")
    assert file.headers["content-type"] == "text/calendar; charset=utf-8"
    code = meeting.removeprefix("meetings/")
    assert file.headers["content-disposition"] == f'attachment; filename="meeting-{code}.ics"'
    event: Any = Calendar.from_ical(file.content).walk("VEVENT")[0]
    assert (str(event["SUMMARY"]), event["SEQUENCE"]) == ("周会, weekly", 0)
    assert event["URL"].endswith(f"/m/{code}")

    window = {"start_time": "2099-01-01T00:00:00Z", "page_size": 2}
    first = ann.call("GET", "/api/v1/occurrences", params=window).json()
    assert [each["start_time"] for each in first["occurrences"]] == [
        "2099-01-05T09:00:00Z",
        "2099-01-12T09:00:00Z",
    ]
    token = {"page_token": first["next_page_token"]}
    rest = ann.call("GET", "/api/v1/occurrences", params=token).json()
    assert [each["end_time"] for each in rest["occurrences"]] == ["2099-01-19T09:45:00Z"]

    address = f"{bob.username}@example.org"
    invited = ann.call(
        "POST", f"/api/v1/{meeting}/invitations:batchCreate", json={"emails": [address]}
    )
    assert invited.status_code == 200, invited.text
    until(lambda: len(letters_to(stack, address)) == 1, "the letter is in the outbox")
    letter = message_from_bytes(letters_to(stack, address)[0].read_bytes(), policy=policy.default)
    assert letter["Subject"] == "Invitation: 周会, weekly"
    listed = ann.call("GET", f"/api/v1/{meeting}/invitations").json()
    assert [each["email"] for each in listed["invitations"]] == [address]

    moved = {**schedule, "start_time": "2099-01-05T10:00:00Z"}
    answer = ann.call("PUT", f"/api/v1/{meeting}/schedule", json=moved)
    assert answer.status_code == 200, answer.text
    stale = ann.call("PUT", f"/api/v1/{meeting}/schedule", json=moved)
    assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
    until(lambda: len(letters_to(stack, address)) == 2, "bob knows of the new time")

    wrong = {**PLAN, "schedule": {**PLAN["schedule"], "recurrence": "FREQ=SECONDLY"}}
    refused = ann.call("POST", "/api/v1/meetings:schedule", json=wrong)
    assert (refused.status_code, reason(refused)) == (400, "RECURRENCE_INVALID")

    feed = ann.call("POST", "/api/v1/calendarFeeds", json={}).json()
    path = f"/api/v1/{feed['name']}/calendar.ics"
    assert feed["uri"].endswith(path)
    read = http.get(path)  # as a calendar program does, which has signed in nowhere
    assert read.status_code == 200, read.text
    assert read.headers["content-type"] == "text/calendar; charset=utf-8"
    assert (read.headers["etag"][0], read.headers["cache-control"][:7]) == ('"', "private")
    assert len(Calendar.from_ical(read.content).walk("VEVENT")) == 1
    ann.call("POST", "/api/v1/calendarFeeds", json={})
    gone = http.get(path)
    assert (gone.status_code, reason(gone)) == (404, "CALENDAR_FEED_NOT_FOUND")
