"""One measurement: a room filled on an SFU, watched from outside for a window of time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import psutil

from loadtest import cpu
from loadtest.media.connection import Certificate
from loadtest.media.figures import Figures
from loadtest.media.health import LAG_SECONDS, Metronome, reasons_void
from loadtest.media.participant import Participant, Settings
from loadtest.media.uplink import Profile
from loadtest.peers.sfu import Sfu

FRAME_PACKETS = 5
PACKET_BYTES = 1_000
WARM_SECONDS = 1.0
WARM_STEPS = 15
ENOUGH = 0.97
SETTLE_SECONDS = 1.2
JOINING = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """Who sends and who receives in a room; where `everyone`, all do both, and nobody receives themselves."""

    name: str
    publishers: int
    subscribers: int
    everyone: bool = False

    @property
    def tracks(self) -> int:
        """How many tracks are forwarded."""
        receivers = self.subscribers - 1 if self.everyone else self.subscribers
        return self.publishers * receivers


@dataclass(frozen=True, slots=True)
class Load:
    """What is put on an SFU: rooms of a shape, what each publisher sends, and which packets are checked whole."""

    shape: Shape
    profile: Profile
    rooms: int = 1
    verify: int = 1

    @property
    def packets_per_second(self) -> float:
        """How many packets are to be forwarded."""
        return self.rooms * self.shape.tracks * self.profile.packets_per_second


def steady(shape: Shape, packets_per_second: float, verify: int = 1) -> Load:
    """Make a load that forwards so many packets a second, whatever the shape: video alone, frames of five packets."""
    frames = max(1, round(packets_per_second / shape.tracks / FRAME_PACKETS))
    bitrate = frames * FRAME_PACKETS * PACKET_BYTES * 8
    return Load(shape, Profile(bitrate, frames, audio_bytes=0), verify=verify)


@dataclass(slots=True)
class Measured:
    """What was seen. CPU is the SFU's alone, of several processes the busiest one's, per packet that clients received.

    Memory is what the resident sets grew by with the subscribers.
    """

    cpu_us: float
    packets_per_second: float
    bytes_per_subscriber: float
    joins_per_second: float
    figures: Figures
    void: list[str] = field(default_factory=list)

    @property
    def cores(self) -> float:
        """How much of a core the SFU used."""
        return self.cpu_us * self.packets_per_second / 1e6


async def measured(sfu: Sfu, host: str, load: Load, seconds: float) -> Measured:
    """Fill rooms, watch them, empty them. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
    figures, shape = Figures(), load.shape
    settings = Settings(Certificate(), host, load.profile, figures, load.verify)
    lag = Metronome(LAG_SECONDS, lambda: None, figures.lag)
    lag.start(0)
    seats = _seats(settings, load)
    clients = [client for _, client in seats]
    try:
        sending = [(room, client) for room, client in seats if client.uplink is not None]
        receiving = [(room, client) for room, client in seats if client.uplink is None]
        await _joined(sfu, sending)
        before_subscribers = _resident(sfu)
        if not shape.everyone:
            figures.join.clear()  # what counts is joining a room that talks already
        began = time.monotonic()
        await _joined(sfu, receiving)
        joining = time.monotonic() - began
        await asyncio.gather(*(client.heard() for client in clients if client.downlink))
        await _warmed(figures, load)
        measured = await _watched(sfu, figures, seconds)
        measured.joins_per_second = len(receiving) / joining if receiving else 0.0
        grown = _resident(sfu) - before_subscribers
        measured.bytes_per_subscriber = grown / len(receiving) if receiving else 0.0
        for client in clients:
            if client.uplink is not None:
                client.uplink.stop()
        await asyncio.sleep(SETTLE_SECONDS)
    finally:
        lag.stop()
        for client in clients:
            client.close()
    measured.void = reasons_void(figures)
    return measured


def _seats(settings: Settings, load: Load) -> list[tuple[int, Participant]]:
    """Make the clients, each with its room's number; those who send come first in theirs."""
    shape = load.shape
    size = shape.publishers if shape.everyone else shape.publishers + shape.subscribers
    return [
        (
            room,
            Participant(
                settings,
                room * size + seat,
                publishes=seat < shape.publishers,
                subscribes=shape.everyone or seat >= shape.publishers,
            ),
        )
        for room in range(load.rooms)
        for seat in range(size)
    ]


async def _joined(sfu: Sfu, seats: list[tuple[int, Participant]]) -> None:
    turn = asyncio.Semaphore(JOINING)

    async def join(room: int, client: Participant) -> None:
        async with turn:
            await sfu.join(room, client)

    try:
        async with asyncio.TaskGroup() as group:
            for room, client in seats:
                group.create_task(join(room, client))
    except ExceptionGroup as group_of:
        raise group_of.exceptions[0] from None


async def _warmed(figures: Figures, load: Load) -> None:
    """Wait until as much arrives as is meant to: bandwidth estimates begin low. Goes on without, after a while."""
    for _ in range(WARM_STEPS):
        before = figures.received
        await asyncio.sleep(WARM_SECONDS)
        if figures.received - before > ENOUGH * load.packets_per_second * WARM_SECONDS:
            return


async def _watched(sfu: Sfu, figures: Figures, seconds: float) -> Measured:
    families = {str(pid): [pid] for pid in sfu.pids}
    for each in (figures.latency, figures.lag, figures.lateness):
        each.clear()
    packets, read, began = figures.received, cpu.read(families), time.monotonic()
    await asyncio.sleep(seconds)
    spent = max(cpu.spent(read, cpu.read(families)).values())
    forwarded = max(figures.received - packets, 1)
    passed = time.monotonic() - began
    return Measured(spent * 1e6 / forwarded, forwarded / passed, 0.0, 0.0, figures)


def _resident(sfu: Sfu) -> int:
    return sum(int(psutil.Process(pid).memory_info().rss) for pid in sfu.pids)


__all__ = ["Load", "Measured", "Shape", "measured", "steady"]
