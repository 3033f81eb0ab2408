"""A whole run: makes the meetings, divides the participants among processes, shows how it goes, and reports."""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import grpc

from loadtest.media import parley
from loadtest.media.figures import Figures
from loadtest.media.health import reasons_void
from loadtest.media.payload import SMALLEST_AUDIO
from loadtest.media.report import text
from loadtest.media.share import Done, Place, Plan, Progress, run
from loadtest.media.uplink import Profile

OVER_SECONDS = 900.0
"""Longer than joining, talking and leaving can take, beside the duration."""


class RunFailed(Exception):
    """Nothing could be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run. `joins_per_second` and the rates are of all processes together."""

    figures: Figures
    joins_per_second: float
    packets_per_second: float
    bits_per_second: float
    seconds: float
    complaints: Sequence[str]

    @property
    def void(self) -> list[str]:
        """Say why the run says nothing about the server, if so."""
        return reasons_void(self.figures)

    @property
    def status(self) -> int:
        """The exit status."""
        if self.void:
            return 3
        return 1 if self.figures.failed or self.figures.corrupt else 0

    def plain(self) -> dict[str, Any]:
        """Show it for JSON."""
        return {
            "void": self.void,
            "joins_per_second": self.joins_per_second,
            "packets_per_second": self.packets_per_second,
            "bits_per_second": self.bits_per_second,
            "seconds": self.seconds,
            "complaints": list(self.complaints),
            "figures": self.figures.plain(),
        }


def execute(options: argparse.Namespace) -> int:
    """Run it as a command. Returns the exit status. Raises RunFailed, OSError."""
    result = measure(options)
    print(text(result.plain()))
    if options.json:
        options.json.write_text(json.dumps(result.plain(), indent=2) + "\n")
    return result.status


def measure(options: argparse.Namespace) -> Result:
    """Run it. Raises RunFailed."""
    token, meetings = _prepared(options)
    try:
        return _run(plans(options, token, meetings), quiet=options.quiet)
    finally:
        asyncio.run(_end(options.url, token, meetings))


def plans(options: argparse.Namespace, token: str, meetings: Sequence[str]) -> list[Plan]:
    """Divide the participants among the processes, those of each room too."""
    size = max(options.publishers, options.subscribers)
    places = [
        Place(room * size + seat, meeting, seat < options.publishers, seat < options.subscribers)
        for room, meeting in enumerate(meetings)
        for seat in range(size)
    ]
    profile = Profile(
        options.bitrate * 1_000, options.fps, _audio_bytes(options.audio_bytes), options.simulcast
    )
    return [
        Plan(
            options.url,
            token,
            options.host,
            tuple(places[number :: options.processes]),
            profile,
            options.joining,
            options.verify,
            options.duration,
        )
        for number in range(options.processes)
    ]


def _audio_bytes(size: int) -> int:
    return max(size, SMALLEST_AUDIO) if size else 0


def _prepared(options: argparse.Namespace) -> tuple[str, list[str]]:
    """Make an account and the meetings. Raises RunFailed."""
    size = max(options.publishers, options.subscribers)

    async def prepare() -> tuple[str, list[str]]:
        async with parley.reached(options.url) as channel:
            token = await parley.sign_up(channel)
            return token, await parley.create_meetings(channel, token, options.rooms, size)

    try:
        return asyncio.run(prepare())
    except grpc.aio.AioRpcError as error:
        code, details = error.code().name, error.details()
        raise RunFailed(f"{options.url}: {code}: {details}") from None


async def _end(url: str, token: str, meetings: Sequence[str]) -> None:
    async with parley.reached(url) as channel:
        await parley.end_meetings(channel, token, meetings)


def _run(shares: Sequence[Plan], *, quiet: bool) -> Result:
    """Run a process for each share. Raises RunFailed."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    processes: list[BaseProcess] = []
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=run, args=(share, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        return _summed(_followed(pipes, shares[0].duration, quiet=quiet))
    finally:
        for process in processes:
            process.join(5)
            process.kill()


def _followed(pipes: Sequence[Pipe], duration: float, *, quiet: bool) -> list[Done]:
    """Listen to all processes until they are done; all go when the last has joined. Raises RunFailed."""
    done: dict[Pipe, Done] = {}
    latest: dict[Pipe, Progress] = {}
    joined: set[Pipe] = set()
    show = _Show(quiet=quiet)
    until = time.monotonic() + OVER_SECONDS + duration
    while len(done) < len(pipes):
        if time.monotonic() > until:
            raise RunFailed("a process of the generator does not come to its end")
        for pipe in _ready([each for each in pipes if each not in done]):
            said = _heard(pipe)
            if isinstance(said, Done):
                done[pipe] = said
            elif isinstance(said, Progress):
                latest[pipe] = said
                if pipe is pipes[0]:
                    show.line(list(latest.values()))
            else:
                joined.add(pipe)
                if len(joined) == len(pipes):
                    for each in pipes:
                        each.send("go")
    return list(done.values())


def _ready(pipes: list[Pipe]) -> list[Pipe]:
    """Wait a second at most for what processes say."""
    ready = wait(pipes, timeout=1)
    return [pipe for pipe in pipes if pipe in ready]


def _heard(pipe: Pipe) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise RunFailed("a process of the generator has died") from None


class _Show:
    """Prints a line a second on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._before = (0.0, 0, 0)
        self._began = time.monotonic()

    def line(self, parts: Sequence[Progress]) -> None:
        now = time.monotonic() - self._began
        packets = sum(part.received for part in parts)
        octets = sum(part.received_bytes for part in parts)
        seconds = max(now - self._before[0], 0.001)
        rate, bits = (packets - self._before[1]) / seconds, 8 * (octets - self._before[2]) / seconds
        self._before = (now, packets, octets)
        if not self._quiet:
            joined, recovered, corrupt = (
                sum(getattr(part, name) for part in parts)
                for name in ("joined", "recovered", "corrupt")
            )
            print(
                f"{now:5.0f} s  {joined:5} joined  {rate:9,.0f} packets/s  {bits / 1e6:8,.1f} Mbit/s  "
                f"{recovered:6} recovered  {corrupt:4} corrupt",
                file=sys.stderr,
                flush=True,
            )


def _summed(parts: Sequence[Done]) -> Result:
    figures = Figures.total(part.figures for part in parts)
    return Result(
        figures,
        figures.joined / max(0.001, *(part.joining_seconds for part in parts)),
        sum(part.packets / part.seconds for part in parts),
        sum(8 * part.octets / part.seconds for part in parts),
        max(part.seconds for part in parts),
        [complaint for part in parts for complaint in part.complaints],
    )


__all__ = ["Result", "RunFailed", "execute", "measure", "plans"]
