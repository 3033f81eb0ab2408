"""People schedule meetings in a real browser, see them coming up and in the calendar, and change their minds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar
from playwright.async_api import Browser, Locator, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from tests.running_stack import RunningStack

ZONE = "Europe/Zurich"
ELSEWHERE = "Asia/Shanghai"
WEEK = timedelta(days=7)
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone beeps."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


def card(who: Person, name: str) -> Locator:
    """Find a part of the page by its name."""
    return who.page.get_by_role("region", name=name, exact=True)


def choice(who: Person, name: str) -> Locator:
    """Find a field that one chooses in, by its label."""
    return who.page.get_by_role("combobox", name=name, exact=True)


def tomorrow() -> date:
    """Say what day it is tomorrow where people sit: whenever a test runs, that is still to come."""
    return (datetime.now(ZoneInfo(ZONE)) + timedelta(days=1)).date()


def spelt(day: date) -> str:
    """Spell a day as the page does in English."""
    return f"{day:%A, %B} {day.day}, {day.year}"


def short(day: date) -> str:
    """Spell a day as lists do in English."""
    return f"{day:%a, %b} {day.day}, {day.year}"


async def confirm(who: Person, action: str) -> None:
    """Say yes to what is asked."""
    await who.page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()


async def schedule(who: Person, title: str, day: date, repeat: str = "Never") -> None:
    """Schedule a meeting at nine, and come to its page."""
    await who.button("Schedule a meeting").click()
    await who.page.get_by_label("Title").fill(title)
    await who.page.get_by_label("Begins at").fill(f"{day}T09:00")
    await choice(who, "Repeats").select_option(repeat)
    await who.button("Schedule").click()
    await expect(who.page.get_by_role("heading", name=title, exact=True)).to_be_visible()


async def home(who: Person) -> None:
    """Go to the first page."""
    await who.page.get_by_role("link", name="Parley").click()


async def calendar_file(who: Person) -> Any:
    """Download the meeting for a calendar."""
    async with who.page.expect_download() as coming:
        await who.button("For your calendar (.ics)").click()
    return event_in(await (await coming.value).path())


def event_in(path: Path) -> Any:
    """Read the one event of a file."""
    [event] = Calendar.from_ical(path.read_bytes()).walk("VEVENT")
    return event


async def test_a_weekly_meeting_is_planned_moved_left_out_once_and_called_off(
    browser: Browser, stack: RunningStack
) -> None:
    first = tomorrow()
    async with person(browser, "Ann", stack.http, zone=ZONE) as ann:
        await ann.sign_up()
        await expect(card(ann, "Coming up")).to_contain_text("Nothing is planned")
        await schedule(ann, "Weekly", first, "Weekly")
        times = card(ann, "Next times")
        await expect(times.get_by_role("listitem")).to_have_count(5)
        await expect(times.get_by_role("listitem").first).to_contain_text(f"{short(first)}, 9:00")
        await expect(ann.page.get_by_text(f"Every week on {first:%A}")).to_be_visible()
        event = await calendar_file(ann)
        assert (event["SUMMARY"], event["RRULE"]["FREQ"]) == ("Weekly", ["WEEKLY"])
        assert (event["DTSTART"].dt.date(), event["DTSTART"].dt.hour) == (first, 9)

        await times.get_by_role("button", name=f"Leave out: {short(first + WEEK)}").click()
        await confirm(ann, "Leave out")
        left_out = card(ann, "Left out").get_by_role("listitem")
        await expect(left_out).to_contain_text(short(first + WEEK))
        await expect(
            times.get_by_role("button", name="Leave out: ").nth(1)
        ).to_have_accessible_name(
            f"Leave out: {short(first + 2 * WEEK)}, 9:00\u202f–\u202f10:00\u202fAM"
        )

        await ann.button("Edit: Weekly").click()
        await ann.page.get_by_label("Title").fill("Later")
        await ann.page.get_by_label("Begins at").fill(f"{first}T10:30")
        await ann.button("Save").click()
        await expect(ann.page.get_by_role("heading", name="Later")).to_be_visible()
        await expect(left_out).to_contain_text(f"{short(first + WEEK)}, 10:30")
        event = await calendar_file(ann)
        assert (event["SUMMARY"], event["DTSTART"].dt.hour) == ("Later", 10)

        await home(ann)
        await expect(card(ann, "Coming up").get_by_role("listitem").first).to_contain_text("10:30")
        await ann.button("Call off: Later").click()
        await confirm(ann, "Call off")
        await expect(card(ann, "Coming up")).to_contain_text("Nothing is planned")
        mine = card(ann, "Your meetings")
        await expect(mine.get_by_role("listitem")).to_contain_text("called off")
        await mine.get_by_role("button", name="Delete: Later").click()
        await confirm(ann, "Delete")
        await expect(mine).to_contain_text("No meetings yet")


async def test_the_calendar_is_walked_by_keyboard(browser: Browser, stack: RunningStack) -> None:
    first = tomorrow()
    async with person(browser, "Cal", stack.http, zone=ZONE) as cal:
        await cal.sign_up()
        await schedule(cal, "Daily", first, "Daily")
        await cal.page.get_by_role("navigation").get_by_role("button", name="Calendar").click()
        month = card(cal, "Month")
        if not await month.get_by_role("heading", name=f"{first:%B %Y}").is_visible():
            await month.get_by_role("button", name="Next month").click()
        day = month.get_by_role("button", name=f"{spelt(first)}: 1", exact=True)
        await day.click()
        await expect(card(cal, "Details").get_by_role("listitem")).to_contain_text("Daily")
        await cal.page.keyboard.press("ArrowLeft")
        await expect(card(cal, "Details")).to_contain_text("Nothing is on this day")
        today = month.get_by_role("button", name=spelt(first - timedelta(days=1)), exact=True)
        await expect(today).to_be_focused()
        for _ in range(5):
            await cal.page.keyboard.press("ArrowDown")
        reached = first + timedelta(days=34)
        there = month.get_by_role("button", name=f"{spelt(reached)}: 1", exact=True)
        await expect(there).to_be_focused()
        await expect(month.get_by_role("heading", name=f"{reached:%B %Y}")).to_be_visible()
        await month.get_by_role("button", name="Today").click()
        now = month.locator("[aria-current=date]")
        await expect(now).to_have_attribute("aria-pressed", "true")


async def test_two_who_edit_at_once_do_not_undo_each_others_work(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Eve", stack.http, zone=ZONE) as eve:
        await eve.sign_up()
        await schedule(eve, "Review", tomorrow())
        await eve.button("Edit: Review").click()
        other = Person(eve.name, await eve.page.context.new_page(), eve.address)
        await other.page.goto(eve.page.url)
        for who, minutes in ((other, "30"), (eve, "90")):
            await who.page.get_by_label("Minutes").fill(minutes)
            await who.button("Save").click()
            if who is other:
                await expect(who.button("Edit: Review")).to_be_visible()
        await expect(eve.page.get_by_role("alert")).to_contain_text(
            "Somebody else has just changed"
        )
        await expect(eve.page.get_by_label("Minutes")).to_have_value("30")


async def test_those_invited_are_listed_with_what_became_of_the_mail(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Ivy", stack.http, zone=ZONE) as ivy:
        await ivy.sign_up()
        await schedule(ivy, "Party", tomorrow())
        invited = card(ivy, "Invited")
        await expect(invited).to_contain_text("Nobody is invited by mail yet")
        addresses = invited.get_by_role("textbox", name="Invite")
        await addresses.fill("bob@example.org\nnobody")
        await invited.get_by_role("button", name="Invite").click()
        await expect(invited.get_by_role("alert")).to_contain_text("no e-mail addresses: nobody")
        await addresses.fill("bob@example.org\ncleo@example.org")
        await invited.get_by_role("button", name="Invite").click()
        await expect(invited.get_by_role("listitem")).to_have_count(2)
        await invited.get_by_role("button", name="Take back: bob@example.org").click()
        await confirm(ivy, "Take back")
        await expect(invited.get_by_role("listitem")).to_have_count(1)
        await expect(invited.get_by_role("listitem")).to_contain_text("cleo@example.org")


async def test_meetings_are_found_by_words_and_by_how_they_stand(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Sam", stack.http, zone=ZONE) as sam:
        await sam.sign_up()
        await schedule(sam, "Budget", tomorrow())
        await home(sam)
        await sam.start_meeting("Stand-up")
        await expect(sam.tile(sam)).to_be_visible()
        await sam.button("Leave").click()
        await sam.button("Home").click()
        mine = card(sam, "Your meetings")
        await expect(mine.get_by_role("listitem")).to_have_count(2)
        await mine.get_by_role("button", name="Live", exact=True).click()
        await expect(mine.get_by_role("listitem")).to_have_count(1)
        await expect(mine.get_by_role("listitem")).to_contain_text("Stand-up")
        await mine.get_by_role("searchbox").fill("budget")
        await sam.page.keyboard.press("Enter")
        await expect(mine).to_contain_text("No meeting is found")
        await mine.get_by_role("button", name="All", exact=True).click()
        await expect(mine.get_by_role("listitem")).to_have_count(1)
        await expect(mine.get_by_role("listitem")).to_contain_text("Budget")
        await mine.get_by_role("searchbox").fill("")
        await sam.page.keyboard.press("Enter")
        await mine.get_by_role("button", name="End: Stand-up").click()
        await confirm(sam, "End")
        await mine.get_by_role("button", name="Past", exact=True).click()
        await expect(mine.get_by_role("button", name="Transcript and summary")).to_have_count(1)


async def test_in_chinese_a_meeting_elsewhere_is_on_ones_own_clock_and_in_ones_feed(
    browser: Browser, stack: RunningStack
) -> None:
    first = tomorrow()
    async with person(browser, "Lin", stack.http, zone=ZONE) as lin:
        await lin.sign_up()
        await lin.button("中文").click()
        await lin.button("安排会议").click()
        await lin.page.get_by_label("主题").fill("周会")
        await lin.page.get_by_label("开始时间").fill(f"{first}T23:00")
        await choice(lin, "时区").select_option(ELSEWHERE)
        await choice(lin, "重复").select_option("每天")
        await choice(lin, "结束").select_option("若干次后")
        await lin.page.get_by_role("spinbutton", name="次数").fill("2")
        await expect(lin.page.get_by_role("status")).to_contain_text("每天，共 2 次")
        await lin.button("安排").click()
        begins = datetime.combine(first, datetime.min.time(), ZoneInfo(ELSEWHERE)).replace(hour=23)
        here = begins.astimezone(ZoneInfo(ZONE))
        await expect(card(lin, "时间")).to_contain_text(f"{here:%H:%M}")
        await expect(card(lin, "时间")).to_contain_text(f"{ELSEWHERE} 时间")
        await expect(card(lin, "接下来的场次").get_by_role("listitem")).to_have_count(2)

        await lin.page.get_by_role("navigation").get_by_role("button", name="日历").click()
        await expect(card(lin, "月份").get_by_role("row")).not_to_have_count(1)
        answers: list[str] = []
        for _ in range(2):
            await lin.button("生成地址").click()
            await confirm(lin, "生成地址")
            shown = card(lin, "在日历程序中").get_by_role("group")
            if answers:
                await expect(shown).not_to_have_text(answers[-1])
            answers.append(await shown.inner_text())
        gone, feed = [await lin.page.request.get(each) for each in answers]
        assert (gone.status, feed.status) == (404, 200)
        [event] = Calendar.from_ical(await feed.body()).walk("VEVENT")
        assert event["SUMMARY"] == "周会"
