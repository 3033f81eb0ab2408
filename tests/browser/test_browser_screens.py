"""What people see of each other's screens and cameras: what is shown, how large, and what is then sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium, picture_size
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium that shows its own tab when asked for a screen."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    """Have Ann start a meeting and Bob join it by its code, and wait until she sees him."""
    async with two_people(browser, stack.http) as (ann, bob):
        await bob.join_by_code(await ann.start_meeting("Screens"))
        await picture_size(ann.tile(bob).locator("video"))
        yield ann, bob


async def test_a_screen_is_large_for_the_others_until_its_owner_stops(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await bob.page.keyboard.press("s")
        await expect(bob.page.get_by_text("Everyone sees your screen.")).to_be_visible()
        await expect(ann.screen(bob)).to_be_visible()
        width, _ = await picture_size(ann.screen(bob).locator("video").last)
        assert width > 320
        screen = await ann.screen(bob).bounding_box()
        camera = await ann.tile(bob).bounding_box()
        assert screen is not None
        assert camera is not None
        assert screen["width"] > 2 * camera["width"]
        await expect(bob.page.locator(".stage li")).to_have_count(2)
        await bob.page.locator(".sharing").get_by_role("button", name="Stop sharing").click()
        await expect(ann.screen(bob)).to_have_count(0)
        await bob.page.keyboard.press("s")
        await picture_size(ann.screen(bob).locator("video").last)


async def test_what_nobody_looks_at_large_is_not_sent_large(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await ann.page.get_by_role("button", name="Make large: Ann").focus()
        await ann.page.keyboard.press("Enter")
        await bob.sends_layers("q")
        await ann.page.get_by_role("button", name="Make small: Ann").click()
        await ann.page.get_by_role("button", name="Make large: Bob").click()
        await bob.sends_layers(
            "q,h,f", "q,h"
        )  # a worker that is hard pressed asks for no more than that


async def test_who_wants_to_know_sees_what_the_connection_carries(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, _):
        await ann.page.keyboard.press("n")
        panel = ann.page.get_by_role("complementary", name="Connection statistics")
        await expect(panel.get_by_role("row").filter(has_text="Bob · camera")).to_contain_text(
            "VP8"
        )
        await expect(panel.get_by_role("row").filter(has_text="you · microphone")).to_be_visible()
        await ann.page.keyboard.press("n")
        await expect(panel).to_have_count(0)
