"""A subscriber's way, simulated: a bottleneck with a queue, and a reader that may sleep. No sockets, no clock.

Times are seconds of one clock, which the sender and the receiver share; the estimator sees their differences alone.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.media.acknowledged import Acknowledged
from services.media.allocation import NEEDED_MARGIN, NONE, Choice, Wish, allocate, needed_bps
from services.media.bandwidth import START_BPS, Estimator
from services.media.outlet import WIRE_BYTES
from services.media.probing import HEAD_BYTES, STEPS, Probe

STEP_SECONDS = 0.005
TICK_SECONDS = 0.05
ALLOCATE_SECONDS = 0.25
FEEDBACK_SECONDS = 0.05
FRAME_SECONDS = 1 / 30
FRAME_SPREAD = 0.4
"""The share of a frame's time over which a publisher spreads its packets (browsers pace at 2.5 times the rate)."""
SOUND_SECONDS = 0.02
PACKET_BYTES = 1_000
READ_SECONDS = 20e-6
"""What reading one packet takes a reader that has a backlog."""

Naps = Iterator[tuple[float, float]]


def regular_naps(every: float, length: float) -> Naps:
    """Sleep `length` seconds at the end of each `every` seconds."""
    number = 1
    while True:
        yield number * every - length, number * every
        number += 1


def random_naps(most_apart: float, longest: float) -> Naps:
    """Sleep now and then: naps of 30 ms to `longest`, up to `most_apart` from each other."""
    chance = random.Random(11)
    at = 0.0
    while True:
        begin = at + chance.uniform(0.05, most_apart)
        at = begin + chance.uniform(0.03, longest)
        yield begin, at


def no_naps() -> Naps:
    """Sleep never."""
    yield from ()


Feedback = tuple[int, list[int | None]]
"""The first number that is told of, and when each came, in microseconds."""


@dataclass
class Reader:
    """The process that receives: what arrives while it sleeps is read, and stamped, when it wakes."""

    naps: Naps = field(default_factory=no_naps)
    _read_at: float = 0.0
    _naps: deque[tuple[float, float]] = field(default_factory=deque)

    def awake(self, at: float) -> float:
        """Tell when it is awake first, from `at` on; `at` must not go back by more than a few seconds."""
        while not self._naps or self._naps[-1][0] <= at:
            nap = next(self.naps, (float("inf"), float("inf")))
            self._naps.append(nap)
        while len(self._naps) > 1 and self._naps[0][1] < at - 5:
            self._naps.popleft()
        for begin, end in self._naps:
            if begin <= at < end:
                return end
        return at

    def read(self, arrived: float) -> float:
        """Tell when a packet is read."""
        self._read_at = max(self.awake(arrived), self._read_at + READ_SECONDS)
        return self._read_at


@dataclass
class Way:
    """A bottleneck: what does not fit its queue is lost, and a share of the rest too; the reader at its end.

    `jitter_seconds` is the most that is added to the delay, at random, in order. The delay is the same each way.
    """

    capacity_bps: float
    queue_seconds: float = 0.3
    delay_seconds: float = 0.04
    loss: float = 0.0
    jitter_seconds: float = 0.0
    reader: Reader = field(default_factory=Reader)
    random: random.Random = field(default_factory=lambda: random.Random(7))
    waits: list[float] = field(default_factory=list)
    free_at: float = 0.0
    _arrived: float = 0.0

    def carry(self, size: int, now: float) -> float | None:
        """Returns when a packet is read, or None."""
        start = max(self.free_at, now)
        if start - now > self.queue_seconds or self.random.random() < self.loss:
            return None
        self.waits.append(start - now)
        self.free_at = start + 8 * size / self.capacity_bps
        jitter = self.random.uniform(0, self.jitter_seconds)
        self._arrived = max(self._arrived, self.free_at + self.delay_seconds + jitter)
        return self.reader.read(self._arrived)


