"""Noise is taken out of somebody's sound in their own browser, and speech is not, under the pages' own policy."""

from __future__ import annotations

import asyncio
import random
import wave
from pathlib import Path

import pytest
from playwright.async_api import expect

from loadtest.browser import ALLOW_DEVICES, PATIENCE_MS, Person, chromium
from tests.browser.two_people import two_people
from tests.running_stack import RunningStack

VOICE = Path(__file__).parent / "data" / "speech.wav"
RATE_HZ = 48_000
NOISE_RMS = 0.1
expect.set_options(timeout=30_000)

LOUDNESS = """async () => {
  for (const connection of window.connections.filter((each) => each.connectionState !== "closed"))
    for (const [, report] of await connection.getStats())
      if (report.type === "inbound-rtp" && report.kind === "audio")
        return [report.totalAudioEnergy, report.totalSamplesDuration];
  return [0, 0];
}"""
UNTIL_POWER = f"""async ([least, most]) => {{
  const read = {LOUDNESS};
  let [energy, duration] = await read();
  for (;;) {{
    await new Promise((resolve) => setTimeout(resolve, 100));
    const [energyNow, durationNow] = await read();
    if (durationNow < duration + 1) continue;
    const power = (energyNow - energy) / (durationNow - duration);
    if (least <= power && power <= most) return power;
    [energy, duration] = [energyNow, durationNow];
  }}
}}"""
"""Waits until a second of what is heard has a power (mean square, 1 is full scale) between two bounds."""


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of white noise."""
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    rng = random.Random(7)
    samples = (round(32767 * rng.gauss(0, NOISE_RMS)) for _ in range(10 * RATE_HZ))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
    return path


async def hears(listener: Person, least: float, most: float) -> None:
    """Wait until the listener hears a second of sound of such a power. Raises TimeoutError."""
    async with asyncio.timeout(2 * PATIENCE_MS / 1000):
        await listener.page.evaluate(UNTIL_POWER, [least, most])


async def suppress(one: Person) -> None:
    """Have noise taken out, in the settings of the call."""
    await one.button("Settings").click()
    box = one.page.get_by_role("checkbox", name="Suppress noise")
    await box.check()
    await expect(one.page.get_by_text("Fans, keyboards and the street")).to_be_visible()
    await one.page.get_by_role("dialog").get_by_role("button", name="Close").click()


async def test_noise_is_not_heard_any_more_and_the_choice_is_remembered(
    stack: RunningStack, noise: Path
) -> None:
    async with (
        chromium(ALLOW_DEVICES, voice=noise) as browser,
        two_people(browser, stack.http) as (ann, bob),
    ):
        code = await ann.start_meeting("Beside the road")
        await bob.join_by_code(code)
        await bob.page.keyboard.press("m")
        await expect(ann.tile(bob).get_by_role("img", name="muted")).to_be_visible()
        await suppress(ann)
        await hears(bob, 0, (NOISE_RMS / 10) ** 2)
        await ann.button("Leave").click()
        await ann.button("Join again").click()
        await expect(ann.page.get_by_role("checkbox", name="Suppress noise")).to_be_checked()


async def test_speech_is_heard_without_its_noise_and_who_is_muted_stays_muted(
    stack: RunningStack,
) -> None:
    async with (
        chromium(ALLOW_DEVICES, voice=VOICE) as browser,
        two_people(browser, stack.http) as (ann, bob),
    ):
        await bob.join_by_code(await ann.start_meeting("In the office"))
        await ann.page.keyboard.press("m")
        await expect(bob.tile(ann).get_by_role("img", name="muted")).to_be_visible()
        await suppress(ann)
        await expect(bob.tile(ann).get_by_role("img", name="muted")).to_be_visible()
        await ann.page.keyboard.press("m")
        await expect(bob.tile(ann).get_by_role("img", name="muted")).to_have_count(0)
        await hears(bob, 1e-4, 1)
