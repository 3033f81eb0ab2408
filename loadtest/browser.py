"""People at browsers: Chromium with a fake camera and microphone, used as people use it, through the app's own pages.

Each person has a browser context of their own. The pages' RTCPeerConnections are collected by an init script, so that
what they receive can be read from their statistics (W3C webrtc-stats).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Locator, Page, async_playwright

EXECUTABLE = os.environ.get("PARLEY_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)
ALLOW_DEVICES = "--use-fake-ui-for-media-stream"
"""Camera and microphone are given without a question, and so is a screen."""
PATIENCE_MS = 30_000
PASSWORD = "correct horse battery"

COLLECT = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...settings) { super(...settings); window.connections.push(this); }
};
"""
RECEIVED = """async () => {
  const sum = { frames: 0, energy: 0, packets: 0, ports: [] };
  for (const connection of window.connections.filter((each) => each.connectionState !== "closed"))
    for (const [, report] of await connection.getStats()) {
      if (report.type === "inbound-rtp") {
        sum.frames += report.framesDecoded ?? 0;
        sum.energy += report.totalAudioEnergy ?? 0;
        sum.packets += report.packetsReceived ?? 0;
      }
      if (report.type === "remote-candidate") sum.ports.push(report.port);
    }
  return sum;
}"""
PICTURE_SIZE = """(video) => new Promise((resolve) => {
  video.requestVideoFrameCallback(() => resolve([video.videoWidth, video.videoHeight]));
  setTimeout(() => resolve(null), 1000);
})"""
UNTIL_LAYERS = """async (wanted) => {
  const sent = () => window.connections
    .filter((each) => each.connectionState !== "closed")
    .flatMap((each) => each.getTransceivers())
    .filter(({ direction, sender }) => direction === "sendonly" && sender.getParameters().encodings.length === 3)
    .flatMap(({ sender }) => sender.getParameters().encodings)
    .filter(({ active }) => active)
    .map(({ rid }) => rid);
  while (!wanted.includes(sent().join())) await new Promise((resolve) => setTimeout(resolve, 100));
}"""
UNTIL_MORE = f"""async ([frames, energy]) => {{
  const received = {RECEIVED};
  for (;;) {{
    const now = await received();
    if (now.frames > frames && now.energy > energy) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }}
}}"""


@dataclass(frozen=True, slots=True)
class Received:
    """What a page has received: decoded video frames, audio energy, RTP packets, and from which UDP ports."""

    frames: int
    energy: float
    packets: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a browser, and the name that others see."""

    name: str
    page: Page
    address: str

    async def sign_up(self) -> None:
        """Make an account, from the first page on, and come to the home page."""
        await self.page.goto(self.address)
        await self.button("Create account").first.click()
        await self.page.get_by_label("Username").fill(f"{self.name}{secrets.token_hex(4)}")
        await self.page.get_by_label("E-mail").fill(f"{secrets.token_hex(6)}@example.org")
        await self.page.get_by_label("Your name").fill(self.name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.locator("form button").click()
        await self.page.get_by_role("heading", name=f"Hello, {self.name}").wait_for()

    async def start_meeting(self, title: str) -> str:
        """Start a meeting and go in; returns its code."""
        await self.page.get_by_label("What is it about?").fill(title)
        await self.button("Start").click()
        await self.go_in()
        return self.page.url.rsplit("/", 1)[-1]

    async def join_by_code(self, code: str) -> None:
        """Join a meeting from the home page."""
        await self.page.get_by_label("Code or link").fill(code)
        await (
            self.page.locator("form", has=self.page.get_by_label("Code or link"))
            .get_by_role("button")
            .click()
        )
        await self.go_in()

    async def go_in(self) -> None:
        """Go in from the page before the call, once the mirror shows something."""
        await self.mirror().wait_for()
        await self.button("Join now").click()
        await self.button("Leave").wait_for()

    def button(self, name: str) -> Locator:
        """Find a button by its whole label."""
        return self.page.get_by_role("button", name=name, exact=True)

    def mirror(self) -> Locator:
        """Find one's own picture."""
        return self.page.locator("video.mirrored")

    def tile(self, other: Person) -> Locator:
        """Find somebody's tile."""
        return self.page.locator(".stage li[data-source=camera]", has_text=other.name)

    def screen(self, other: Person) -> Locator:
        """Find the tile with somebody's screen."""
        return self.page.get_by_role("listitem", name=f"{other.name} is presenting")

    async def sends_layers(self, *wanted: str) -> None:
        """Wait until the page sends just these layers of its camera, or those: `q,h`. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await self.page.evaluate(UNTIL_LAYERS, list(wanted))

    async def received(self) -> Received:
        """Read what the page has received until now, over its open connections."""
        read: dict[str, Any] = await self.page.evaluate(RECEIVED)
        return Received(read["frames"], read["energy"], read["packets"], tuple(read["ports"]))

    async def receives_more(self, frames: int = 10) -> Received:
        """Wait until more sound and more than `frames` pictures have come than until now. Raises TimeoutError."""
        before = await self.received()
        async with asyncio.timeout(2 * PATIENCE_MS / 1000):
            await self.page.evaluate(UNTIL_MORE, [before.frames + frames, before.energy])
        return await self.received()


async def picture_size(video: Locator) -> tuple[int, int]:
    """Wait until a video shows another picture; returns its width and height in pixels. Raises TimeoutError.

    The page may put another element in its place meanwhile, so it is looked up anew every second.
    """
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while (size := await video.evaluate(PICTURE_SIZE)) is None:
            pass
    width, height = size
    return width, height


@asynccontextmanager
async def chromium(
    *flags: str, voice: Path | None = None, executable: str | Path = EXECUTABLE
) -> AsyncIterator[Browser]:
    """Run a Chromium. `voice` is a WAV file that its microphone hears, again and again; default: beeps."""
    heard = () if voice is None else (f"--use-file-for-fake-audio-capture={voice}",)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=[*FLAGS, *flags, *heard],
            ignore_default_args=["--headless", "--mute-audio"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def person(
    browser: Browser, name: str, address: str, *, locale: str = "en-GB", zone: str | None = None
) -> AsyncIterator[Person]:
    """Sit somebody down at a page of their own, signed out. `zone` is where their clock is; default: this machine's."""
    context = await browser.new_context(
        locale=locale, timezone_id=zone, viewport={"width": 1100, "height": 700}
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(COLLECT)
    try:
        yield Person(name, await context.new_page(), address)
    finally:
        await context.close()


__all__ = [
    "ALLOW_DEVICES",
    "COLLECT",
    "PASSWORD",
    "PATIENCE_MS",
    "RECEIVED",
    "Person",
    "Received",
    "chromium",
    "person",
    "picture_size",
]