class Sender:
    """Sends sound, and pictures with what the estimate leaves for them; probes as `quota` does.

    Pictures are of any rate up to `wanted_bps`, or, where there are `layers`, what `allocate` chooses of those; each change begins
    with a keyframe of so many times a frame's bytes.
    `estimates` and `pictures` (rates) are by TICK_SECONDS, `sounds` are when each packet of sound was read, None: never.
    """

    def __init__(
        self,
        way: Way,
        wanted_bps: float,
        *,
        sound_bps: float = 0,
        layers: tuple[int, ...] = (),
        keyframe: float = 1.0,
    ) -> None:
        self.way = way
        self.wanted_bps = wanted_bps
        self.sound_bps = sound_bps
        self.layers = layers
        self.keyframe = keyframe
        self.rank = 0
        self.picture_bps = float(layers[0] if layers else min(wanted_bps, START_BPS))
        self.told = Acknowledged(self)
        self.estimator = Estimator(self.told)
        self.now = 0.0
        self.packets: list[tuple[float, int]] = []
        self.lost = 0
        self.estimates: list[float] = []
        self.pictures: list[float] = []
        self.sounds: list[float | None] = []
        self.probes = 0
        self._due: list[tuple[float, int]] = []
        self._arrivals: list[float | None] = []
        self._reported = 0
        self._feedback: deque[tuple[float, Feedback]] = deque()
        self.read: Feedback = (0, [])
        self._fed_at = self._ticked_at = self._allocated_at = self._framed_at = self._spoke_at = 0.0
        self._probe_end = 0.0
        self._is_key = False

    @property
    def number(self) -> int:
        """How many packets were sent."""
        return len(self.packets)

    def sent(self, first: int, count: int) -> tuple[list[float], list[int]]:
        """Tell when packets left, and their bytes."""
        known = self.packets[first : first + count]
        return [at for at, _ in known], [size for _, size in known]

    @property
    def estimate_bps(self) -> float:
        """The estimate, or what it would begin with."""
        return self.estimator.estimate_bps or START_BPS

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        for _ in range(round(seconds / STEP_SECONDS)):
            self.now += STEP_SECONDS
            self._send_due()
            self._feed()
            if self.now - self._ticked_at >= TICK_SECONDS - 1e-9:
                self._ticked_at = self.now
                self._tick()

    def _send_due(self) -> None:
        if self.sound_bps and self.now - self._spoke_at >= SOUND_SECONDS - 1e-9:
            self._spoke_at = self.now
            self.sounds.append(self._send(int(self.sound_bps * SOUND_SECONDS / 8)))
        if self.now - self._framed_at >= FRAME_SECONDS:
            self._framed_at += FRAME_SECONDS
            self._frame()
        due = sorted(each for each in self._due if each[0] <= self.now)
        self._due = [each for each in self._due if each[0] > self.now]
        for _, size in due:
            self._send(size)
        if self._probe_end and self.now >= self._probe_end:
            self._probe_end = 0.0
            self.estimator.probed(self.number)

    def _send(self, size: int) -> float | None:
        self.packets.append((self.now, size))
        self._arrivals.append(self.way.carry(size, self.now))
        self.lost += self._arrivals[-1] is None
        return self._arrivals[-1]

    def _frame(self) -> None:
        size = self.keyframe if self._is_key else 1.0
        octets, self._is_key = int(size * self.picture_bps * FRAME_SECONDS / 8), False
        count = -(-octets // PACKET_BYTES)
        for number in range(count):
            spread = FRAME_SECONDS * FRAME_SPREAD * number / count
            self._due.append((self.now + spread, octets // count))

    def _feed(self) -> None:
        """Have the reader report what it has read by now, and take what has come back."""
        if (
            self.now - self._fed_at >= FEEDBACK_SECONDS
            and self.way.reader.awake(self.now) == self.now
        ):
            self._fed_at = self.now
            self._report()
        while self._feedback and self._feedback[0][0] <= self.now:
            _, self.read = self._feedback.popleft()
            self.told.take(*self.read)

    def _report(self) -> None:
        """Report, in order, what has been read; a gap counts as lost when something after it is there."""
        end = self._reported
        for number in range(self._reported, len(self._arrivals)):
            if (arrival := self._arrivals[number]) is None:
                continue
            if arrival > self.now:
                break
            end = number + 1
        if end > self._reported:
            part = self._arrivals[self._reported : end]
            arrivals = [None if a is None else int(a * 1e6) for a in part]
            feedback = (self._reported, arrivals)
            self._feedback.append((self.now + self.way.delay_seconds, feedback))
            self._reported = end

    def _tick(self) -> None:
        if self.estimator.tick(self.number, self.now):
            self._allocated_at = 0.0
        self.estimates.append(self.estimate_bps)
        self.pictures.append(self.picture_bps)
        if self.now - self._allocated_at < ALLOCATE_SECONDS - 1e-9:
            return
        self._allocated_at = self.now
        needed = self._allocate()
        if (probe := self.estimator.probe(needed, self.number, self.now)) is not None:
            self._probe(probe)

    def _allocate(self) -> float:
        """Choose what pictures take; returns what everything would take at its largest."""
        if self.estimator.estimate_bps is None:
            return 0
        left = max(0.0, self.estimate_bps - self.sound_bps)
        if not self.layers:
            self.picture_bps = min(self.wanted_bps, left)
            return self.wanted_bps * NEEDED_MARGIN + self.sound_bps
        choices = [Choice(rank, bps) for rank, bps in enumerate(self.layers)]
        wish = Wish("picture", choices, self.rank)
        rank = allocate([wish], left)["picture"]
        if self.rank == NONE != rank:
            self.estimator.expect_burst(self.now)
        if rank == NONE != self.rank:
            self.estimator.hurry()
        self._is_key = self._is_key or rank != self.rank
        self.rank = rank
        self.picture_bps = 0 if self.rank == NONE else self.layers[self.rank]
        return needed_bps([wish]) + self.sound_bps

    def _probe(self, probe: Probe) -> None:
        self.probes += 1
        for step in range(STEPS):
            self._probe_end = self.now + step * probe.seconds
            self._due += [(self._probe_end, probe.size + HEAD_BYTES + WIRE_BYTES)] * probe.packets


__all__ = ["Reader", "Sender", "Way", "no_naps", "random_naps", "regular_naps"]
