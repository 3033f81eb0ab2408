"""What the gateway's chain costs: one GET with a token, answered from Postgres, beside FastAPI doing the same.

Ours is Nginx, Envoy and the meeting service; the yardstick is Nginx and FastAPI on uvicorn, one process
(loadtest/yardstick.py), on the same Postgres. They are measured in turn in one run, so that a noisy machine is fair to
both; figures are medians of rounds. Then: the same GET where the cache may answer, and many idle connections.

`python -m loadtest.bench_api [--state DIR]` measures a stack that runs (with --no-rate-limits), or starts one.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from loadtest import http_load, idle_connections, yardstick
from loadtest.bench_stack import running
from loadtest.cpu import Families
from loadtest.http_load import Load, Result
from loadtest.idle_connections import Idle
from stack.bench import Figure
from stack.errors import StackError
from stack.state import State

ROUNDS = 5
AT_ONCE = 50
REQUESTS_AT_ONCE = 8_000
REQUESTS_ALONE = 1_500
IDLE_CONNECTIONS = 10_000
IDLE_SECONDS = 10.0

RATE_BAR = 2_000.0
ALONE_BAR_MS = 1.2
CACHED_BAR_MS = 0.46
GATEWAY_BAR_MB = 300.0

CHAIN = ("nginx", "envoy", "meeting", "postgres", "exporter")
"""What works for each request of ours; the exporter reads every line of Nginx's log."""
REST = "rest of the stack"
NO_LIMITS = "[limits]\nenabled = false\n"


@dataclass(frozen=True, slots=True)
class Rounds:
    """The results of both sides, in the order in which they were measured."""

    ours: Sequence[Result]
    theirs: Sequence[Result]


