"""A call goes on while the way of its media changes: another worker, another network."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from loadtest.impaired import browser_at
from tests.browser.conftest import Place
from tests.running_stack import RunningStack, parley

PATIENCE_SECONDS = 60.0
NOTED = """
window.overlaps = 0;
const Collected = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Collected {
  constructor(...settings) {
    if (window.connections.some((each) => each.connectionState === "connected")) window.overlaps++;
    super(...settings);
  }
};
"""
"""Counts the connections that are made while another one carries."""
STATES = "() => window.connections.map(({ connectionState }) => connectionState)"
ONE_WAY = f"() => ({STATES})().filter((each) => each !== 'closed').join() === 'connected,connected'"
"""A publisher and a subscriber, and nothing else."""
UFRAGS = """() => window.connections
  .filter(({ connectionState }) => connectionState !== "closed")
  .map(({ localDescription }) => /a=ice-ufrag:(.*)/.exec(localDescription?.sdp ?? "")?.[1].trim() ?? "")"""
ALL_OTHER = f"(before) => ({UFRAGS})().every((each) => !before.includes(each))"


async def sees_and_hears(one: Person, other: Person) -> None:
    """Wait until `one` receives more pictures and sound of `other` than until now."""
    await expect(one.tile(other).locator("video")).to_be_visible()
    await one.receives_more()


async def see_and_hear_each_other(ann: Person, bob: Person) -> None:
    await asyncio.gather(sees_and_hears(ann, bob), sees_and_hears(bob, ann))


async def meet(ann: Person, bob: Person) -> None:
    for each in (ann, bob):
        await each.page.context.add_init_script(NOTED)
        await each.sign_up()
    await bob.join_by_code(await ann.start_meeting("Moving"))
    await see_and_hear_each_other(ann, bob)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium(ALLOW_DEVICES) as running:
        yield running


@asynccontextmanager
async def call(browser: Browser, stack: RunningStack) -> AsyncIterator[tuple[Person, Person]]:
    async with AsyncExitStack() as seats:
        ann = await seats.enter_async_context(person(browser, "Ann", stack.http))
        bob = await seats.enter_async_context(person(browser, "Bob", stack.http))
        await meet(ann, bob)
        yield ann, bob


async def test_a_call_moves_to_another_worker(browser: Browser, stack: RunningStack) -> None:
    async with call(browser, stack) as (ann, bob):
        before = {one.name: len(await one.page.evaluate(STATES)) for one in (ann, bob)}
        command = ("restart", "media", "--state", str(stack.state))
        done = await asyncio.to_thread(parley, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        await see_and_hear_each_other(ann, bob)
        for one in (ann, bob):
            await one.page.wait_for_function(ONE_WAY)
            states = await one.page.evaluate(STATES)
            assert len(states) >= before[one.name] + 2
            assert set(states[:-2]) == {"closed"}, "the old path is closed"
            overlaps = await one.page.evaluate("() => window.overlaps")
            assert overlaps >= 2, "the new path was built while the old one carried"
        await see_and_hear_each_other(ann, bob)


async def test_after_being_offline_a_browser_looks_for_its_way_anew(
    browser: Browser, stack: RunningStack
) -> None:
    async with call(browser, stack) as (ann, bob):
        before = await bob.page.evaluate(UFRAGS)
        states = await bob.page.evaluate(STATES)
        await bob.page.context.set_offline(True)
        await bob.page.context.set_offline(False)
        await bob.page.wait_for_function(ALL_OTHER, arg=before)
        await see_and_hear_each_other(ann, bob)
        await bob.page.wait_for_function(ONE_WAY)
        assert len(await bob.page.evaluate(STATES)) == len(states), "by the same connections"


def hand_over(place: Place) -> None:
    """Give Bob another network, and take his away: another device, another address. No browser is told that it is offline."""
    bob, wifi = place.net.sites["bob"], place.net.sites["wifi"]

    def ip(namespace: str, *words: str) -> None:
        subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True)

    ip(wifi.namespace, "link", "set", wifi.device, "netns", bob.namespace)
    ip(bob.namespace, "addr", "add", f"{wifi.address}/24", "dev", wifi.device)
    ip(bob.namespace, "link", "set", wifi.device, "up")
    ip(bob.namespace, "link", "set", bob.device, "down")
    ip(bob.namespace, "route", "add", "default", "dev", wifi.device)


LOCAL_ADDRESSES = """async () => {
  const found = new Set();
  for (const connection of window.connections.filter((each) => each.connectionState !== "closed")) {
    const stats = await connection.getStats();
    for (const [, report] of stats)
      if (report.type === "transport") {
        const pair = stats.get(report.selectedCandidatePairId);
        found.add(stats.get(pair?.localCandidateId)?.address);
      }
  }
  return [...found].join();
}"""
"""Where all connections are, by their own side."""


def program(place: Place, site: str) -> Path:
    return browser_at(place.net.sites[site], place.folder)


async def test_a_call_comes_back_when_its_network_is_another_one(place: Place) -> None:
    trusted = f"--unsafely-treat-insecure-origin-as-secure={place.remote}"
    async with (
        chromium(ALLOW_DEVICES, executable=program(place, "server")) as here,
        chromium(ALLOW_DEVICES, trusted, executable=program(place, "bob")) as there,
        person(here, "Ann", place.local) as ann,
        person(there, "Bob", place.remote) as bob,
    ):
        await meet(ann, bob)
        assert await bob.page.evaluate(LOCAL_ADDRESSES) == place.net.sites["bob"].address
        hand_over(place)
        async with asyncio.timeout(PATIENCE_SECONDS):
            wifi = place.net.sites["wifi"].address
            while await bob.page.evaluate(LOCAL_ADDRESSES) != wifi:  # noqa: ASYNC110  # it tells of no change
                await asyncio.sleep(0.2)
        await see_and_hear_each_other(ann, bob)
