"""Firefox at a call: driven by WebDriver BiDi (W3C), which the stock browser speaks itself; Playwright can't drive it.

As much of a page as calls need, under the names that Playwright has: go somewhere, fill in, click, evaluate. Elements
are found by what people see, labels and button texts.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from loadtest.network import Site

EXECUTABLES = ("firefox-esr", "firefox")
LISTENING = b"WebDriver BiDi listening on "
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
MAX_MESSAGE = 16 * 1024 * 1024
PREFERENCES: Mapping[str, object] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "intl.accept_languages": "en-GB",
}
"""Fake devices without asking, ICE on loopback, and no calls home."""


class FirefoxError(Exception):
    """Firefox refused a command, or a script in its page threw; the text says why."""


class Firefox:
    """A tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._context = ""
        self._number = 0

    async def begin(self) -> None:
        """Begin a session, and find the tab that there is."""
        await self._ask("session.new", capabilities={})
        tree = await self._ask("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def add_init_script(self, script: str) -> None:
        """Have a script run in every page before its own."""
        await self._ask("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    async def goto(self, address: str) -> None:
        """Open a page, and wait until it has loaded."""
        await self._ask(
            "browsingContext.navigate", context=self._context, url=address, wait="complete"
        )

    async def evaluate(self, function: str, *arguments: object) -> Any:
        """Call a function in the page, and wait for what it promises; values go as JSON. Raises FirefoxError."""
        given = ", ".join(json.dumps(argument) for argument in arguments)
        called = await self._ask(
            "script.callFunction",
            functionDeclaration=f"async () => JSON.stringify(await ({function})({given}) ?? null)",
            awaitPromise=True,
            target={"context": self._context},
            userActivation=True,
        )
        if called["type"] == "exception":
            raise FirefoxError(called["exceptionDetails"]["text"])
        return json.loads(called["result"]["value"])

    async def wait_for(self, function: str, *arguments: object) -> Any:
        """Call a function in the page until it returns something true. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not (value := await self.evaluate(function, *arguments)):  # noqa: ASYNC110 - a page has no event
                await asyncio.sleep(0.1)
        return value

    async def fill(self, label: str, text: str) -> None:
        """Fill in the field that a label is for."""
        await self.wait_for(FILL, label, text)

    async def click(self, name: str) -> None:
        """Click the button whose whole label is `name`."""
        await self.wait_for(CLICK, name)

    async def _ask(self, method: str, **parameters: object) -> Any:
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        await self._connection.send(json.dumps(command))
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := json.loads(await self._connection.recv())).get("id") != self._number:
                continue
        if answer["type"] == "error":
            raise FirefoxError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]


FILL = """(label, text) => {
  const labelled = [...document.querySelectorAll("label")].find((each) => each.textContent.trim().startsWith(label));
  const field = labelled?.control ?? document.querySelector(`[aria-label="${label}"]`);
  if (!field) return false;
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  set.call(field, text);
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}"""
CLICK = """(name) => {
  const named = (each) => (each.getAttribute("aria-label") ?? each.textContent).trim() === name;
  const button = [...document.querySelectorAll("button")].find((each) => named(each) && !each.disabled);
  button?.click();
  return button !== undefined;
}"""


def executable() -> str | None:
    """Find a Firefox."""
    return next(filter(None, map(shutil.which, EXECUTABLES)), None)


@asynccontextmanager
async def firefox(program: str, at: Site | None = None) -> AsyncIterator[Firefox]:
    """Run a headless Firefox with a new profile, where `at` says. Raises FirefoxError, TimeoutError."""
    profile = Path(tempfile.mkdtemp(prefix="parley-firefox-"))
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--profile", str(profile)]
    command += ["--remote-debugging-port", "0"]
    process = await asyncio.create_subprocess_exec(
        *(command if at is None else at.inside(*command)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        start_new_session=True,
    )
    draining: asyncio.Task[None] | None = None
    try:
        assert process.stderr is not None
        async with asyncio.timeout(START_SECONDS):
            address = await _address(process.stderr)
        draining = asyncio.create_task(_drain(process.stderr))
        with nullcontext() if at is None else at.entered():
            way = socket.create_connection(_host_and_port(address))
        async with connect(f"{address}/session", sock=way, max_size=MAX_MESSAGE) as connection:
            tab = Firefox(connection)
            await tab.begin()
            yield tab
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if draining is not None:
            await draining
        shutil.rmtree(profile, ignore_errors=True)


async def _address(output: asyncio.StreamReader) -> str:
    while line := await output.readline():
        if LISTENING in line:
            return line.partition(LISTENING)[2].decode().strip()
    raise FirefoxError("Firefox ended before it listened.")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ws://").partition(":")
    return host, int(port)


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(4096):
        pass


__all__ = ["Firefox", "FirefoxError", "executable", "firefox"]
