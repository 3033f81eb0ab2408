"""The SDK's examples as integrators run them: programs of their own, on the wheel alone, against a whole stack."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.browser.room_voice import room_voice
from tests.rest import Person, until
from tests.running_stack import RunningStack
from tests.sdk_wheel import EXAMPLES, laid_open

PATIENCE_SECONDS = 60.0
SCOPES = ["API_KEY_SCOPE_MEETINGS_READ", "API_KEY_SCOPE_MEETINGS_WRITE"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content."""
    return laid_open(tmp_path_factory.mktemp("sdk"))


def environment(installed: Path, **more: str) -> Mapping[str, str]:
    """What the examples run in: nothing of this repository is on their path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}
    return {**kept, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", **more}


def api_key(person: Person) -> str:
    fields = {"api_key": {"display_name": "bot", "scopes": SCOPES}}
    answer = person.call("POST", "/api/v1/users/me/apiKeys", json=fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["secret"])


def chat(person: Person, meeting: str) -> list[tuple[str, str]]:
    """Read who wrote what, the oldest first."""
    answer = person.call("GET", f"/api/v1/{meeting}/chatMessages")
    assert answer.status_code == 200, answer.text
    found = answer.json().get("chat_messages", [])
    return [(each["sender_display_name"], each["text"]) for each in reversed(found)]


@asynccontextmanager
async def running(
    script: str, *arguments: str, env: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd="/", stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process, wanted: str) -> None:
    """Wait for a line that begins so."""
    assert process.stdout is not None
    heard = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (line := await process.stdout.readline()).startswith(wanted.encode()):
            heard += line
            assert line, heard.decode()


@pytest.mark.parametrize("as_guest", [True, False])
async def test_a_bot_hears_captions_and_answers_in_the_chat(
    stack: RunningStack, installed: Path, ann: Person, as_guest: bool
) -> None:
    meeting = ann.create_meeting()
    settings = {"guests_allowed": True}
    answer = ann.call("PATCH", f"/api/v1/{meeting}/settings", json=settings)
    assert answer.status_code == 200, answer.text
    me = ann.call("POST", f"/api/v1/{meeting}:join", json={}).json()["participant"]["name"]
    code = meeting.removeprefix("meetings/")
    env = environment(installed, **({} if as_guest else {"PARLEY_API_KEY": api_key(ann)}))
    async with (
        running("captions_bot.py", stack.http, code, "--name", "Robin", env=env) as bot,
        room_voice(stack, code) as voice,
    ):
        await says(bot, "joined 'Daily' as Robin")
        await voice.caption(me, 1, "Nobody is meant.")
        await voice.caption(me, 2, "Robin, are you", stable=5)
        await voice.caption(me, 2, "Robin, are you there?")
        await voice.caption(me, 2, "Robin, are you there?", translations={"de": "Bist du da?"})
        await asyncio.to_thread(until, lambda: bool(chat(ann, meeting)), "it answers")
        ended = await asyncio.to_thread(ann.call, "POST", f"/api/v1/{meeting}:end", json={})
        assert ended.status_code == 200, ended.text
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await bot.wait() == 0
        ((who, text),) = chat(ann, meeting)
        assert who == "Robin"
        assert "are you there?" in text


def test_a_service_makes_meetings(stack: RunningStack, installed: Path, ann: Person) -> None:
    env = environment(installed, PARLEY_API_KEY=api_key(ann))
    command = [
        sys.executable,
        str(EXAMPLES / "make_meetings.py"),
        stack.http,
        "One",
        "Two",
        "Three",
    ]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    made = {tuple(rest) for what, *rest in lines if what == "made"}
    assert {title for _, title in made} == {"One", "Two", "Three"}
    assert {tuple(rest) for what, *rest in lines if what == "have"} == made


def test_a_key_that_is_none_is_said_to_be_none(stack: RunningStack, installed: Path) -> None:
    env = environment(installed, PARLEY_API_KEY="pk_made-up")
    command = [sys.executable, str(EXAMPLES / "make_meetings.py"), stack.http, "One"]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "API_KEY_INVALID" in done.stderr
