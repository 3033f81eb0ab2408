"""`python -m loadtest.media.capacity`: how many rooms one media worker holds on one core, at less than 0.1 % loss.

The worker runs by itself, pinned to one core where the machine has several; rooms are added until packets go missing or
the clients can't follow, and the table says which of the two it was. Nothing is lost by a network here: what is
missing at first, retransmitted or not, was the worker's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from loadtest.media.connection import ConnectionFailed
from loadtest.media.sdp import SdpInvalid
from loadtest.media.uplink import Profile
from loadtest.peers.piped import parley
from loadtest.peers.place import Place, own_place
from loadtest.peers.sfu import SfuFailed
from loadtest.peers.stage import Load, Measured, Shape, measured

LOSS = 0.001
VERIFY = 16
MOST_ROOMS = 256
STEPS = 2
"""Bisections, after the number of rooms has been doubled once too often."""

CAMERA = Profile()
THUMBNAIL = Profile(bitrate_bps=150_000, frames_per_second=15)
ROWS = (
    ("2 people, cameras of 1.2 Mbit/s", Shape("2x2", 2, 2, everyone=True), CAMERA),
    ("4 people, cameras of 1.2 Mbit/s", Shape("4x4", 4, 4, everyone=True), CAMERA),
    ("10 people, cameras of 150 kbit/s", Shape("10x10", 10, 10, everyone=True), THUMBNAIL),
    ("30 people, cameras of 150 kbit/s", Shape("30x30", 30, 30, everyone=True), THUMBNAIL),
    ("1 speaker, 30 listeners, 1.2 Mbit/s", Shape("1x30", 1, 30), CAMERA),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the most that held, and what stopped it from being more."""

    title: str
    load: Load
    result: Measured
    limit: str

    def text(self) -> str:
        """Lay it out as Markdown."""
        latency = self.result.figures.latency
        cells = (
            self.title,
            f"{self.load.rooms}",
            f"{self.load.rooms * self.load.shape.tracks:,}",
            f"{self.result.packets_per_second:,.0f}",
            f"{100 * self.result.cores:.0f} %",
            f"{100 * self.result.figures.loss_before:.3f} %",
            f"{latency.quantile(0.5) / 1000:.1f} / {latency.quantile(0.99) / 1000:.1f} ms",
            self.limit,
        )
        return f"| {' | '.join(cells)} |"


HEAD = """| room | rooms | people's cameras and microphones forwarded | packets/s | of a core | loss | latency p50 / p99 | more was stopped by |
|---|---|---|---|---|---|---|---|"""


def most(holds: Callable[[int], str], limit: int, steps: int) -> tuple[int, str]:
    """Find the largest number that holds (`holds` gives no reason against it), and the reason against more.

    Doubles up to `limit`, then halves the interval `steps` times. 0 when not even 1 holds.
    """
    good, bad, reason = 0, 1, ""
    while bad <= limit:
        if reason := holds(bad):
            break
        good, bad = bad, 2 * bad
    else:
        return good, "the end of the search"
    for _ in range(steps):
        middle = (good + bad) // 2
        if middle == good:
            break
        if found := holds(middle):
            bad, reason = middle, found
        else:
            good = middle
    return good, reason


class Search:
    """Measures loads on a fresh worker each, and remembers what held."""

    def __init__(self, place: Place, folder: Path, fanout: str, seconds: float) -> None:
        self._place = place
        self._folder = folder
        self._fanout = fanout
        self._seconds = seconds

    def line(self, title: str, shape: Shape, profile: Profile) -> str:
        """Search for one line of the table. Raises SfuFailed."""
        held: dict[int, tuple[Load, Measured]] = {}

        def holds(rooms: int) -> str:
            load = Load(shape, profile, rooms, VERIFY)
            result, reason = self._tried(load)
            if result is not None and not reason:
                held[rooms] = load, result
            _note(f"{title}: {rooms} rooms: {reason or 'held'}")
            return reason

        rooms, reason = most(holds, MOST_ROOMS, STEPS)
        if not rooms:
            return f"| {title} | 0 | | | | | | {reason} |"
        return Row(title, *held[rooms], reason).text()

    def _tried(self, load: Load) -> tuple[Measured | None, str]:
        try:
            result = uvloop.run(self._measured(load))
        except (ConnectionFailed, SdpInvalid) as error:
            return None, f"the worker: {error}"
        if result.void:
            return result, "the clients, on the other core"
        missing = result.packets_per_second < (1 - LOSS) * 0.97 * load.packets_per_second
        if result.figures.loss_before >= LOSS or missing or result.figures.silent:
            return result, "the worker"
        return result, ""

    async def _measured(self, load: Load) -> Measured:
        async with parley(self._place, self._folder / "worker.log", self._fanout) as worker:
            return await measured(worker, self._place.here, load, self._seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns the exit status."""
    options = _options(arguments)
    with (
        own_place() as place,
        tempfile.TemporaryDirectory(prefix="parley-capacity-") as folder,
    ):
        search = Search(place, Path(folder), options.fanout, options.seconds)
        try:
            print(HEAD, flush=True)
            for each in ROWS:
                print(search.line(*each), flush=True)
        except SfuFailed as error:
            print(f"capacity: {error}", file=sys.stderr)
            return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.media.capacity",
        description="Find how many rooms one media worker holds on one core, at less than 0.1 % loss.",
    )
    parser.add_argument(
        "--fanout", choices=("python", "compiled"), default="python", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        choices=range(2, 61),
        default=6,
        metavar="N",
        help="to watch each load, 2 to 60 (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _note(text: str) -> None:
    print(f"capacity: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
