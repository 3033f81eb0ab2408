"""A cheap load generator for HTTP/1.1: one request, made again and again on connections that are kept.

`python -m loadtest.http_load` reads a Load as JSON and writes a Result. It is a process of its own, on uvloop, whose
request is built once and whose answers are read no further than needed: the status, the length, and whether the body
has the text that it must have. One that is wrong ends the run.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import uvloop

from loadtest import cpu
from stack.errors import StackError

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
ANSWER_SECONDS = 30.0
"""How long all connections may go without an answer."""
MOST_BUSY = 0.9
"""Of its core; a generator that is busier measures itself."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to do. `warmup` requests are made before those that count; `families` are whose CPU time is read."""

    port: int
    path: str
    headers: Mapping[str, str]
    expected: str
    connections: int
    requests: int
    warmup: int = 200
    families: cpu.Families = field(default_factory=dict)
    hit: str = ""
    """A text in the head of answers that are counted apart."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: latencies in seconds, CPU in seconds over all the requests."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    hits: int
    cpu: Mapping[str, float]
    own_cpu: float
    machine_cpu: float
    """Of the whole machine, whoever used it."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def busy(self) -> float:
        """How much of its core the generator has used."""
        return self.own_cpu / self.seconds

    @property
    def strangers(self) -> float:
        """How many cores were busy with what is none of ours."""
        return (self.machine_cpu - self.own_cpu - sum(self.cpu.values())) / self.seconds


def run(load: Load) -> Result:
    """Put on a load, in a process of its own. Raises StackError when an answer was wrong or the generator too slow."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.http_load"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"The load has failed: {done.stderr.strip()[-400:]}")
    result = Result(**json.loads(done.stdout))
    if result.busy > MOST_BUSY:
        raise StackError(f"Void: the generator was busy for {result.busy:.0%} of the time.")
    return result


class AnswerWrong(Exception):
    """An answer is not what it must be; the text has its beginning."""


class Phase:
    """So many requests, and the times that they took."""

    def __init__(self, load: Load, count: int) -> None:
        self.request = request_bytes(load)
        self.expected = load.expected.encode()
        self.hit = load.hit.encode()
        self.hits = 0
        self.times: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._to_send = count
        self._to_come = count

    def take(self) -> bool:
        """Tell whether another request is to be made, and count it."""
        self._to_send -= 1
        return self._to_send >= 0

    def answered(self, answer: bytes, seconds: float) -> None:
        """Check a whole answer and note its time."""
        if not answer.startswith(b"HTTP/1.1 200") or self.expected not in answer:
            self.fail(AnswerWrong(answer[:300].decode(errors="replace").replace("\r\n", " | ")))
            return
        if self.hit and self.hit in answer:
            self.hits += 1
        self.times.append(seconds)
        self._to_come -= 1
        if self._to_come == 0 and not self.over.done():
            self.over.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the run."""
        if not self.over.done():
            self.over.set_exception(error)


class Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, and asks again."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._phase: Phase | None = None
        self._partial = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's

    def begin(self, phase: Phase) -> None:
        """Make requests for as long as the phase has any."""
        self._phase = phase
        self._ask(phase)

    def data_received(self, data: bytes) -> None:
        data = self._partial + data if self._partial else data
        if not is_whole(data):
            self._partial = data
            return
        self._partial = b""
        if (phase := self._phase) is not None:
            phase.answered(data, time.perf_counter() - self._began)
            self._ask(phase)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is not None:
            self._phase.fail(AnswerWrong(f"a connection was lost: {exc or 'closed'}"))

    def close(self) -> None:
        """Close it, with nothing under way."""
        self._phase = None
        if self._transport is not None:
            self._transport.close()

    def _ask(self, phase: Phase) -> None:
        if self._transport is not None and phase.take():
            self._began = time.perf_counter()
            self._transport.write(phase.request)


def is_whole(data: bytes) -> bool:
    """Tell whether the bytes are a whole answer: by its length, or by its last chunk (RFC 9112 §6)."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    if (found := LENGTH.search(data, 0, head + 2)) is not None:
        return len(data) >= head + 4 + int(found[1])
    return data.endswith(LAST_CHUNK)


def request_bytes(load: Load) -> bytes:
    """Write the request."""
    headers = {"Host": f"127.0.0.1:{load.port}", **load.headers}
    lines = [f"GET {load.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def measure(load: Load) -> Result:
    """Put on the load from this process. Raises AnswerWrong, OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(Connection, "127.0.0.1", load.port)
        for _ in range(load.connections)
    ]
    connections = [connection for _, connection in made]
    try:
        await _go(Phase(load, load.warmup), connections)
        before, machine = cpu.read(load.families), cpu.machine()
        own, began = time.process_time(), time.perf_counter()
        phase = await _go(Phase(load, load.requests), connections)
        seconds, own = time.perf_counter() - began, time.process_time() - own
        used, machine = cpu.spent(before, cpu.read(load.families)), cpu.machine() - machine
    finally:
        for connection in connections:
            connection.close()
    percentiles = statistics.quantiles(phase.times, n=100, method="inclusive")
    p50, p90, p99 = (percentiles[place - 1] for place in (50, 90, 99))
    return Result(len(phase.times), seconds, p50, p90, p99, phase.hits, used, own, machine)


async def _go(phase: Phase, connections: list[Connection]) -> Phase:
    for connection in connections:
        connection.begin(phase)
    while not phase.over.done():
        count = len(phase.times)
        await asyncio.wait([phase.over], timeout=ANSWER_SECONDS)
        if not phase.over.done() and len(phase.times) == count:
            raise TimeoutError(f"no answer for {ANSWER_SECONDS:.0f} s")
    phase.over.result()
    return phase


def main() -> None:
    """Read a Load, put it on, write the Result."""
    load = Load(**json.load(sys.stdin))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(measure(load))
    except (AnswerWrong, OSError) as error:  # TimeoutError is an OSError
        sys.exit(f"{type(error).__name__}: {error}")
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()


__all__ = [
    "AnswerWrong",
    "Connection",
    "Load",
    "Phase",
    "Result",
    "is_whole",
    "measure",
    "request_bytes",
    "run",
]
