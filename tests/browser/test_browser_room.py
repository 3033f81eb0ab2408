"""What people do beside talking, in real browsers: they write to each other, raise hands, react, and answer polls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Locator, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium with a camera and a microphone."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    """Have Ann start a meeting and Bob join it; each sees the other."""
    async with two_people(browser, stack.http) as (ann, bob):
        await bob.join_by_code(await ann.start_meeting("Retrospective"))
        await expect(ann.tile(bob)).to_be_visible()
        yield ann, bob


def panel(one: Person, name: str) -> Locator:
    """Find what is open beside the stage."""
    return one.page.get_by_role("complementary", name=name)


def message(one: Person, text: str) -> Locator:
    """Find a message by what it says."""
    return panel(one, "Chat").locator(".message", has_text=text)


async def write(one: Person, text: str) -> None:
    """Write a message, as people do, and see it sent."""
    box = panel(one, "Chat").get_by_label("Message", exact=True)
    await box.fill(text)
    await box.press("Enter")
    await expect(box).to_have_value("")


async def do(one: Person, what: str, text: str) -> None:
    """Press a button of a message."""
    await message(one, text).get_by_role("button", name=what, exact=True).click()


async def test_people_write_to_all_and_to_one_and_change_what_they_wrote(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await ann.page.keyboard.press("w")
        await expect(panel(ann, "Chat").get_by_label("Message", exact=True)).to_have_value("")
        await expect(
            panel(ann, "Chat").get_by_text("Nothing has been written yet.")
        ).to_be_visible()
        await write(ann, "The agenda: https://example.org/agenda.")
        await bob.button("Chat, 1 unread").click()
        link = message(bob, "The agenda").get_by_role("link")
        await expect(link).to_have_attribute("href", "https://example.org/agenda")
        await expect(link).to_have_attribute("rel", re.compile("noopener"))
        await expect(bob.button("Chat")).to_be_visible()

        await do(bob, "Reply", "The agenda")
        await write(bob, "Thank you")
        await expect(message(ann, "Thank you").locator("blockquote")).to_contain_text(
            "Ann: The agenda"
        )
        await expect(message(ann, "Thank you").get_by_role("button", name="Edit")).to_have_count(0)

        await do(bob, "Edit", "Thank you")
        await write(bob, "Many thanks")
        await expect(message(ann, "Many thanks")).to_contain_text("(edited)")
        await expect(message(ann, "Thank you")).to_have_count(0)

        recipients = panel(bob, "Chat").get_by_role("combobox")
        await recipients.select_option("Ann")
        await write(bob, "Between us")
        await expect(message(ann, "Between us")).to_contain_text("privately to you")
        await do(bob, "Edit", "Many thanks")
        await panel(bob, "Chat").get_by_label("Message", exact=True).press("Escape")
        await expect(recipients.locator("option:checked")).to_have_text("Ann")

        await ann.button("Settings").click()
        dialog = ann.page.get_by_role("dialog", name="Settings")
        await dialog.get_by_label("Who may write in the chat").select_option("Hosts")
        await expect(
            panel(bob, "Chat").get_by_text("Only hosts write in this chat.")
        ).to_be_visible()
        await expect(panel(bob, "Chat").get_by_label("Message", exact=True)).to_have_count(0)
        await dialog.get_by_role("button", name="Close").click()

        await do(ann, "Delete", "Many thanks")
        await ann.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(message(bob, "This message was deleted.")).to_have_count(1)
        await expect(message(bob, "Many thanks")).to_have_count(0)


async def test_panels_are_opened_and_closed_by_keys(browser: Browser, stack: RunningStack) -> None:
    async with call(browser, stack) as (ann, _):
        keys = ann.page.keyboard
        await ann.button("Chat").focus()
        await keys.press("Enter")
        box = panel(ann, "Chat").get_by_label("Message", exact=True)
        await write(ann, "Hello")
        await keys.press("Shift+Tab")  # to whom
        await keys.press("Shift+Tab")
        await expect(message(ann, "Hello").get_by_role("button", name="Delete")).to_be_focused()
        await keys.press("Shift+Tab")
        await keys.press("Enter")  # edit
        await expect(box).to_have_value("Hello")
        await keys.press("Escape")
        await expect(box).to_have_value("")
        await box.press("Escape")
        await expect(panel(ann, "Chat")).to_have_count(0)
        await expect(ann.button("Chat")).to_be_focused()

        await keys.press("p")
        await keys.press("e")
        await expect(ann.page.get_by_role("textbox", name="Shared notes")).to_be_focused()
        await keys.press("Escape")
        await expect(panel(ann, "Shared notes")).to_have_count(0)
        await expect(panel(ann, "2 in the meeting")).to_be_visible()
        await keys.press("r")
        await keys.press("Escape")
        await expect(ann.page.get_by_role("group", name="React")).to_have_count(0)
        await expect(panel(ann, "2 in the meeting")).to_be_visible()
        await ann.page.set_viewport_size({"width": 390, "height": 844})
        await keys.press("q")
        await expect(panel(ann, "Polls")).to_be_visible()
        await expect(panel(ann, "2 in the meeting")).to_have_count(0)


async def test_a_private_message_is_seen_by_its_two_alone(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob), person(browser, "Cat", stack.http) as cat:
        await cat.sign_up()
        await cat.join_by_code(ann.page.url.rsplit("/", 1)[-1])
        for each in (ann, bob, cat):
            await each.page.keyboard.press("w")
        recipients = panel(bob, "Chat").get_by_role("combobox")
        await expect(recipients.get_by_role("option")).to_have_text(["Everyone", "Ann", "Cat"])
        await recipients.select_option("Ann")
        await write(bob, "Ann alone")
        await expect(message(ann, "Ann alone")).to_be_visible()
        await recipients.select_option("Everyone")
        await write(bob, "For all")
        await expect(message(cat, "For all")).to_be_visible()
        await expect(message(cat, "Ann alone")).to_have_count(0)


async def test_a_hand_is_raised_and_lowered_by_the_host_and_reactions_are_seen(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await bob.page.keyboard.press("h")
        await expect(ann.tile(bob).get_by_role("img", name="hand raised, number 1")).to_be_visible()
        await expect(bob.button("Lower hand")).to_have_attribute("aria-pressed", "true")
        await ann.page.keyboard.press("p")
        await expect(ann.page.get_by_role("list", name="Raised hands")).to_contain_text("Bob")
        await ann.button("Lower the hand of Bob").click()
        await expect(bob.button("Raise hand")).to_be_visible()
        await expect(ann.page.get_by_role("list", name="Raised hands")).to_have_count(0)
        await bob.page.keyboard.press("p")
        await ann.page.keyboard.press("h")
        await expect(bob.page.get_by_role("list", name="Raised hands")).to_contain_text("Ann")
        await expect(bob.button("Lower the hand of Ann")).to_have_count(0)

        await bob.page.keyboard.press("r")
        await bob.button("🎉").click()
        await expect(ann.page.locator(".floating")).to_contain_text("Bob")


async def test_a_poll_is_asked_answered_and_closed(browser: Browser, stack: RunningStack) -> None:
    async with call(browser, stack) as (ann, bob):
        await ann.page.keyboard.press("q")
        await ann.button("Ask something").click()
        form = panel(ann, "Polls").locator("form")
        await form.get_by_label("Question").fill("Tea or coffee?")
        await form.get_by_label("Answer 1").fill("Tea")
        await form.get_by_label("Answer 2").fill("Coffee")
        await form.get_by_role("button", name="Ask everyone").click()

        await expect(bob.button("Polls, 1 to answer")).to_be_visible()
        await bob.page.locator(".notice").get_by_role("button", name="Answer").click()
        poll = bob.page.get_by_role("region", name="Tea or coffee?")
        await expect(poll.get_by_role("button", name="Close the poll")).to_have_count(0)
        await poll.get_by_role("radio", name="Coffee").check()
        await poll.get_by_role("button", name="Answer", exact=True).click()
        await expect(poll.get_by_text("You have answered.")).to_be_visible()
        await expect(poll.get_by_role("list", name="Result")).to_have_count(0)

        asked = ann.page.get_by_role("region", name="Tea or coffee?")
        await expect(asked).to_contain_text("1 answered")
        await asked.get_by_role("button", name="Close the poll").click()
        result = asked.get_by_role("list", name="Result").get_by_role("listitem")
        await expect(result.filter(has_text="Coffee")).to_contain_text("1 · 100 %")
        await expect(result.filter(has_text="Coffee")).to_contain_text("Bob")  # hosts see who
        told = poll.get_by_role("list", name="Result").get_by_role("listitem")
        await expect(told.filter(has_text="Coffee")).to_contain_text("your answer")
        await expect(told.filter(has_text="Coffee").locator("small")).to_have_count(0)
        await expect(poll.get_by_role("radio")).to_have_count(0)


async def test_notes_are_written_together_and_the_host_learns_who_attended(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        papers = []
        for each in (ann, bob):
            await each.page.keyboard.press("e")
            papers.append(each.page.get_by_role("textbox", name="Shared notes"))
        hers, his = papers
        await hers.press_sequentially("Decided: ")
        await expect(his).to_have_value("Decided: ")
        await his.press("End")
        await his.press_sequentially("tea")
        await expect(hers).to_have_value("Decided: tea")
        await hers.press("Home")
        await hers.press_sequentially("1. ")
        await his.press_sequentially(".")  # the caret has moved with what was written before it
        for paper in papers:
            await expect(paper).to_have_value("1. Decided: tea.")
        await expect(panel(ann, "Shared notes").get_by_text("Saved")).to_be_visible()
        await panel(bob, "Shared notes").get_by_role("button", name="Close").click()
        await bob.page.keyboard.press("e")
        await expect(his).to_have_value("1. Decided: tea.")

        await bob.button("2 in the meeting").click()  # keys are text in the notes
        await expect(bob.button("Download attendance (CSV)")).to_have_count(0)
        await ann.button("2 in the meeting").click()
        async with ann.page.expect_download() as download:
            await ann.button("Download attendance (CSV)").click()
        table = (await (await download.value).path()).read_text()
        assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["Ann", "Bob"]
