"""What forwarding costs: Parley's media worker beside other SFUs, in one run, in turns, under the same clients.

Every SFU runs as a process of its own, watched from outside; light clients (`loadtest.media`) publish, subscribe and
check what arrives. Janus takes no loopback addresses: where that can be made (as root), all run in a network namespace
behind a veth; elsewhere Parley is measured alone. The SFU has one core and the clients the others. RTX, NACK and transport-wide feedback are on wherever an SFU has
them. A measurement for which the clients were too slow is void, and taken again.
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
from loadtest.peers import janus
from loadtest.peers.piped import has_werift, parley, werift
from loadtest.peers.place import Place, can_make_namespaces, own_place
from loadtest.peers.sfu import Sfu, SfuFailed
from loadtest.peers.stage import Measured, Shape, measured, steady
from stack.bench import Figure

MAIN = Shape("8 publishers x 16 subscribers", 8, 16)
BUSY = Shape("8 publishers x 16 subscribers, twice the packets", 8, 16)
OTHERS = (
    Shape("1x30", 1, 30),
    Shape("10x10", 10, 10, everyone=True),
    Shape("30x30", 30, 30, everyone=True),
)
JOINED = OTHERS[0]
"""Where joins and memory are measured: thirty people come to one who talks."""
BARRED = (MAIN, BUSY, OTHERS[2])
"""Where the bars are."""
PACKETS_PER_SECOND = 9_600.0
"""Forwarded, whatever the shape: what differs is the fan-out. Cameras of 600 kbit/s, in the main one."""
SLOWER = {"werift": 3_000.0}
"""What does not get that far is measured at less, and once: it is no rival. Nor is Janus as installed."""
WINDOW_SECONDS = 8.0
ROUNDS = 3
TRIES = 3
ARRIVED = 0.9
"""Of what is to be forwarded, at least."""
MOST_PACKETS_PER_SECOND = 24_000.0
"""What the clients can take and still tell latencies from their own."""
SPARING_VERIFY = 8
"""Of so many packets one is checked whole, where there are more than the clients can check."""
PURE, COMPILED, PEER = "Parley, pure Python", "Parley, compiled", "Janus, event_loops = 1"
JANUS_AS_INSTALLED, WERIFT = "Janus as installed", "werift"
PURE_BAR, COMPILED_BAR = 1.0, 0.4
LATENCY_BAR_MS, JOIN_BAR_SECONDS = 1.5, 1.0

Start = Callable[[Place, Path], AbstractAsyncContextManager[Sfu]]
SFUS: dict[str, Start] = {
    PURE: lambda place, folder: parley(place, folder / "python.log", "python"),
    COMPILED: lambda place, folder: parley(place, folder / "compiled.log", "compiled"),
    PEER: lambda place, folder: janus.janus(place, folder / "janus-loops", 1),
    JANUS_AS_INSTALLED: lambda place, folder: janus.janus(place, folder / "janus", 0),
    WERIFT: lambda place, folder: werift(place, folder / "werift.log"),
}


@dataclass(slots=True)
class Bench:
    """A run: what was measured, by SFU and shape. An SFU that does not start is left out."""

    place: Place
    folder: Path
    names: list[str]
    results: dict[tuple[str, str], list[Measured]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def measure(self, shape: Shape) -> None:
        """Measure all SFUs once, one after the other."""
        for name in tuple(self.names):
            results = self.results[name, shape.name]
            if (name in SLOWER and self.is_known(name)) or (name == JANUS_AS_INSTALLED and results):
                continue
            rate, verify = SLOWER.get(name, PACKETS_PER_SECOND), 1
            if shape is BUSY:
                rate, verify = 2 * PACKETS_PER_SECOND, SPARING_VERIFY
            if (result := self._valid(name, shape, rate, verify)) is not None:
                results.append(result)

    def is_known(self, name: str) -> bool:
        """Tell whether it was tried already."""
        return (name, MAIN.name) in self.results

    def measure_latency(self, name: str) -> tuple[float, Measured] | None:
        """Measure one at half of the load that a core of it takes, or at as much as the clients take."""
        if not (costs := self.costs(name, MAIN)):
            return None
        half = 1e6 / statistics.median(costs) / 2
        rate = min(half, MOST_PACKETS_PER_SECOND)
        result = self._valid(name, MAIN, rate, SPARING_VERIFY)
        return None if result is None else (rate, result)

    def costs(self, name: str, shape: Shape) -> list[float]:
        """List what was measured: CPU microseconds per forwarded packet."""
        return [each.cpu_us for each in self.results[name, shape.name]]

    def _valid(self, name: str, shape: Shape, rate: float, verify: int) -> Measured | None:
        for _ in range(TRIES):
            try:
                result = uvloop.run(self._once(name, shape, rate, verify))
            except (SfuFailed, ConnectionFailed, SdpInvalid) as error:
                _note(f"{name} is left out: {error}")
                self.names.remove(name)
                return None
            if not result.void:
                _note(f"{name}, {shape.name}: {result.cpu_us:.2f} µs")
                return result
            _note(f"{name}, {shape.name}: void, since {'; '.join(result.void)}")
        return None

    async def _once(self, name: str, shape: Shape, rate: float, verify: int) -> Measured:
        load = steady(shape, rate, verify)
        async with SFUS[name](self.place, self.folder) as sfu:
            result = await measured(sfu, self.place.here, load, WINDOW_SECONDS)
        if result.packets_per_second < ARRIVED * load.packets_per_second:
            result.void.append(f"only {result.packets_per_second:,.0f} packets/s arrived")
        return result


def main() -> list[Figure]:
    """Measure everything."""
    names = _present()
    with (
        own_place() as place,
        tempfile.TemporaryDirectory(prefix="parley-bench-") as folder,
    ):
        bench = Bench(place, Path(folder), names)
        for shape in (MAIN, BUSY, *OTHERS) * ROUNDS:
            bench.measure(shape)
        figures = [*_costs(bench), *_ratios(bench), *_joins(bench)]
        for name in (each for each in bench.names if each not in SLOWER):
            figures += _latency(name, bench.measure_latency(name))
    return figures


def _present() -> list[str]:
    """List the SFUs that there are; say how to get the others."""
    names = [PURE, COMPILED]
    if can_make_namespaces() and janus.is_installed():
        names += [PEER, JANUS_AS_INSTALLED]
    else:
        _note("no Janus: it takes root, and `apt-get install --no-install-recommends janus`")
    if has_werift():
        names.append(WERIFT)
    else:
        _note("no werift: it takes Node, and `npm install --prefix loadtest/peers/werift`")
    return names


def _costs(bench: Bench) -> list[Figure]:
    return [
        Figure(f"{name}: CPU per forwarded packet, {shape.name}", statistics.median(costs), "µs")
        for shape in (MAIN, BUSY, *OTHERS)
        for name in bench.names
        if (costs := bench.costs(name, shape))
    ]


def _ratios(bench: Bench) -> list[Figure]:
    figures = []
    for name, bar in ((PURE, PURE_BAR), (COMPILED, COMPILED_BAR)):
        for shape in (MAIN, BUSY, *OTHERS):
            pairs = list(zip(bench.costs(name, shape), bench.costs(PEER, shape), strict=False))
            if pairs:
                ratio = statistics.median(ours / theirs for ours, theirs in pairs)
                title = f"{name}: of Janus's CPU, {shape.name}, median of {len(pairs)}"
                has_bar = shape in BARRED
                met = ratio <= bar if has_bar else None
                figures.append(Figure(title, ratio, "x", f"<= {bar} x" if has_bar else "", met))
    return figures


def _joins(bench: Bench) -> list[Figure]:
    figures = []
    for name in bench.names:
        for each in bench.results[name, JOINED.name][:1]:
            first = each.figures.first_packet
            p95 = first.quantile(0.95) / 1e6
            is_ours = name in (PURE, COMPILED)
            bar = f"< {JOIN_BAR_SECONDS} s" if is_ours else ""
            met = p95 < JOIN_BAR_SECONDS if is_ours else None
            figures += [
                Figure(f"{name}: memory per subscriber", each.bytes_per_subscriber / 1e6, "MB"),
                Figure(f"{name}: joins, eight at a time", each.joins_per_second, "per s"),
                Figure(f"{name}: join to first packet, p50", first.quantile(0.5) / 1e6, "s"),
                Figure(f"{name}: join to first packet, p95", p95, "s", bar, met),
            ]
    return figures


def _latency(name: str, found: tuple[float, Measured] | None) -> list[Figure]:
    if found is None:
        return []
    rate, result = found
    p50, p99 = (result.figures.latency.quantile(share) / 1000 for share in (0.5, 0.99))
    at = f"at {rate:,.0f} packets/s, {100 * result.cores:.0f} % of a core"
    is_ours = name in (PURE, COMPILED)
    bar = f"< {LATENCY_BAR_MS} ms" if is_ours else ""
    return [
        Figure(f"{name}: added latency, p50, {at}", p50, "ms"),
        Figure(
            f"{name}: added latency, p99, {at}",
            p99,
            "ms",
            bar,
            p99 < LATENCY_BAR_MS if is_ours else None,
        ),
    ]


def _note(text: str) -> None:
    print(f"bench media: {text}", file=sys.stderr, flush=True)
