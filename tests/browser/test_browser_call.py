"""Two people in real browsers hold a call through the app's own pages, and what they see when things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from loadtest.browser import ALLOW_DEVICES, Person, Received, chromium, person
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

VOICE = Path(__file__).parent / "data" / "speech.wav"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone hears somebody speak."""
    async with chromium(ALLOW_DEVICES, voice=VOICE) as running:
        yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    """Have Ann start a meeting and Bob join it by its code."""
    async with two_people(browser, stack.http) as (ann, bob):
        await bob.join_by_code(await ann.start_meeting("Daily stand-up"))
        yield ann, bob


async def sees_and_hears(one: Person, other: Person) -> Received:
    """Wait until `one` receives more pictures and sound of `other` than until now."""
    picture = one.tile(other).locator("video")
    await expect(picture).to_be_visible()
    received = await one.receives_more()
    assert await picture.evaluate("video => video.videoWidth") > 0
    return received


async def test_two_people_see_and_hear_each_other_and_whoever_speaks_lights_up(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        received = await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))
        assert {port for each in received for port in each.ports} <= set(stack.udp_ports)
        await expect(ann.page.get_by_role("listitem", name="Bob, speaking")).to_be_visible()
        await expect(bob.page.get_by_role("listitem", name="Ann, speaking")).to_be_visible()


async def test_who_is_muted_is_silent_and_shown_as_muted(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await sees_and_hears(ann, bob)
        await bob.page.keyboard.press("m")
        await expect(ann.tile(bob).get_by_role("img", name="muted")).to_be_visible()
        await expect(ann.page.get_by_role("listitem", name="Bob, speaking")).to_have_count(0)
        await bob.button("Turn camera off").click()
        await expect(ann.tile(bob).locator("video")).to_have_count(0)
        await expect(bob.mirror()).to_have_count(0)
        await bob.button("Unmute").click()
        await bob.button("Turn camera on").click()
        await sees_and_hears(ann, bob)


async def test_who_leaves_is_gone_and_the_host_can_end_the_meeting_for_all(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await expect(ann.tile(bob)).to_be_visible()
        await bob.button("Leave").click()
        await expect(bob.page.get_by_role("heading", name="You have left")).to_be_visible()
        await expect(ann.tile(bob)).to_have_count(0)
        await bob.button("Join again").click()
        await bob.go_in()
        await sees_and_hears(ann, bob)
        await ann.button("End for all").click()
        await ann.page.get_by_role("dialog").get_by_role("button", name="End for all").click()
        for each in (ann, bob):
            await expect(
                each.page.get_by_role("heading", name="The meeting was ended")
            ).to_be_visible()


async def test_the_call_goes_on_when_signaling_is_killed(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        await sees_and_hears(ann, bob)
        stack.wait_until_back("signaling", stack.kill("signaling"))
        await bob.page.keyboard.press("m")
        await expect(ann.tile(bob).get_by_role("img", name="muted")).to_be_visible()
        for each in (ann, bob):
            await expect(each.page.get_by_text("Trying to get back")).to_have_count(0)
        await bob.page.keyboard.press("m")
        await sees_and_hears(ann, bob)


async def test_the_call_comes_back_when_its_media_worker_is_killed(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        received = await sees_and_hears(ann, bob)
        port = next(iter(received.ports))
        worker = stack.worker_at(port)
        stack.wait_until_back(worker, stack.kill(worker))
        await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))


async def test_refused_devices_are_explained_and_one_can_join_without_them(
    stack: RunningStack,
) -> None:
    async with chromium() as strict, person(strict, "Cleo", stack.http) as cleo:
        await cleo.sign_up()
        await cleo.button("Start").click()
        await expect(cleo.page.get_by_text("The camera was refused.")).to_be_visible()
        await expect(cleo.page.get_by_text("The microphone was refused.")).to_be_visible()
        await cleo.button("Join now").click()
        await expect(cleo.tile(cleo)).to_be_visible()


async def test_the_app_speaks_chinese_to_a_chinese_browser_and_remembers_a_choice(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Mei", stack.http, locale="zh-CN") as mei:
        await mei.page.goto(stack.http)
        await expect(mei.page.get_by_role("heading", name="登录")).to_be_visible()
        await mei.button("English").click()
        await mei.page.reload()
        await expect(mei.page.get_by_role("heading", name="Sign in")).to_be_visible()
        await mei.button("中文").click()
        await mei.page.get_by_label("用户名或邮箱").fill("nobody")
        await mei.page.get_by_label("密码").fill("wrong password")
        await mei.page.locator("form button").click()
        await expect(
            mei.page.get_by_role("alert").filter(has_text="用户名或密码错误")
        ).to_be_visible()


async def test_a_reload_stays_signed_in_and_a_wrong_code_is_explained(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Dan", stack.http) as dan:
        await dan.sign_up()
        await dan.page.reload()
        await expect(dan.page.get_by_role("heading", name="Hello, Dan")).to_be_visible()
        code = dan.page.get_by_label("Code or link")
        await code.fill("nonsense")
        await code.press("Enter")
        await expect(dan.page.get_by_text("A code looks like abc-defg-hij.")).to_be_visible()
        await code.fill("abc-defg-hij")
        await code.press("Enter")
        await expect(dan.page.get_by_text("There is no meeting with this code.")).to_be_visible()


async def test_the_pages_keep_to_the_content_security_policy(
    browser: Browser, stack: RunningStack
) -> None:
    complaints: list[str] = []
    async with person(browser, "Eve", stack.http) as eve:
        eve.page.on(
            "console", lambda said: complaints.append(said.text) if said.type == "error" else None
        )
        eve.page.on("pageerror", lambda error: complaints.append(str(error)))
        await eve.sign_up()
        await eve.start_meeting("Alone")
        await expect(eve.page.get_by_text("You are the only one here.")).to_be_visible()
        await eve.button("Leave").click()
    assert complaints == []