def main(state: str = "") -> list[Figure]:
    """Measure the stack on the folder `state`, or one of its own."""
    if state:
        return measure(State(Path(state)))
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "parley.toml").write_text(NO_LIMITS)
    try:
        with running(folder):
            return measure(State(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(state: State) -> list[Figure]:
    """Measure a stack that runs. Raises StackError when an answer is wrong."""
    pids, ports = _processes(state)
    port, sql_port = ports["nginx"]["http"], ports["postgres"]["sql"]
    ours = _load(port, _families(pids))
    code = ours.expected
    jwks = f"http://127.0.0.1:{port}/.well-known/jwks.json"
    with yardstick.running(state, sql_port, jwks, code) as peer:
        families = {
            "nginx": [peer.nginx],
            "uvicorn": [peer.uvicorn],
            "postgres": [pids["postgres"]],
        }
        theirs = replace(ours, port=peer.port, families=families)
        _check_same(ours, theirs)
        at_once = _in_turn(ours, theirs, AT_ONCE, REQUESTS_AT_ONCE)
        alone = _in_turn(ours, theirs, 1, REQUESTS_ALONE)
    cached = _cached(ours)
    gateway = {name: [pids[name]] for name in ("nginx", "envoy")}
    idle = idle_connections.run(Idle(port, IDLE_CONNECTIONS, IDLE_SECONDS, gateway))
    return [
        *_at_once_figures(at_once),
        *_cpu_figures(at_once),
        *_alone_figures(alone),
        *_cached_figures(cached),
        *_idle_figures(idle),
        *_generator_figures(at_once),
    ]


def _processes(state: State) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Read the stack's processes' ids and ports by name."""
    if (status := state.read_status()) is None or not state.is_running():
        raise StackError(f"No stack is running on {state.root}.")
    pids = {process.name: process.pid for process in status.processes}
    return pids, {process.name: process.ports for process in status.processes}


def _families(pids: Mapping[str, int]) -> Families:
    rest = [pid for name, pid in pids.items() if name not in CHAIN]
    return {**{name: [pids[name]] for name in CHAIN}, REST: rest}


def _load(port: int, families: Families) -> Load:
    """Make an account and a meeting, and the load that reads it."""
    url = f"http://127.0.0.1:{port}/api/v1"
    name = f"bench-{secrets.token_hex(4)}"
    account = {"username": name, "email": f"{name}@example.org", "display_name": "Bench"}
    registered = _call(f"{url}/auth/register", {**account, "password": secrets.token_hex(12)})
    headers = {"Authorization": f"Bearer {registered['access_token']}"}
    meeting = _call(f"{url}/meetings", {"title": "The bench"}, headers)
    code = str(meeting["name"]).removeprefix("meetings/")
    return Load(
        port,
        f"/api/v1/meetings/{code}",
        headers,
        code,
        AT_ONCE,
        REQUESTS_AT_ONCE,
        families=families,
    )


def _call(url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """Call the API: POST with a body, GET without."""
    method = "GET" if body is None else "POST"
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        answer = client.request(method, url, json=body, headers=headers)
    if answer.status_code != httpx.codes.OK:
        raise StackError(f"{method} {url}: {answer.status_code} {answer.text[:200]}")
    return answer.json()


def _check_same(ours: Load, theirs: Load) -> None:
    """See that both sides answer the same JSON. Raises StackError."""
    first, second = (
        _call(f"http://127.0.0.1:{load.port}{load.path}", headers=load.headers)
        for load in (ours, theirs)
    )
    if first != second:
        raise StackError(f"The yardstick answers otherwise: {second}, not {first}.")


def _in_turn(ours: Load, theirs: Load, connections: int, requests: int) -> Rounds:
    """Measure both sides ROUNDS times, in turn, after a round that does not count."""
    sides = [replace(load, connections=connections, requests=requests) for load in (ours, theirs)]
    for side in sides:
        http_load.run(replace(side, requests=requests // 4))
    results = [[http_load.run(side) for side in sides] for _ in range(ROUNDS)]
    return Rounds([pair[0] for pair in results], [pair[1] for pair in results])


def _cached(ours: Load) -> list[Result]:
    """Measure one at a time where the cache may answer. Raises StackError when it mostly does not."""
    headers = {**ours.headers, "Cache-Control": "max-age=5"}
    load = replace(
        ours, headers=headers, connections=1, requests=REQUESTS_ALONE, hit="X-Cache-Status: HIT"
    )
    results = [http_load.run(load) for _ in range(ROUNDS)]
    if any(result.hits < 0.9 * result.requests for result in results):
        raise StackError(f"Void: the cache has answered {[result.hits for result in results]}.")
    return results


def _at_once_figures(rounds: Rounds) -> Iterator[Figure]:
    ours, theirs = (_median(side, lambda r: r.rate) for side in (rounds.ours, rounds.theirs))
    ratio = _ratio(rounds, lambda r: r.rate)
    bar = f"> {RATE_BAR:,.0f} /s"
    yield Figure(f"requests/s, {AT_ONCE} at once, ours", ours, "/s", bar, ours > RATE_BAR)
    yield Figure(f"requests/s, {AT_ONCE} at once, FastAPI", theirs, "/s")
    yield Figure("requests/s, ours / FastAPI", ratio, "x", ">= 1 x", ratio >= 1.0)
    for name, side in (("ours", rounds.ours), ("FastAPI", rounds.theirs)):
        yield from _latencies(f"{AT_ONCE} at once, {name}", side)


def _cpu_figures(rounds: Rounds) -> Iterator[Figure]:
    """CPU per request: what works for it is summed, what merely runs beside it is told apart."""
    ours, theirs = _cpu_of(rounds.ours), _cpu_of(rounds.theirs)
    for name, cost in ours.items():
        yield Figure(f"CPU per request, ours, {name}", cost, "µs")
    for name, cost in theirs.items():
        yield Figure(f"CPU per request, FastAPI, {name}", cost, "µs")
    yield Figure("CPU per request, ours", _median(rounds.ours, _cost), "µs")
    yield Figure("CPU per request, FastAPI", _median(rounds.theirs, _cost), "µs")
    ratio = _ratio(rounds, _cost)
    yield Figure("CPU per request, ours / FastAPI", ratio, "x", "<= 1 x", ratio <= 1.0)


def _alone_figures(rounds: Rounds) -> Iterator[Figure]:
    ours = _median(rounds.ours, lambda r: r.p50 * 1e3)
    bar = f"< {ALONE_BAR_MS} ms"
    yield Figure("p50, one at a time, ours", ours, "ms", bar, ours < ALONE_BAR_MS)
    yield Figure("p99, one at a time, ours", _median(rounds.ours, lambda r: r.p99 * 1e3), "ms")
    theirs = [
        _median(rounds.theirs, lambda r: r.p50 * 1e3),
        _median(rounds.theirs, lambda r: r.p99 * 1e3),
    ]
    yield Figure("p50, one at a time, FastAPI", theirs[0], "ms")
    yield Figure("p99, one at a time, FastAPI", theirs[1], "ms")


def _cached_figures(results: Sequence[Result]) -> Iterator[Figure]:
    p50 = _median(results, lambda r: r.p50 * 1e3)
    bar = f"< {CACHED_BAR_MS} ms"
    yield Figure("p50, one at a time, from the cache", p50, "ms", bar, p50 < CACHED_BAR_MS)
    yield Figure(
        "p99, one at a time, from the cache", _median(results, lambda r: r.p99 * 1e3), "ms"
    )
    yield Figure(
        "answered from the cache", _median(results, lambda r: 100 * r.hits / r.requests), "%"
    )


def _idle_figures(idle: idle_connections.Outcome) -> Iterator[Figure]:
    total = sum(idle.megabytes.values())
    what = f"{IDLE_CONNECTIONS:,} idle connections"
    yield Figure(f"{what}: failures", idle.failures, "", "0", idle.failures == 0)
    bar = f"< {GATEWAY_BAR_MB:.0f} MB"
    yield Figure(f"{what}: memory of the gateway", total, "MB", bar, total < GATEWAY_BAR_MB)
    for name, megabytes in idle.megabytes.items():
        yield Figure(f"{what}: memory, {name}", megabytes, "MB")


def _generator_figures(rounds: Rounds) -> Iterator[Figure]:
    busiest = max(100 * result.busy for result in (*rounds.ours, *rounds.theirs))
    yield Figure("load generator, of its core, at most", busiest, "%")
    strangers = max(result.strangers for result in (*rounds.ours, *rounds.theirs))
    yield Figure("cores busy with other programs, at most", strangers, "cores")


def _latencies(what: str, side: Sequence[Result]) -> Iterator[Figure]:
    for percent in ("p50", "p90", "p99"):
        values = [1e3 * getattr(result, percent) for result in side]
        yield Figure(f"{percent}, {what}", statistics.median(values), "ms")


def _cpu_of(side: Sequence[Result]) -> dict[str, float]:
    """Give the CPU microseconds per request of each process, the generator's too."""
    costs = {
        name: statistics.median(1e6 * each.cpu[name] / each.requests for each in side)
        for name in side[0].cpu
    }
    generator = statistics.median(1e6 * each.own_cpu / each.requests for each in side)
    return {**costs, "load generator": generator}


def _cost(result: Result) -> float:
    """Sum the CPU microseconds per request of those who work for it."""
    return 1e6 * sum(v for name, v in result.cpu.items() if name != REST) / result.requests


def _ratio(rounds: Rounds, value: Callable[[Result], float]) -> float:
    pairs = zip(rounds.ours, rounds.theirs, strict=True)
    return statistics.median(value(a) / value(b) for a, b in pairs)


def _median(results: Iterable[Result], value: Callable[[Result], float]) -> float:
    return statistics.median(value(result) for result in results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", default="", help="a running stack's folder; default: start one")
    for figure in main(parser.parse_args().state):
        mark = {True: "met", False: "MISSED", None: ""}[figure.met]
        print(f"{figure.name:58} {figure.value:9.3f} {figure.unit:4} {figure.bar:12} {mark}")


__all__ = ["main", "measure"]
