"""A meeting that is too large for one media worker, in real browsers: people at two workers are in one call all the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import TimeoutError as Waited

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person, picture_size
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack, free_offset, stack_running
from tests.servers import open_folder

VOICE = Path(__file__).parent / "data" / "speech.wav"
CONNECTED = """() => window.connections.filter((each) => each.connectionState === "connected").length === 2"""
TRY_MS = 10_000
TRIES = 8
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def small_workers() -> Iterator[RunningStack]:
    """A stack whose media workers take one person of a meeting each."""
    with pytest.MonkeyPatch.context() as environment, open_folder() as folder:
        environment.setenv("PARLEY_MAX_PEERS_PER_ROOM", "1")
        with stack_running(folder, free_offset()) as running:
            yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone hears somebody speak."""
    async with chromium(ALLOW_DEVICES, voice=VOICE) as running:
        yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    """Have Ann and Bob in one meeting, each at a worker of their own."""
    async with two_people(browser, stack.http) as (ann, bob):
        await bob.join_by_code(await ann.start_meeting("Too large for one"))
        await comes_through(bob)
        here, there = await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))
        assert len(here) == len(there) == 1
        assert here.isdisjoint(there), "they are at two workers"
        yield ann, bob


async def comes_through(one: Person) -> None:
    """Wait until somebody's media is there; they come again while the other worker is too hard pressed to take them."""
    for _ in range(TRIES):
        with contextlib.suppress(Waited):
            await one.page.wait_for_function(CONNECTED, timeout=TRY_MS)
            return
        await comes_again(one)
    raise AssertionError("Nobody takes them.")


async def comes_again(one: Person) -> None:
    await one.button("Leave").click()
    await one.button("Join again").click()
    await one.go_in()


async def sees_and_hears(one: Person, other: Person) -> set[int]:
    """Wait until `one` receives more pictures and sound of `other` than until now; returns from which UDP ports."""
    picture = one.tile(other).locator("video")
    await expect(picture).to_be_visible()
    received = await one.receives_more()
    assert await picture.evaluate("video => video.videoWidth") > 0
    return set(received.ports)


async def test_people_at_two_workers_are_in_one_call(
    browser: Browser, small_workers: RunningStack
) -> None:
    async with call(browser, small_workers) as (ann, bob):
        await expect(ann.page.get_by_role("listitem", name="Bob, speaking")).to_be_visible()
        await expect(bob.page.get_by_role("listitem", name="Ann, speaking")).to_be_visible()
        await bob.page.keyboard.press("m")
        await expect(ann.tile(bob).get_by_role("img", name="muted")).to_be_visible()
        await bob.page.keyboard.press("m")
        await sees_and_hears(ann, bob)
        await bob.page.keyboard.press("s")
        await expect(ann.screen(bob)).to_be_visible()
        width, _ = await picture_size(ann.screen(bob).locator("video").last)
        assert width > 320
        await bob.page.locator(".sharing").get_by_role("button", name="Stop sharing").click()
        await expect(ann.screen(bob)).to_have_count(0)
        await bob.button("Leave").click()
        await expect(ann.tile(bob)).to_have_count(0)
        await bob.button("Join again").click()
        await bob.go_in()
        await comes_through(bob)
        here, there = await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))
        assert here.isdisjoint(there)


async def test_who_comes_to_a_full_meeting_reads_so_and_gets_in_when_somebody_leaves(
    browser: Browser, small_workers: RunningStack
) -> None:
    async with (
        call(browser, small_workers) as (ann, bob),
        person(browser, "Cleo", small_workers.http) as cleo,
    ):
        await cleo.sign_up()
        await cleo.join_by_code(ann.page.url.rsplit("/", 1)[-1])
        await expect(cleo.page.locator(".banner")).to_contain_text("The meeting is full.")
        await bob.button("Leave").click()
        await expect(cleo.tile(bob)).to_have_count(0)
        await cleo.button("Try again").click()
        await comes_through(cleo)
        await asyncio.gather(sees_and_hears(ann, cleo), sees_and_hears(cleo, ann))
        await expect(cleo.page.locator(".banner")).not_to_contain_text("full")
