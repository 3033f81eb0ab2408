"""The whole way: somebody speaks into a browser, and others read it, as far as everyone agrees."""

from __future__ import annotations

import re
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium
from tests.ai_stand import MODELS
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack, free_offset, stack_running
from tests.servers import open_folder

VOICE = Path(__file__).parent / "data" / "speech.wav"
PAUSE_SECONDS = 1
SAID = re.compile(r"young man", re.IGNORECASE)
"""The end of the sentence that Ann's microphone hears again and again."""
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def understanding() -> Iterator[RunningStack]:
    """A stack that recognises speech, with the models that tests keep; whose operator lets faces be read."""
    with pytest.MonkeyPatch.context() as patch, open_folder() as folder:
        patch.setenv("PARLEY_MODEL_TASKS", "voice-activity,speech")
        MODELS.mkdir(parents=True, exist_ok=True)
        (folder / "cache").mkdir()
        (folder / "cache" / "models").symlink_to(MODELS)
        (folder / "parley.toml").write_text("[ai]\nemotions = true\n")
        with stack_running(folder, free_offset()) as running:
            yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone hears a sentence again and again, with a pause between.

    Without the pause it would be one endless segment that says the same again and again: what a recogniser makes up.
    """
    with open_folder() as folder:
        spoken = folder / "voice.wav"
        with wave.open(str(VOICE)) as sentence, wave.open(str(spoken), "wb") as paused:
            paused.setparams(sentence.getparams())
            paused.writeframes(sentence.readframes(sentence.getnframes()))
            pause = PAUSE_SECONDS * sentence.getframerate() * sentence.getsampwidth()
            paused.writeframes(bytes(pause))
        async with chromium(ALLOW_DEVICES, voice=spoken) as running:
            yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    """Have Ann, who is heard, start a meeting, and Bob join it muted."""
    async with two_people(browser, stack.http) as (ann, bob):
        code = await ann.start_meeting("Understood")
        await bob.join_by_code(code)
        await bob.page.keyboard.press("m")
        await expect(ann.tile(bob).get_by_role("img", name="muted")).to_be_visible()
        yield ann, bob


def captions(one: Person) -> Locator:
    """Find the captions over the stage."""
    return one.page.locator(".captions")


def badge(one: Person, text: str) -> Locator:
    """Find what tells that something listens or looks."""
    return one.page.get_by_role("list", name="What listens and looks").get_by_text(text)


async def turn_captions_on(host: Person) -> None:
    """Turn captions on for everyone, by the button in the call."""
    await host.button("Captions").click()
    await host.button("Turn captions on for everyone").click()
    await expect(badge(host, "Captions are on")).to_be_visible()
    await host.page.keyboard.press("Escape")


async def set_in_settings(host: Person, *boxes: str) -> None:
    """Tick boxes of the meeting's settings, and save them."""
    await host.button("Settings").click()
    dialog = host.page.get_by_role("dialog", name="Settings")
    for box in boxes:
        await dialog.get_by_role("checkbox", name=re.compile(f"^{box}")).check()
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_text("Saved")).to_be_visible()


async def close_settings(one: Person) -> None:
    dialog = one.page.get_by_role("dialog", name="Settings")
    await dialog.get_by_role("button", name="Close").click()


async def test_what_somebody_says_is_read_by_the_others_until_they_decline(
    browser: Browser, understanding: RunningStack
) -> None:
    async with call(browser, understanding) as (ann, bob):
        await expect(badge(bob, "Captions are on")).to_have_count(0)
        await turn_captions_on(ann)
        await expect(badge(bob, "Captions are on")).to_be_visible()
        await expect(bob.page.get_by_text("Captions are on: what you say")).to_be_visible()
        await expect(captions(bob).filter(has_text=SAID)).to_contain_text("Ann")
        await ann.button("Don't caption me").click()
        await expect(badge(ann, "not you")).to_be_visible()
        await expect(captions(bob)).to_have_text("")


async def test_what_is_kept_is_what_those_said_who_agreed(
    browser: Browser, understanding: RunningStack
) -> None:
    async with call(browser, understanding) as (ann, bob):
        await set_in_settings(ann, "Captions", "Keep a transcript")
        await close_settings(ann)
        for each, answer in ((ann, "Yes, keep it"), (bob, "No")):
            await each.button("All right").click()
            question = each.page.get_by_role("dialog", name="Keep what you say in the transcript?")
            await question.get_by_role("button", name=answer).click()
        await expect(badge(bob, "not you")).to_be_visible()
        await bob.page.keyboard.press("t")
        panel = bob.page.get_by_role("log", name="Transcript")
        await expect(
            panel.get_by_text(SAID).nth(1)
        ).to_be_visible()  # one of them began after the yes
        await ann.button("End for all").click()
        await ann.page.get_by_role("dialog").get_by_role("button", name="End for all").click()
        await bob.button("Transcript and summary").click()
        kept = bob.page.get_by_role("region", name="Transcript")
        await expect(kept.get_by_text(SAID).first).to_be_visible()
        async with bob.page.expect_download() as download:
            await kept.get_by_role("button", name="Text").click()
        assert SAID.search((await (await download.value).path()).read_text())


async def test_faces_are_read_of_those_alone_who_say_yes(
    browser: Browser, understanding: RunningStack
) -> None:
    async with call(browser, understanding) as (ann, bob):
        await set_in_settings(ann, "Read emotions from faces")
        for each, answer in ((ann, "No"), (bob, "Yes, read my face")):
            question = each.page.get_by_role("dialog", name="May your face be read for emotions?")
            await question.get_by_role("button", name=answer, exact=True).click()
        await close_settings(ann)  # the question came before it
        await expect(bob.page.locator(".mood")).to_contain_text("Your face shows")
        await expect(ann.page.locator(".mood")).to_have_count(0)
        await expect(badge(ann, "not you")).to_be_visible()
