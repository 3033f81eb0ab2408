"""People whose networks let little through hold a call all the same, in real browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser

from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from tests.reachable_stack import Reachable
from tests.relay import coturn

NO_UDP = r"""
const take = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (description) {
  const sdp = description.sdp.replace(/^a=candidate:\S+ \d+ udp .*\r\n/gm, "");
  return take.call(this, { type: description.type, sdp });
};
"""
NO_IPV4 = NO_UDP.replace(r"\d+ udp .*", r"\d+ \w+ \d+ [0-9.]+ .*")
RELAY_ALONE = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(settings) { super({ ...settings, iceTransportPolicy: "relay" }); }
};
"""
PATHS = """async () => {
  const paths = [];
  for (const connection of window.connections.filter((each) => each.connectionState === "connected")) {
    const stats = await connection.getStats();
    for (const [, transport] of stats) if (transport.type === "transport") {
      const pair = stats.get(transport.selectedCandidatePairId);
      const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
      paths.push([local.candidateType, local.protocol, remote.address]);
    }
  }
  return paths;
}"""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone beeps."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


async def call(browser: Browser, at: Reachable, network: str, seats: AsyncExitStack) -> Person:
    """Have Ann, on an open network, and Bob, on one that is as `network` has it, see and hear each other; returns Bob."""
    ann = await seats.enter_async_context(person(browser, "Ann", at.stack.http))
    bob = await seats.enter_async_context(person(browser, "Bob", at.stack.http))
    await bob.page.add_init_script(network)
    await ann.sign_up()
    await bob.sign_up()
    await bob.join_by_code(await ann.start_meeting("From afar"))
    await asyncio.gather(ann.receives_more(), bob.receives_more())
    return bob


async def paths(of: Person) -> list[tuple[str, str, str]]:
    """Read over which pairs somebody's media goes: the local candidate's type and protocol, and the worker's address."""
    return [tuple(path) for path in await of.page.evaluate(PATHS)]


async def test_who_has_no_udp_holds_the_call_over_tcp(
    browser: Browser, reachable: Reachable
) -> None:
    async with AsyncExitStack() as seats:
        bob = await call(browser, reachable, NO_UDP, seats)
        assert {protocol for _, protocol, _ in await paths(bob)} == {"tcp"}


async def test_who_has_ipv6_alone_holds_the_call_over_it(
    browser: Browser, reachable: Reachable
) -> None:
    async with AsyncExitStack() as seats:
        bob = await call(browser, reachable, NO_IPV4, seats)
        assert {address for _, _, address in await paths(bob)} == {"::1"}


if coturn() is not None:  # else its credentials are tested in tests/system/test_relay.py

    async def test_who_reaches_nothing_but_the_relay_holds_the_call_through_it(
        browser: Browser, reachable: Reachable
    ) -> None:
        async with AsyncExitStack() as seats:
            bob = await call(browser, reachable, RELAY_ALONE, seats)
            assert {kind for kind, _, _ in await paths(bob)} == {"relay"}
