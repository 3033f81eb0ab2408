"""Firefox and Chromium in one call. Firefox pairs no loopback address, so all of it is in a network namespace that has another."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.async_api import expect

from loadtest.browser import ALLOW_DEVICES, COLLECT, PASSWORD, RECEIVED, Person, chromium, person
from loadtest.firefox import Firefox, executable, firefox
from loadtest.impaired import browser_at
from tests.browser.conftest import Place
from tests.running_stack import parley

# Skipped: no package of Python or npm has a Firefox, and `./parley test` asks for no apt. All else is shown in Chromium.
pytestmark = pytest.mark.skipif(
    executable() is None, reason="there is no Firefox: apt install firefox-esr"
)
SUBMIT = "() => { document.querySelector('form button').click(); return true; }"
SHOWS = "(text) => document.body.innerText.includes(text)"
SEES = """(name) => [...document.querySelectorAll(".stage li[data-source=camera]")]
  .some((tile) => tile.textContent.includes(name) && (tile.querySelector("video")?.videoWidth ?? 0) > 0)"""


@dataclass(frozen=True, slots=True)
class FoxPerson:
    """Somebody at a Firefox, used as people use it."""

    name: str
    page: Firefox
    address: str

    async def sign_up(self) -> None:
        await self.page.add_init_script(COLLECT)
        await self.page.goto(self.address)
        await self.page.click("Create account")
        await self.page.fill("Username", f"{self.name}{secrets.token_hex(4)}")
        await self.page.fill("E-mail", f"{secrets.token_hex(6)}@example.org")
        await self.page.fill("Your name", self.name)
        await self.page.fill("Password", PASSWORD)
        await self.page.evaluate(SUBMIT)
        await self.page.wait_for(SHOWS, f"Hello, {self.name}")

    async def join(self, code: str) -> None:
        await self.page.goto(f"{self.address}/m/{code}")
        await self.page.wait_for("() => document.querySelector('video.mirrored') !== null")
        await self.page.click("Join now")

    async def sees_and_hears(self, name: str) -> None:
        """Wait until more pictures and sound of somebody come than until now. Raises TimeoutError."""
        await self.page.wait_for(SEES, name)
        before = await self.page.evaluate(RECEIVED)
        more = f"""async (frames, energy) => {{
          const now = await ({RECEIVED})();
          return now.frames > frames && now.energy > energy;
        }}"""
        await self.page.wait_for(more, before["frames"] + 10, before["energy"])


@asynccontextmanager
async def call(place: Place) -> AsyncIterator[tuple[Person, FoxPerson]]:
    """Have Ann, at Chromium, start a meeting, and Fay, at Firefox, join it."""
    program = executable()
    assert program is not None
    chrome = browser_at(place.server, place.folder)
    async with (
        chromium(ALLOW_DEVICES, executable=chrome) as browser,
        person(browser, "Ann", place.local) as ann,
        firefox(program, place.server) as fox,
    ):
        fay = FoxPerson("Fay", fox, place.local)
        await ann.sign_up()
        await fay.sign_up()
        await fay.join(await ann.start_meeting("Two browsers"))
        yield ann, fay


async def see_and_hear_each_other(ann: Person, fay: FoxPerson) -> None:
    """Wait until each has a picture of the other, and more of it and of the sound comes than until now."""
    await ann.page.wait_for_function(SEES, arg=fay.name)
    await asyncio.gather(ann.receives_more(), fay.sees_and_hears(ann.name))


async def test_firefox_and_chromium_hold_a_call(place: Place) -> None:
    async with call(place) as (ann, fay):
        await see_and_hear_each_other(ann, fay)
        tile = ann.page.locator(".stage li[data-source=camera]", has_text=fay.name)
        await fay.page.click("Turn camera off")
        await expect(tile.locator("video")).to_have_count(0)
        await fay.page.click("Mute")
        await expect(tile.get_by_role("img", name="muted")).to_be_visible()
        await fay.page.click("Turn camera on")
        await fay.page.click("Unmute")
        await see_and_hear_each_other(ann, fay)
        # a rolling restart moves the call from worker to worker
        done = await asyncio.to_thread(parley, "restart", "media", "--state", str(place.state))
        assert done.returncode == 0, done.stdout + done.stderr
        await see_and_hear_each_other(ann, fay)
