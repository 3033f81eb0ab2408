"""Many connections that are kept open and do nothing: what they cost the gateway, and whether they still work.

`python -m loadtest.idle_connections` reads an Idle as JSON and writes an Outcome: each connection makes a request when
it is opened, so that it is one that is kept, then nothing for a while, then another.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psutil
import uvloop

from loadtest.http_load import is_whole
from stack.errors import StackError

BATCH = 250
"""How many connect, or ask, at once."""
ANSWER_SECONDS = 10.0
SPARE_FILES = 200
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Idle:
    """What to do, and whose memory to read meanwhile: ids of processes by name, each with its children."""

    port: int
    connections: int
    seconds: float
    families: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many connections failed, and the megabytes (PSS) of each family while all were idle."""

    failures: int
    megabytes: dict[str, float]


def run(idle: Idle) -> Outcome:
    """Hold connections open, in a process of its own. Raises StackError when this machine does not allow so many."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.idle_connections"],
        input=json.dumps(asdict(idle)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"The idle connections have failed: {done.stderr.strip()[-400:]}")
    return Outcome(**json.loads(done.stdout))


class _Kept(asyncio.Protocol):
    """A connection that is asked now and then."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._data = b""
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's

    def data_received(self, data: bytes) -> None:
        self._data += data
        if is_whole(self._data):
            self._settle(self._data.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._is_lost = True
        self._settle(False)

    async def ask(self) -> bool:
        """Make a request; tells whether it was answered well."""
        if self._transport is None or self._is_lost:
            return False
        self._data = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(REQUEST)
        try:
            return await asyncio.wait_for(self._answer, ANSWER_SECONDS)
        except TimeoutError:
            return False

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, well: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(well)


async def hold(idle: Idle) -> Outcome:
    """Open the connections, hold them, and ask each again."""
    connections: list[_Kept] = []
    try:
        for _ in range(0, idle.connections, BATCH):
            wanted = min(BATCH, idle.connections - len(connections))
            connections += await asyncio.gather(*(_open(idle.port) for _ in range(wanted)))
        opened = await _asked(connections)
        await asyncio.sleep(idle.seconds)
        megabytes = {name: _megabytes(pids) for name, pids in idle.families.items()}
        later = await _asked(connections)
    finally:
        for connection in connections:
            connection.close()
    failures = sum(not (a and b) for a, b in zip(opened, later, strict=True))
    return Outcome(failures, megabytes)


async def _open(port: int) -> _Kept:
    """Connect; what can't be connected fails when it is asked."""
    loop = asyncio.get_running_loop()
    try:
        return (await loop.create_connection(_Kept, "127.0.0.1", port))[1]
    except OSError:
        return _Kept()


async def _asked(connections: Sequence[_Kept]) -> list[bool]:
    """Ask each, some at a time."""
    answers: list[bool] = []
    for start in range(0, len(connections), BATCH):
        batch = connections[start : start + BATCH]
        answers += await asyncio.gather(*(each.ask() for each in batch))
    return answers


def _megabytes(pids: Sequence[int]) -> float:
    parents = [psutil.Process(pid) for pid in pids]
    family = [each for parent in parents for each in (parent, *parent.children(recursive=True))]
    return float(sum(process.memory_full_info().pss for process in family)) / 1e6


def _allow_files(count: int) -> None:
    """Raise how many files this process may have open. Raises ValueError when the machine does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise ValueError(f"{count} files are needed; this machine allows {hard} (ulimit -Hn).")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def main() -> None:
    """Read an Idle, do it, write the Outcome."""
    idle = Idle(**json.load(sys.stdin))
    try:
        _allow_files(idle.connections + SPARE_FILES)
    except ValueError as error:
        sys.exit(str(error))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(hold(idle))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()


__all__ = ["Idle", "Outcome", "hold", "run"]
