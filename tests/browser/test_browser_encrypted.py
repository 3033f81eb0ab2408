"""Calls that are encrypted end to end, in real browsers, and what a server and strangers get of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
import av
import grpc
import pytest
from cryptography.exceptions import InvalidTag
from playwright.async_api import Browser, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from tests.callers import Caller
from tests.e2ee import clear_bytes, opened
from tests.rtc import on_loopback
from tests.running_stack import RunningStack

VOICE = Path(__file__).parent / "data" / "speech.wav"
OTHER_KEY = "A" * 22
PATIENCE_SECONDS = 60.0
UNREADABLE = "Can't be decrypted"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone hears somebody speak."""
    async with chromium(ALLOW_DEVICES, voice=VOICE) as running:
        yield running


@asynccontextmanager
async def people(browser: Browser, stack: RunningStack, *names: str) -> AsyncIterator[list[Person]]:
    async with AsyncExitStack() as seats:
        seated = [
            await seats.enter_async_context(person(browser, name, stack.http)) for name in names
        ]
        for each in seated:
            await each.sign_up()
        yield seated


async def start_encrypted(host: Person) -> tuple[str, str]:
    """Start an encrypted meeting; returns its code and the key of its link."""
    await host.page.get_by_label("Encrypt end to end").check()
    code, _, key = (await host.start_meeting("Secret plans")).partition("#key=")
    return code, key


async def sees_and_hears(one: Person, other: Person) -> None:
    picture = one.tile(other).locator("video")
    await expect(picture).to_be_visible()
    await one.receives_more()
    assert await picture.evaluate("video => video.videoWidth") > 0


async def test_those_with_the_link_see_and_hear_each_other_and_a_wrong_key_shows_nothing(
    browser: Browser, stack: RunningStack
) -> None:
    async with people(browser, stack, "Ann", "Bob", "Mei") as (ann, bob, mei):
        code, key = await start_encrypted(ann)
        await bob.join_by_code(f"{stack.http}/m/{code}#key={key}")
        await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))
        await expect(bob.page.get_by_text("Encrypted end to end")).to_be_visible()
        await expect(ann.page.get_by_role("listitem", name="Bob, speaking")).to_be_visible()
        await mei.page.get_by_label("Code or link").fill(f"{code}#key={OTHER_KEY}")
        await mei.page.get_by_label("Code or link").press("Enter")
        await mei.go_in()
        for one, other in ((mei, ann), (mei, bob), (ann, mei)):
            await expect(one.tile(other).get_by_text(UNREADABLE)).to_be_visible()
            await expect(one.tile(other).locator("video")).to_have_count(0)
        assert (await mei.received()).frames == 0
        await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))


async def test_mute_the_camera_and_a_lost_media_worker_change_nothing(
    browser: Browser, stack: RunningStack
) -> None:
    async with people(browser, stack, "Ann", "Bob") as (ann, bob):
        code, key = await start_encrypted(ann)
        await bob.join_by_code(f"{code}#key={key}")
        await sees_and_hears(ann, bob)
        await bob.button("Turn camera off").click()
        await expect(ann.tile(bob).locator("video")).to_have_count(0)
        await bob.button("Turn camera on").click()
        await sees_and_hears(ann, bob)
        port = next(iter((await ann.received()).ports))
        worker = stack.worker_at(port)
        stack.wait_until_back(worker, stack.kill(worker))
        await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))
        await expect(ann.page.get_by_text(UNREADABLE)).to_have_count(0)


async def test_the_whole_link_is_asked_for_and_a_link_of_another_kind_is_not_entered(
    browser: Browser, stack: RunningStack
) -> None:
    async with people(browser, stack, "Ann", "Bob") as (ann, bob):
        code, key = await start_encrypted(ann)
        await bob.page.goto(f"{stack.http}/m/{code}")
        await expect(bob.page.get_by_text("open the whole link")).to_be_visible()
        await expect(bob.button("Join now")).to_have_count(0)
        await bob.page.get_by_label("The whole link").fill(f"{stack.http}/m/{code}")
        await bob.button("Open").click()
        await expect(bob.page.get_by_text("This link has no key.")).to_be_visible()
        await bob.page.get_by_label("The whole link").fill(f"{stack.http}/m/{code}#key={key}")
        await bob.button("Open").click()
        await bob.go_in()
        await sees_and_hears(bob, ann)
        await ann.button("Leave").click()
        await ann.button("Home").click()
        open_code = await ann.start_meeting("For everybody")
        await ann.button("Leave").click()
        await ann.button("Home").click()
        await ann.page.goto(f"{stack.http}/m/{open_code}#key={key}")
        await expect(ann.page.get_by_text("the server says that it isn't one")).to_be_visible()
        await expect(ann.button("Join now")).to_have_count(0)


class Wire:
    """Takes what aiortc's receivers have put together of packets, in the place of their decoders."""

    def __init__(self) -> None:
        self.frames: dict[str, list[bytes]] = {"audio": [], "video": []}

    def decoder(self, codec: Any) -> Wire.Collector:
        return Wire.Collector(self.frames["audio" if "opus" in codec.mimeType else "video"])

    class Collector:
        def __init__(self, frames: list[bytes]) -> None:
            self._frames = frames

        def decode(self, frame: Any) -> list[Any]:
            self._frames.append(bytes(frame.data))
            return []

    async def until(self, kind: str, count: int) -> list[bytes]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.frames[kind]) < count:  # noqa: ASYNC110  # a list that another thread fills
                await asyncio.sleep(0.05)
        return self.frames[kind]


async def test_what_the_server_forwards_opens_by_the_links_key_alone(
    browser: Browser, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire()
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "get_decoder", wire.decoder)
    async with (
        people(browser, stack, "Ann") as (ann,),
        grpc.aio.insecure_channel(stack.grpc_target) as channel,
    ):
        code, key = await start_encrypted(ann)
        program = Caller(channel)
        try:
            with on_loopback():
                await program.sign_up()
                await program.join(f"meetings/{code}")
                heard = await wire.until("audio", 50)
                seen = await wire.until("video", 20)
            await expect(ann.page.get_by_text(UNREADABLE)).to_be_visible()  # the program's own
            sender = await ann.page.get_by_role("listitem", name="Ann").get_attribute(
                "data-participant"
            )
        finally:
            await program.close()
    assert sender is not None
    for source, frames in (("microphone", heard), ("camera", seen)):
        for frame in frames:
            plain = opened(key, sender, source, frame)
            clear = clear_bytes(source, frame)
            assert frame[:clear] == plain[:clear]
            assert plain[clear : clear + 8] not in frame or len(plain) < clear + 8
            with pytest.raises(InvalidTag):
                opened(OTHER_KEY, sender, source, frame)
        counters = [int.from_bytes(frame[-13:-9], "big") for frame in frames]
        assert len(set(counters)) == len(frames)
    decoder = av.CodecContext.create("vp8", "r")
    keyframe = next(frame for frame in seen if not frame[0] & 1)
    picture = decoder.decode(av.Packet(opened(key, sender, "camera", keyframe)))[0]
    assert picture.width > 0
