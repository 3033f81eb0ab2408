"""How long joining takes, from the REST call to the tickets, while many people arrive: a whole stack, as meetings begin.

Arrivals come at a fixed rate whether or not those before have been answered, and each is timed from when it was due: a
server that falls behind shows it (no coordinated omission). Who arrives is signed in already, and everybody is somebody
else in each meeting.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop

from loadtest.bench_stack import running
from stack.bench import Figure
from stack.errors import StackError

PER_SECOND = 100
SECONDS = 30
WARMUP = 200
USERS = 50
BAR_MS = 50.0
PATIENCE_SECONDS = 10.0
MOST_BUSY = 0.9
"""Of its core; a generator that is busier measures itself."""
NO_LIMITS = "[limits]\nenabled = false\n"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came of it: seconds from when each join was due to its answer, and the generator's share of a core."""

    late: Sequence[float]
    busy: float


def main(per_second: int = PER_SECOND, seconds: int = SECONDS) -> list[Figure]:
    """Measure a stack of its own. Raises StackError when a join is refused."""
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "parley.toml").write_text(NO_LIMITS)
    try:
        with running(folder) as address:
            measuring = measure(address, per_second, per_second * seconds)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                arrivals = runner.run(measuring)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _figures(arrivals, per_second)


async def measure(address: str, per_second: int, count: int) -> Arrivals:
    """Have `count` people arrive at the stack at `address`."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(
        base_url=f"{address}/api/v1", limits=limits, trust_env=False, timeout=PATIENCE_SECONDS
    ) as client:
        people = [await _register(client) for _ in range(USERS)]
        codes = [await _meeting(client, people[0]) for _ in range(-(-(count + WARMUP) // USERS))]
        pairs = [(code, person) for code in codes for person in people]
        await _arrive(client, pairs[:WARMUP], per_second)
        began, own = time.monotonic(), time.process_time()
        late = await _arrive(client, pairs[WARMUP : WARMUP + count], per_second)
        busy = (time.process_time() - own) / (time.monotonic() - began)
    return Arrivals(late, busy)


async def _arrive(
    client: httpx.AsyncClient, pairs: Sequence[tuple[str, str]], per_second: int
) -> list[float]:
    """Have people join, so many a second; returns how late each is in."""
    began = time.monotonic()

    async def join(number: int, code: str, token: str) -> float:
        due = began + number / per_second
        await asyncio.sleep(due - time.monotonic())
        await _post(client, f"/meetings/{code}:join", {"display_name": "Bench"}, token)
        return time.monotonic() - due

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(join(at, *pair)) for at, pair in enumerate(pairs)]
    return [task.result() for task in tasks]


async def _register(client: httpx.AsyncClient) -> str:
    """Make an account; returns its token."""
    name = f"bench-{secrets.token_hex(4)}"
    account = {"username": name, "email": f"{name}@example.org", "display_name": "Bench"}
    answer = await _post(client, "/auth/register", {**account, "password": secrets.token_hex(12)})
    return str(answer["access_token"])


async def _meeting(client: httpx.AsyncClient, token: str) -> str:
    answer = await _post(client, "/meetings", {"title": "The bench"}, token)
    return str(answer["name"]).removeprefix("meetings/")


async def _post(client: httpx.AsyncClient, path: str, body: Any, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await client.post(path, json=body, headers=headers)
    if answer.status_code != httpx.codes.OK:
        raise StackError(f"POST {path}: {answer.status_code} {answer.text[:200]}")
    return answer.json()


def _figures(arrivals: Arrivals, per_second: int) -> list[Figure]:
    if arrivals.busy > MOST_BUSY:
        raise StackError(f"Void: the load generator was busy {arrivals.busy:.0%} of the time.")
    p50, p95, p99 = (1e3 * float(np.percentile(arrivals.late, share)) for share in (50, 95, 99))
    what = f"{per_second} joins a second, REST call to tickets"
    return [
        Figure(f"{what}, p50", p50, "ms"),
        Figure(f"{what}, p95", p95, "ms", f"< {BAR_MS:.0f} ms", p95 < BAR_MS),
        Figure(f"{what}, p99", p99, "ms"),
        Figure("joins measured", float(len(arrivals.late)), ""),
    ]


__all__ = ["main", "measure"]
