"""What a second worker adds to one room: the same room and traffic on one worker and over two, in turns, in one run.

Each worker is a process of its own; what counts is the CPU of the busiest. The light clients' own does not count. A
room over two workers costs each of them what the other's publishers send: so the more subscribers there are to a
publisher, the closer two come to twice one. A smaller room, which needs no second worker, is shown beside it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from loadtest.media.connection import ConnectionFailed
from loadtest.media.sdp import SdpInvalid
from loadtest.peers import namespace
from loadtest.peers.namespace import Place
from loadtest.peers.piped import pair, parley
from loadtest.peers.sfu import Sfu, SfuFailed
from loadtest.peers.stage import Measured, Shape, measured, steady
from stack.bench import Figure

LARGE = Shape("4 publishers x 60 subscribers", 4, 60)
SMALL = Shape("8 publishers x 16 subscribers", 8, 16)
PACKETS_PER_SECOND = {"compiled": 9_600.0, "python": 4_800.0}
"""Forwarded, whatever the shape."""
WINDOW_SECONDS = 8.0
ROUNDS = 3
TRIES = 3
VERIFY = 8
"""Every how many-eth packet the clients decrypt and check; that all come, and once, is seen by their numbers."""
ARRIVED = 0.9
"""Of what is to be forwarded, at least."""
BAR = 1.8

Start = Callable[[Place, Path, str], AbstractAsyncContextManager[Sfu]]
WORKERS: dict[str, Start] = {"one": parley, "two": pair}


@dataclass(slots=True)
class Bench:
    """A run: CPU microseconds per forwarded packet of the busiest worker, by fan-out, shape and number of workers."""

    place: Place
    folder: Path
    costs: dict[tuple[str, str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def measure(self, fanout: str, shape: Shape) -> None:
        """Measure one worker and two, one after the other. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        pairs = {name: self._valid(name, fanout, shape) for name in WORKERS}
        if all(pairs.values()):
            for name, result in pairs.items():
                if result is not None:
                    self.costs[fanout, shape.name, name].append(result.cpu_us)

    def _valid(self, name: str, fanout: str, shape: Shape) -> Measured | None:
        for _ in range(TRIES):
            result = uvloop.run(self._once(name, fanout, shape))
            if not result.void:
                _note(f"{name} {fanout}, {shape.name}: {result.cpu_us:.2f} µs")
                return result
            _note(f"{name} {fanout}, {shape.name}: void, since {'; '.join(result.void)}")
        return None

    async def _once(self, name: str, fanout: str, shape: Shape) -> Measured:
        load = steady(shape, PACKETS_PER_SECOND[fanout], VERIFY)
        async with WORKERS[name](self.place, self.folder / f"{name}.log", fanout) as sfu:
            result = await measured(sfu, self.place.here, load, WINDOW_SECONDS)
        if result.packets_per_second < ARRIVED * load.packets_per_second:
            result.void.append(f"only {result.packets_per_second:,.0f} packets/s arrived")
        return result


def main() -> list[Figure]:
    """Measure everything."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        bench = Bench(namespace.LOOPBACK, Path(folder))
        for fanout in PACKETS_PER_SECOND:
            try:
                for _ in range(ROUNDS):
                    bench.measure(fanout, LARGE)
                bench.measure(fanout, SMALL)
            except (SfuFailed, ConnectionFailed, SdpInvalid) as error:
                _note(f"{fanout} is left out: {error}")
            figures += [*_figures(bench, fanout, LARGE, BAR), *_figures(bench, fanout, SMALL, 0.0)]
    return figures


def _figures(bench: Bench, fanout: str, shape: Shape, bar: float) -> list[Figure]:
    one, two = (bench.costs[fanout, shape.name, name] for name in WORKERS)
    if not one:
        return []
    ratio = statistics.median(alone / busiest for alone, busiest in zip(one, two, strict=True))
    title = f"{fanout}, {shape.name}"
    return [
        Figure(f"{title}: CPU per forwarded packet, one worker", statistics.median(one), "µs"),
        Figure(f"{title}: the same, busiest of two", statistics.median(two), "µs"),
        Figure(
            f"{title}: two workers carry, median of {len(one)}",
            ratio,
            "x one",
            f">= {bar} x" if bar else "",
            ratio >= bar if bar else None,
        ),
    ]


def _note(text: str) -> None:
    print(f"bench cascade: {text}", file=sys.stderr, flush=True)
