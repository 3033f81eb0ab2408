"""Calls over bad networks: real browsers, the product's own pages, and links made bad on purpose.

`python -m loadtest.impaired [--keep NAME] [--seconds N] [CASE …]` starts a stack and the browsers, each in a network
namespace of its own (loadtest/network.py), as root. Everybody joins while the links are clean; then Bob's become bad,
and what everyone saw and heard is summed up. A case that the machine was too short of CPU for is void: it is tried
again, and marked if it stays so. The table is printed, and kept as JSON under loadtest/results/.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from loadtest import quality
from loadtest.bench_stack import running
from loadtest.browser import ALLOW_DEVICES, EXECUTABLE, Person, chromium, person
from loadtest.camera import FRAMES_PER_SECOND, HEIGHT, WIDTH, film
from loadtest.link import CLEAN, Conditions
from loadtest.network import Network, Site, is_possible, network
from stack import services
from stack.bench import RESULTS
from stack.state import State

WARM_SECONDS = 8.0
"""From the first pictures until the links become bad: bandwidth estimates grow meanwhile."""
SETTLE_SECONDS = 5.0
SECONDS = 30
TRIES = 2
LATENESS_MS = 60.0
"""A link that was later than this (p99) had no CPU, and neither had the rest. A picture counts as frozen when a frame
comes 150 ms later than usual (webrtc-stats, freezeCount)."""
CPU_LIMITED = 0.1
"""Of the time, in which a browser said that it sends less for want of CPU."""


@dataclass(frozen=True, slots=True)
class Case:
    """A condition of Bob's link, each way."""

    name: str
    up: Conditions
    down: Conditions
    people: tuple[str, ...] = ("Ann", "Bob")


def _both(name: str, **how: float) -> Case:
    return Case(name, Conditions(**how), Conditions(**how))


