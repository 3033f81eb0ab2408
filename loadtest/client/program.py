"""The run: tries the cases in order, cleans up, and returns what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from websockets.exceptions import WebSocketException

from loadtest.client import ai, health, limits, media, meeting, rpc, signaling, timing, user
from loadtest.client.cases import Case, Outcome, Result, Verdict, selected
from loadtest.client.gateway import Gateway
from loadtest.client.visit import Visit

MODULES = (health, user, meeting, signaling, media, ai, rpc, timing, limits)
"""Those that put cases into the table."""

CASE_SECONDS = 180.0
CLEANING_SECONDS = 60.0
TROUBLE = (httpx.HTTPError, WebSocketException, OSError, ValueError)
"""What a server that goes away, or talks nonsense, makes of a case."""


class UnreachableError(Exception):
    """Nobody answers at the address, or not in a way that can be trusted."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found. `left_behind` are the things that could not be cleaned up."""

    results: Sequence[Result]
    figures: Mapping[str, float]
    left_behind: Sequence[str]


async def run(
    gateway: Gateway,
    areas: Sequence[str],
    requests: int,
    concurrency: int,
    show: Callable[[Result], None],
) -> Report:
    """Try the cases of some areas; `show` gets each result as it comes. Raises UnreachableError, OSError."""
    async with gateway.http() as http:
        await _reach(http)
        visit = Visit(gateway, http, requests, concurrency)
        try:
            results = await _try_all(selected(areas), visit, show)
        finally:
            left_behind = await _clean_up(visit)
        return Report(results, visit.figures, left_behind)


async def _reach(http: httpx.AsyncClient) -> None:
    """See that something speaks HTTP there. Raises UnreachableError."""
    try:
        await http.get("/healthz")
    except httpx.TransportError as error:
        raise UnreachableError(str(error) or type(error).__name__) from None


async def _clean_up(visit: Visit) -> list[str]:
    try:
        async with asyncio.timeout(CLEANING_SECONDS):
            return await visit.clean_up()
    except TimeoutError:
        return [f"whatever was not cleaned up in {CLEANING_SECONDS:.0f} s"]


async def _try_all(
    cases: Sequence[Case], visit: Visit, show: Callable[[Result], None]
) -> list[Result]:
    done: dict[Case, Result] = {}
    for each in cases:
        done[each] = _not_tried(each, done) or await _tried(each, visit)
        show(done[each])
    return list(done.values())


def _not_tried(case: Case, done: Mapping[Case, Result]) -> Result | None:
    """Say why a case makes no sense after what came before; None when it does."""
    for need in case.needs:
        before = done[need]
        if before.outcome is Outcome.SKIPPED:
            return Result(case, Outcome.SKIPPED, note=before.note)
        if before.outcome is not Outcome.PASSED:
            words = {Outcome.FAILED: "failed", Outcome.NOT_BUILT: "is not built"}
            told = words.get(before.outcome, "was not run")
            return Result(case, Outcome.NOT_RUN, note=f"{need.label} {told}")
    return None


async def _tried(case: Case, visit: Visit) -> Result:
    """Try a case, for so long at most."""
    began, waited = time.perf_counter(), visit.waited_seconds
    try:
        async with asyncio.timeout(CASE_SECONDS):
            outcome, note = Outcome.PASSED, await case.function(visit)
    except Verdict as verdict:
        outcome, note = verdict.outcome, str(verdict)
    except TROUBLE as error:
        outcome, note = Outcome.FAILED, f"{type(error).__name__}: {error}"
    milliseconds = (time.perf_counter() - began) * 1000
    waiting = visit.waited_seconds - waited
    return Result(case, outcome, milliseconds, _with_waiting(note, waiting))


def _with_waiting(note: str, seconds: float) -> str:
    return f"{note} (waited {seconds:.0f} s for a limit)".strip() if seconds else note


__all__ = ["Report", "UnreachableError", "run"]
