"""Captions, the transcript and what tells of them, in real browsers; what machines would say is said in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Locator, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium
from tests.browser.room_voice import RoomVoice, room_voice
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium with fake devices."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


@asynccontextmanager
async def call(
    browser: Browser, stack: RunningStack
) -> AsyncIterator[tuple[Person, Person, RoomVoice]]:
    """Have Ann start a meeting and Bob join it."""
    async with two_people(browser, stack.http) as (ann, bob):
        code = await ann.start_meeting("Captioned")
        await bob.join_by_code(code)
        await expect(ann.tile(bob)).to_be_visible()
        async with room_voice(stack, code) as voice:
            yield ann, bob, voice


async def participant(one: Person) -> str:
    """Read the name of somebody's participant off their own tile."""
    name = await one.tile(one).get_attribute("data-participant")
    assert name is not None
    return name


def overlay(one: Person) -> Locator:
    """Find the captions over the stage."""
    return one.page.locator(".captions")


async def test_what_is_said_is_read_by_everyone_as_far_as_it_stands(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob, voice):
        await voice.settings(captions=True)
        speaker = await participant(ann)
        await voice.caption(speaker, 1, "He was not an ill dispose", stable=10)
        for each in (ann, bob):
            await expect(overlay(each)).to_have_text("Ann He was not an ill dispose")
            await expect(overlay(each).locator(".guess")).to_have_text(" an ill dispose")
        await voice.caption(speaker, 1, "He was not an ill-disposed young man.")
        await expect(overlay(bob)).to_have_text("Ann He was not an ill-disposed young man.")
        await expect(overlay(bob).locator(".guess")).to_have_count(0)


async def test_each_viewer_reads_captions_as_they_like_and_finds_that_again(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob, voice):
        await voice.settings(captions=True, translation_language_codes=["fr"])
        await bob.button("Captions").click()
        await bob.button("Large").click()
        await bob.page.get_by_role("combobox", name="Language").select_option(label="French")
        speaker = await participant(ann)
        await voice.caption(speaker, 1, "Good morning.", translations={"fr": "Bonjour."})
        await expect(bob.page.locator(".captions.large")).to_have_text("Ann Bonjour.")
        await expect(overlay(ann)).to_have_text("Ann Good morning.")
        await ann.page.keyboard.press("c")
        await expect(overlay(ann)).to_have_count(0)
        await ann.button("Leave").click()
        await ann.button("Join again").click()
        await ann.go_in()
        await expect(ann.tile(bob)).to_be_visible()
        await voice.settings(captions=True)
        await ann.button("Captions").click()
        await expect(ann.page.get_by_role("checkbox", name="Show captions")).not_to_be_checked()


async def test_whatever_listens_is_told_to_everyone_with_what_it_does(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob, voice):
        await voice.settings(captions=True, transcript=True, summary=True, emotions=True)
        for each in (ann, bob):
            listening = each.page.get_by_role("list", name="What listens and looks")
            for badge in ("Captions are on", "Transcript is kept", "Summary will be made"):
                await expect(listening.get_by_text(badge)).to_be_visible()
            await expect(each.page.get_by_text("Captions are on: what you say")).to_be_visible()
        await bob.page.get_by_text("Captions are on", exact=True).click()
        await expect(bob.page.get_by_text("Sound is never stored.")).to_be_visible()
        await voice.settings()
        await expect(bob.page.get_by_text("Captions are on", exact=True)).to_have_count(0)
        await expect(bob.page.get_by_text("Captions are on: what you say")).to_have_count(0)


async def test_the_transcript_follows_until_one_reads_back_and_finds_words(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob, voice):
        await voice.settings(captions=True)
        await bob.page.keyboard.press("t")
        panel = bob.page.get_by_role("complementary", name="Transcript")
        await expect(panel.get_by_text("Nothing has been said yet.")).to_be_visible()
        speaker = await participant(ann)
        for segment in range(1, 31):
            await voice.caption(speaker, segment, f"Sentence number {segment}.")
        await expect(panel.get_by_text("Sentence number 30.")).to_be_in_viewport()
        await panel.get_by_role("log").evaluate("list => list.scrollTo({ top: 0 })")
        await expect(panel.get_by_role("button", name="Jump to latest")).to_be_visible()
        await voice.caption(speaker, 31, "The last sentence.")
        await expect(panel.get_by_text("The last sentence.")).to_be_attached()
        await expect(panel.get_by_text("The last sentence.")).not_to_be_in_viewport()
        await panel.get_by_role("button", name="Jump to latest").click()
        await expect(panel.get_by_text("The last sentence.")).to_be_in_viewport()
        await panel.get_by_role("searchbox").fill("NUMBER 7")
        await expect(panel.locator("mark")).to_have_text(["number 7"])
        await expect(panel.get_by_text("1 found")).to_be_visible()


async def test_who_is_asked_for_their_face_begins_at_no(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (_, bob, voice):
        await voice.settings(emotions=True)
        question = bob.page.get_by_role("dialog", name="May your face be read for emotions?")
        await expect(question.get_by_text("Nothing is stored.")).to_be_visible()
        await expect(question.get_by_role("button", name="No", exact=True)).to_be_focused()
