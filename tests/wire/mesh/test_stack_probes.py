"""The questions that `./parley doctor` asks, of a real port of the media service: what it finds, and what it says of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.media.port import Port
from stack import reach, stun
from stack.secrets import Secrets
from stack.state import ProcessStatus, StackStatus, State
from tests.servers import free_port

SECRET = "a secret for tests"


@asynccontextmanager
async def a_port(listen: str = "[::]:0", secret: str = SECRET) -> AsyncIterator[Port]:
    port = Port(listen, ("127.0.0.1", "::1"), probe_secret=secret)
    port.open()
    try:
        yield port
    finally:
        port.close()


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_port_that_is_reached_says_from_where(address: str, tcp: bool) -> None:
    async with a_port() as port:
        seen = await asyncio.to_thread(stun.check, address, port.number, SECRET, tcp=tcp)
        assert seen[0] == address


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("secret", [SECRET, ""])
async def test_who_does_not_know_the_secret_is_told_nothing(secret: str, tcp: bool) -> None:
    async with a_port(secret=secret) as port:
        with pytest.raises(stun.NotReached):
            await asyncio.to_thread(stun.check, "::1", port.number, "another", tcp=tcp)


async def test_a_port_that_nobody_has_is_called_so() -> None:
    with pytest.raises(stun.NotReached, match="nobody listens there"):
        await asyncio.to_thread(stun.check, "127.0.0.1", free_port(), SECRET, tcp=True)


def found(folder: Path, port: int, *advertise: str) -> dict[str, bool]:
    """Have the doctor look at a stack of one worker, whose HTTPS port nobody has."""
    state = State(folder)
    processes = (
        ProcessStatus("media-0", "ready", 1, 0, {"udp": port}),
        ProcessStatus("nginx", "ready", 1, 0, {"https": free_port()}),
    )
    status = StackStatus(1, "ready", "", processes, "127.0.0.1", advertise)
    return {text: well for well, text in reach.findings(state, status)}


async def test_the_doctor_tells_each_way_that_works_from_each_that_does_not(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    secret = Secrets(State(tmp_path).secrets).password("probe")
    async with a_port("127.0.0.1:0", secret) as port:
        lines = await asyncio.to_thread(found, tmp_path, port.number, "127.0.0.1", "::1", "::2")
    place = f"media-0 over UDP at 127.0.0.1:{port.number}"
    assert lines[f"{place} is reached"]
    assert lines[f"{place.replace('UDP', 'TCP')} is reached"]
    bad = "\n".join(text for text, well in lines.items() if not well)
    assert f"media-0 over TCP at [::1]:{port.number} is not reached: nobody listens there." in bad
    assert (
        f"::2 is no address of this machine: whatever has it (a router, the cloud's NAT) must pass TCP port {port.number}"
        in bad
    )
    assert "HTTPS at 127.0.0.1:" in bad
    assert any(well and "no TURN relay is set" in text for text, well in lines.items())


async def test_a_relay_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    port = free_port()
    (tmp_path / "parley.toml").write_text(
        f'[turn]\nurls = ["turn:127.0.0.1:{port}?transport=tcp"]\nsecret = "north"\n'
    )
    lines = await asyncio.to_thread(found, tmp_path, port, "::1")
    named = f"the relay turn:127.0.0.1:{port} over TCP does not serve: nobody listens there."
    assert [well for text, well in lines.items() if text.startswith(named)] == [False]
