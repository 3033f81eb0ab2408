"""How long answers take. No bar is set: a case passes when every request was answered.

`GET /api/v1/users/me` goes through every layer: Nginx, Envoy (which checks the token), the user service, Postgres. This
program is one Python process, so that its requests/s are a lower bound.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from loadtest.client.answers import check
from loadtest.client.cases import case
from loadtest.client.user import register
from loadtest.client.visit import Visit

PATH = "/api/v1/users/me"
OK, LIMITED = 200, 429


@dataclass(frozen=True, slots=True)
class Answer:
    """After how many seconds which status came; 0 when none did."""

    status: int
    seconds: float


@case("timing", "one after the other", needs=(register,))
async def sequential(visit: Visit) -> str:
    """N requests: the percentiles of their times."""
    async with visit.gateway.http(connections=1) as http:
        await _ask(visit, http)  # connects; not counted
        answers = [await _ask(visit, http) for _ in range(visit.requests)]
    took = sorted(each.seconds * 1000 for each in _good(answers))
    figures = {f"p{rank}": _percentile(took, rank) for rank in (50, 90, 99)}
    visit.figures |= {f"sequential_{name}_ms": value for name, value in figures.items()}
    shown = ", ".join(f"{name} {value:.1f} ms" for name, value in figures.items())
    return f"{shown} of {len(took)} requests{_limited(answers)}"


@case("timing", "many at once", needs=(register,))
async def concurrent(visit: Visit) -> str:
    """N requests over C connections: how many are answered in a second."""
    turns = iter(range(visit.requests))
    async with visit.gateway.http(connections=visit.concurrency) as http:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(_work(visit, http, turns)) for _ in range(visit.concurrency)
            ]
        seconds = time.perf_counter() - began
    answers = list(itertools.chain.from_iterable(worker.result() for worker in workers))
    rate = len(_good(answers)) / seconds
    visit.figures["concurrent_requests_per_second"] = rate
    return f"{rate:.0f} requests/s, {visit.concurrency} at once{_limited(answers)}"


async def _work(visit: Visit, http: httpx.AsyncClient, turns: Iterator[int]) -> list[Answer]:
    """Ask as long as there are turns."""
    return [await _ask(visit, http) for _ in turns]


async def _ask(visit: Visit, http: httpx.AsyncClient) -> Answer:
    began = time.perf_counter()
    try:
        status = (await http.get(PATH, headers=visit.credentials)).status_code
    except httpx.HTTPError:
        status = 0
    return Answer(status, time.perf_counter() - began)


def _good(answers: Sequence[Answer]) -> list[Answer]:
    """Pick those that were answered well. Raises Failed when one was not, or none was: a limit is an answer too."""
    counts = Counter(each.status for each in answers)
    bad = {status: count for status, count in counts.items() if status not in (OK, LIMITED)}
    shown = ", ".join(f"{count} x {f'HTTP {s}' if s else 'no answer'}" for s, count in bad.items())
    check(not bad, f"of {len(answers)}: {shown}")
    check(counts[OK] > 0, "every request was limited (429)")
    return [each for each in answers if each.status == OK]


def _limited(answers: Sequence[Answer]) -> str:
    count = sum(each.status == LIMITED for each in answers)
    return f", {count} more were limited (429)" if count else ""


def _percentile(ordered: Sequence[float], rank: int) -> float:
    """Interpolate a percentile of values in order, of which there is at least one."""
    if len(ordered) == 1:
        return ordered[0]
    return statistics.quantiles(ordered, n=100, method="inclusive")[rank - 1]