CASES = (
    Case("clean", CLEAN, CLEAN),
    _both("loss 1 %", loss=0.01),
    _both("loss 5 %", loss=0.05),
    _both("loss 20 %", loss=0.20),
    _both("delay 50 ± 10 ms", delay_ms=50, jitter_ms=10),
    _both("delay 150 ± 30 ms", delay_ms=150, jitter_ms=30),
    _both("delay 300 ± 50 ms", delay_ms=300, jitter_ms=50),
    _both("loss 5 %, delay 150 ± 30 ms", loss=0.05, delay_ms=150, jitter_ms=30),
    Case("300 kbit/s down", CLEAN, Conditions(rate_bps=300_000), ("Ann", "Bob", "Cleo")),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. `void` says why it proves nothing, when the machine was short of CPU."""

    case: str
    void: str
    idle_percent: float
    lateness_ms: float
    sights: Sequence[quality.Sight]


async def run(cases: Sequence[Case], seconds: int) -> AsyncIterator[Outcome]:
    """Run cases one after the other, in one stack."""
    names = sorted({name for case in cases for name in case.people})
    with _folder() as folder, network("server", *(name.lower() for name in names)) as net:
        camera = folder / "camera.y4m"
        film(camera)
        server = net.sites["server"]
        how = ("--listen", server.address, "--media-workers", "1")
        with stack_at(server, folder, *how) as address:
            for case in cases:
                for _ in range(TRIES):
                    outcome = await _run(net, case, address, folder, seconds)
                    print(_line(outcome), file=sys.stderr, flush=True)
                    if not outcome.void:
                        break
                yield outcome


def _line(outcome: Outcome) -> str:
    how = f"{outcome.idle_percent:.0f} % idle, {outcome.lateness_ms:.0f} ms late"
    return f"{outcome.case}: {outcome.void or 'done'} ({how})"


async def _run(net: Network, case: Case, address: str, folder: Path, seconds: int) -> Outcome:
    async with _call(net, case.people, address, folder) as people:
        await asyncio.sleep(WARM_SECONDS)
        net.change("bob", up=case.up, down=case.down)
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            net.report()
            psutil.cpu_times_percent()
            samples = await _sampled(people, seconds)
            idle, links = psutil.cpu_times_percent().idle, net.report()
        finally:
            net.change("bob", up=CLEAN, down=CLEAN)
    limited = max(quality.limited_by_cpu(each) for each in samples.values())
    seen = [sight for name, each in samples.items() for sight in quality.sights(name, each)]
    return Outcome(
        case.name,
        _why_void(links.lateness_ms, limited / seconds),
        idle,
        round(links.lateness_ms, 2),
        seen,
    )


def _why_void(lateness_ms: float, limited: float) -> str:
    if lateness_ms > LATENESS_MS:
        return f"void: packets were {lateness_ms:.0f} ms late for want of CPU"
    if limited > CPU_LIMITED:
        return f"void: a browser was short of CPU {100 * limited:.0f} % of the time"
    return ""


async def _sampled(people: Sequence[Person], seconds: int) -> dict[str, list[quality.Sample]]:
    samples: dict[str, list[quality.Sample]] = {each.name: [] for each in people}
    async with asyncio.TaskGroup() as group:
        for each in people:
            group.create_task(_sample_one(each, seconds, samples[each.name]))
    return samples


async def _sample_one(one: Person, seconds: int, into: list[quality.Sample]) -> None:
    into.append(await quality.sample(one.page))
    for _ in range(seconds):
        await asyncio.sleep(1)
        into.append(await quality.sample(one.page))


@asynccontextmanager
async def _call(
    net: Network, names: Sequence[str], address: str, folder: Path
) -> AsyncIterator[list[Person]]:
    """Have people call each other, each with a browser at a site of their own, and wait until all see all."""
    async with AsyncExitStack() as seats:
        people = []
        for name in names:
            browser = await seats.enter_async_context(
                chromium(
                    ALLOW_DEVICES,
                    f"--use-file-for-fake-video-capture={folder / 'camera.y4m'}",
                    f"--unsafely-treat-insecure-origin-as-secure={address}",
                    executable=browser_at(net.sites[name.lower()], folder),
                )
            )
            people.append(await seats.enter_async_context(person(browser, name, address)))
            await people[-1].sign_up()
        code = await people[0].start_meeting("Over bad networks")
        for each in people[1:]:
            await each.join_by_code(code)
        for one in people:
            await one.receives_more()
        yield people


def browser_at(site: Site, folder: Path) -> Path:
    """Write a program into a folder that is Chromium at a site."""
    program = folder / f"chromium-{site.name}"
    program.write_text(f'#!/bin/sh\nexec {" ".join(site.inside(EXECUTABLE))} "$@"\n')
    program.chmod(0o755)
    return program


@contextmanager
def stack_at(server: Site, folder: Path, *how: str) -> Iterator[str]:
    """Run a stack at a site, with options of `./parley up`, and yield the address that people there open.

    Its models are fetched before, since there is no way out from there.
    """
    state = State(folder / "state")
    state.create()
    build = [sys.executable, "-m", "services.ai.models", "build", "--task", "voice-activity"]
    environment = {**os.environ, **services.models(state)}
    subprocess.run(build, env=environment, check=True, stdout=subprocess.DEVNULL)
    options = ["--advertise", server.address, "--no-rate-limits", *how]
    with running(state.root, *options, within=server.inside()) as address:
        yield address


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="parley-impaired-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


HEAD = (
    "case",
    "late ms",
    "who ← whom",
    "freezes",
    "frozen s",
    "still s",
    "height",
    "fps",
    "kbit/s",
    "lost %",
    "NACKs",
    "PLIs",
    "resent",
    "sound made up %",
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Show outcomes as a Markdown table."""
    rows = [HEAD, tuple("---" for _ in HEAD)]
    rows += [_row(outcome, sight) for outcome in outcomes for sight in outcome.sights]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(outcome: Outcome, sight: quality.Sight) -> tuple[str, ...]:
    case = outcome.case + (" (void)" if outcome.void else "")
    picture, sound = sight.picture, sight.sound
    seen: tuple[str, ...] = ("–",) * 10
    if picture is not None:
        values: list[float] = [picture.freezes, picture.frozen_seconds, picture.still_seconds]
        values += [picture.height, picture.frames_per_second, picture.bitrate_kbps]
        values += [picture.lost_percent, picture.nacks, picture.keyframe_requests]
        seen = tuple(f"{value:g}" for value in (*values, picture.retransmitted))
    heard = "–" if sound is None else f"{sound.concealed_percent:g}"
    return (case, f"{outcome.lateness_ms:.0f}", f"{sight.who} ← {sight.whom}", *seen, heard)


def keep(name: str, outcomes: Sequence[Outcome], seconds: int) -> None:
    """Keep outcomes under loadtest/results/, with those of other cases that are there."""
    machine = {
        "cores": os.cpu_count(),
        "arch": platform.machine(),
        "python": platform.python_version(),
    }
    result: dict[str, Any] = {
        "benchmark": "impaired",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "camera": f"{WIDTH}x{HEIGHT} at {FRAMES_PER_SECOND} frames/s",
        "seconds": seconds,
        "cases": [asdict(outcome) for outcome in outcomes],
    }
    path = RESULTS / f"{name}.json"
    if path.exists():
        result["cases"] = _merged(json.loads(path.read_text())["cases"], result["cases"])
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


async def _kept(cases: Sequence[Case], seconds: int, name: str) -> list[Outcome]:
    outcomes = []
    async for outcome in run(cases, seconds):
        outcomes.append(outcome)
        keep(name, outcomes, seconds)
    return outcomes


def _merged(kept: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put cases that were run again in the place of those that were kept."""
    by_name = {case["case"]: case for case in (*kept, *new)}
    return [by_name[case.name] for case in CASES if case.name in by_name]


def main() -> int:
    """Run what the command line names. Returns 1 when a case stayed void."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="the beginnings of their names")
    parser.add_argument(
        "--keep", default="impaired", metavar="NAME", help="loadtest/results/NAME.json"
    )
    parser.add_argument(
        "--seconds", type=int, default=SECONDS, help="of each case (default: %(default)s)"
    )
    chosen = parser.parse_args()
    if not is_possible():
        parser.error("this needs root, Linux, and the programs ip and nsenter")
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)  # so that nothing is left behind
    cases = [c for c in CASES if not chosen.cases or c.name.startswith(tuple(chosen.cases))]
    outcomes = asyncio.run(_kept(cases, chosen.seconds, chosen.keep))
    print(table(outcomes))
    return 1 if any(outcome.void for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["CASES", "Case", "Outcome", "browser_at", "run", "stack_at", "table"]
