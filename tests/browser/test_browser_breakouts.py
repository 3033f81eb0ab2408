"""Breakout rooms in real browsers: people are moved there and back without leaving the page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from loadtest.browser import ALLOW_DEVICES, chromium
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium with fake devices."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


async def test_people_go_to_a_breakout_room_and_come_back(
    browser: Browser, stack: RunningStack
) -> None:
    async with two_people(browser, stack.http) as (ann, bob):
        code = await ann.start_meeting("Seminar")
        await bob.join_by_code(code)
        await expect(ann.tile(bob)).to_be_visible()
        address = bob.page.url
        await ann.page.keyboard.press("p")
        await ann.button("Breakout rooms").click()
        await ann.page.get_by_label("Number of rooms").fill("1")
        await ann.page.get_by_label("Room 1").fill("Tutors")
        await ann.page.get_by_label("Minutes until they close").fill("10")
        await ann.button("Open rooms").click()
        there = bob.page.locator("[data-breakout=Tutors]")
        await expect(there).to_contain_text("You are in the breakout room Tutors.")
        await expect(there.get_by_role("timer")).to_contain_text("They close in")
        await expect(ann.tile(bob)).to_have_count(0)
        assert bob.page.url == address
        assert await bob.button("Back to the main room").count() == 0
        await bob.page.reload()
        await bob.go_in()
        await expect(there).to_be_visible()
        panel = ann.page.get_by_role("region", name="Tutors")
        await expect(panel).to_contain_text("Bob")
        await panel.get_by_role("button", name="Go there").click()
        await expect(bob.tile(ann)).to_be_visible()
        await bob.receives_more()
        await ann.button("Back to the main room").click()
        await expect(bob.tile(ann)).to_have_count(0)
        await ann.button("Close rooms").click()
        await expect(there).to_have_count(0)
        await expect(ann.tile(bob)).to_be_visible()
        await ann.receives_more()
        await bob.receives_more()
