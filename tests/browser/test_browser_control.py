"""How a meeting is run, in real browsers: who is let in, muted, asked, given a role, and taken out."""

from __future__ import annotations

from collections.abc import AsyncIterator

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


def people(one: Person) -> Locator:
    """Find the list of people beside the stage."""
    return one.page.locator("aside.people")


def told(one: Person, text: str) -> Locator:
    """Find what somebody is told over the stage."""
    return one.page.locator(".notice", has_text=text)


async def have_newcomers_wait(host: Person) -> None:
    """Switch the lobby on."""
    await host.button("Settings").click()
    dialog = host.page.get_by_role("dialog", name="Settings")
    await dialog.get_by_label("Newcomers wait until a host lets them in").click()
    await expect(dialog.get_by_label("Newcomers wait until a host lets them in")).to_be_checked()
    await dialog.get_by_role("button", name="Close").click()


async def test_a_host_lets_in_mutes_asks_gives_a_role_and_takes_out(
    browser: Browser, stack: RunningStack
) -> None:
    async with (
        two_people(browser, stack.http) as (ann, bob),
        person(browser, "Cat", stack.http) as cat,
    ):
        await cat.sign_up()
        code = await ann.start_meeting("General assembly")
        await have_newcomers_wait(ann)

        await bob.join_by_code(code)
        await expect(
            bob.page.get_by_text("The host has been told that you are here.")
        ).to_be_visible()
        await told(ann, "Bob waits to be let in.").get_by_role("button", name="Admit").click()
        await expect(ann.tile(bob)).to_be_visible()
        await expect(bob.tile(ann)).to_be_visible()

        await cat.join_by_code(code)
        await told(ann, "Cat waits").get_by_role("button", name="Show who").click()
        await expect(told(bob, "Cat waits")).to_have_count(0)  # hosts alone are told
        await ann.button("Deny Cat").click()
        await expect(cat.page.get_by_role("heading", name="You were not let in.")).to_be_visible()
        await expect(people(ann).get_by_role("list", name="Waiting to be let in")).to_have_count(0)

        await ann.button("Manage Bob").click()
        manage = people(ann).get_by_role("group", name="Manage Bob")
        await manage.get_by_role("button", name="Mute").click()
        await expect(told(bob, "A host has muted you.")).to_be_visible()
        await expect(bob.button("Mute")).to_have_count(0)
        await manage.get_by_role("button", name="Ask to unmute").click()
        await (
            bob.page.get_by_role("dialog", name="Ann asks you to unmute.")
            .get_by_role("button", name="Unmute")
            .click()
        )
        await expect(bob.button("Mute")).to_be_visible()
        await expect(manage.get_by_role("button", name="Mute")).to_be_visible()

        await manage.get_by_label("speak").click()
        await expect(bob.button("A host does not let you speak")).to_be_disabled()
        await expect(told(bob, "Only a host can allow it again.")).to_be_visible()
        await expect(manage.get_by_label("speak")).not_to_be_checked()
        await manage.get_by_label("speak").click()
        await told(bob, "A host has muted you.").get_by_role("button", name="Unmute").click()
        await expect(manage.get_by_role("button", name="Mute")).to_be_visible()
        await manage.get_by_label("write").click()
        await bob.page.keyboard.press("w")
        await expect(
            bob.page.get_by_text("A host does not let you write in this chat.")
        ).to_be_visible()

        await bob.page.keyboard.press("p")
        await expect(people(bob).get_by_role("button", name="Mute all")).to_have_count(0)
        await manage.get_by_label("Role").select_option("co-host")
        await expect(people(ann).get_by_text("co-host", exact=False).first).to_be_visible()
        await people(bob).get_by_role("button", name="Lock the meeting").click()
        await expect(ann.page.get_by_text("locked: nobody new comes in")).to_be_visible()
        await expect(bob.button("Manage Ann")).to_have_count(0)  # who stands above
        await people(ann).get_by_role("button", name="Unlock the meeting").click()

        await manage.get_by_role("button", name="Remove for good").click()
        await ann.page.get_by_role("dialog").get_by_role("button", name="Remove for good").click()
        await expect(bob.page.get_by_text("You were removed from the meeting.")).to_be_visible()
        await expect(ann.tile(bob)).to_have_count(0)
        await bob.button("Join again").click()
        await bob.button("Join now").click()
        await expect(
            bob.page.get_by_text("You were taken out of this meeting for good.")
        ).to_be_visible()


async def test_who_joins_begins_muted_where_the_host_wants_it(
    browser: Browser, stack: RunningStack
) -> None:
    async with two_people(browser, stack.http) as (ann, bob):
        code = await ann.start_meeting("General assembly")
        await ann.button("Settings").click()
        dialog = ann.page.get_by_role("dialog", name="Settings")
        await dialog.get_by_label("Those who join begin muted").click()
        await expect(dialog.get_by_label("Those who join begin muted")).to_be_checked()
        await dialog.get_by_role("button", name="Close").click()

        await bob.join_by_code(code)
        notice = told(bob, "You begin muted in this meeting.")
        await expect(notice).to_be_visible()
        await expect(ann.tile(bob).get_by_label("muted")).to_be_visible()
        await expect(bob.tile(bob).get_by_label("muted")).to_be_visible()
        await expect(ann.button("Mute")).to_be_visible()
        await notice.get_by_role("button", name="Unmute").click()
        await expect(notice).to_have_count(0)
        await expect(ann.tile(bob).get_by_label("muted")).to_have_count(0)
        await expect(bob.button("Mute")).to_be_visible()


async def test_a_host_hands_over(browser: Browser, stack: RunningStack) -> None:
    async with two_people(browser, stack.http) as (ann, bob):
        await bob.join_by_code(await ann.start_meeting("Handover"))
        await expect(bob.button("End for all")).to_have_count(0)
        await ann.page.keyboard.press("p")
        await ann.button("Manage Bob").click()
        await people(ann).get_by_role("button", name="Make host").click()
        await ann.page.get_by_role("dialog").get_by_role("button", name="Make host").click()
        await bob.button("End for all").click()
        await expect(ann.button("End for all")).to_have_count(0)
        await bob.page.get_by_role("dialog").get_by_role("button", name="End for all").click()
        await expect(ann.page.get_by_text("The meeting was ended.")).to_be_visible()
