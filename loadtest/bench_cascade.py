"""What a second worker adds to one room: as many people and packets on each of two as on one alone, in turns, in one run.

Each worker is a process of its own; what counts is the CPU of the busiest of two for what both forward, beside that of
one that forwards half. So both ways a worker is as busy as the other: a packet costs less on a busier one, which reads
and sends more at a time. The same room on one worker is shown as well. The light clients' own CPU does not count.

A room over two workers costs each of them what the other's publishers send: the more subscribers there are to a
publisher, the closer two come to twice one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from loadtest.media.connection import ConnectionFailed
from loadtest.media.sdp import SdpInvalid
from loadtest.peers.piped import pair, parley
from loadtest.peers.place import LOOPBACK, Place
from loadtest.peers.sfu import Sfu, SfuFailed
from loadtest.peers.stage import Load, Measured, Shape, measured, steady
from stack.bench import Figure

SHAPES = (
    (Shape("4 publishers x 60 subscribers", 4, 60), Shape("4 x 30", 4, 30)),
    (Shape("8 publishers x 16 subscribers", 8, 16), Shape("8 x 8", 8, 8)),
)
"""A room, and what half of its people are; the bar is for the first."""
PACKETS_PER_SECOND = {"compiled": 19_200.0, "python": 4_800.0}
"""Forwarded, of a whole room."""
WINDOW_SECONDS = 8.0
ROUNDS = 3
TRIES = 3
VERIFY = 16
"""One packet in so many is decrypted and checked by the clients; that each comes, and once, they see of all."""
ARRIVED = 0.9
"""Of what is to be forwarded, at least."""
BAR = 1.8

Start = Callable[[Place, Path, str], AbstractAsyncContextManager[Sfu]]
WORKERS: dict[str, Start] = {"half": parley, "two": pair, "one": parley}
"""Half of the room on one worker, all of it over two, all of it on one."""


@dataclass(slots=True)
class Bench:
    """A run: CPU microseconds per forwarded packet of the busiest worker, by fan-out and room, of each way, round by round."""

    place: Place
    folder: Path
    costs: dict[tuple[str, str], list[dict[str, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def measure(self, fanout: str, whole: Shape, half: Shape) -> None:
        """Measure all ways once, one after the other; void if one is. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        found: dict[str, float] = {}
        for name in WORKERS:
            shape, share = (half, 0.5) if name == "half" else (whole, 1.0)
            load = steady(shape, share * PACKETS_PER_SECOND[fanout], VERIFY)
            if (result := self._valid(name, fanout, load)) is None:
                return
            found[name] = result.cpu_us
        self.costs[fanout, whole.name].append(found)

    def _valid(self, name: str, fanout: str, load: Load) -> Measured | None:
        for _ in range(TRIES):
            result = uvloop.run(self._once(name, fanout, load))
            if not result.void:
                _note(f"{name} {fanout}, {load.shape.name}: {result.cpu_us:.2f} µs")
                return result
            _note(f"{name} {fanout}, {load.shape.name}: void, since {'; '.join(result.void)}")
        return None

    async def _once(self, name: str, fanout: str, load: Load) -> Measured:
        async with WORKERS[name](self.place, self.folder / f"{name}.log", fanout) as sfu:
            result = await measured(sfu, self.place.here, load, WINDOW_SECONDS)
        if result.packets_per_second < ARRIVED * load.packets_per_second:
            result.void.append(f"only {result.packets_per_second:,.0f} packets/s arrived")
        return result


def main() -> list[Figure]:
    """Measure everything."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        bench = Bench(LOOPBACK, Path(folder))
        for fanout in PACKETS_PER_SECOND:
            try:
                for whole, half in (*[SHAPES[0]] * ROUNDS, *SHAPES[1:]):
                    bench.measure(fanout, whole, half)
            except (SfuFailed, ConnectionFailed, SdpInvalid) as error:
                _note(f"{fanout} is left out: {error}")
            for whole, _ in SHAPES:
                bar = BAR if whole is SHAPES[0][0] else 0.0
                figures += _figures(bench.costs[fanout, whole.name], f"{fanout}, {whole.name}", bar)
    return figures


def _figures(rounds: Sequence[dict[str, float]], title: str, bar: float) -> list[Figure]:
    if not rounds:
        return []
    carried = statistics.median(each["half"] / each["two"] for each in rounds)
    same = statistics.median(each["one"] / each["two"] for each in rounds)
    costs = {name: statistics.median(each[name] for each in rounds) for name in WORKERS}
    return [
        Figure(f"{title}: CPU per packet, half of it on one worker", costs["half"], "µs"),
        Figure(f"{title}: CPU per packet, all on one worker", costs["one"], "µs"),
        Figure(f"{title}: CPU per packet, busiest of two", costs["two"], "µs"),
        Figure(
            f"{title}: two workers carry, median of {len(rounds)}",
            carried,
            "x one",
            f">= {bar} x" if bar else "",
            carried >= bar if bar else None,
        ),
        Figure(f"{title}: CPU of one for the busiest of two's", same, "x"),
    ]


def _note(text: str) -> None:
    print(f"bench cascade: {text}", file=sys.stderr, flush=True)
