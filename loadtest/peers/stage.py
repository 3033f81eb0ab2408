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
WARM_SECONDS = 1.5
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

    def profile(self, packets_per_second: float) -> Profile:
        """Say what each publisher sends so that so many packets a second are forwarded: frames of five packets."""
        frames = max(1, round(packets_per_second / self.tracks / FRAME_PACKETS))
        bitrate = frames * FRAME_PACKETS * PACKET_BYTES * 8
        return Profile(bitrate, frames, audio_bytes=0)


@dataclass(slots=True)
class Measured:
    """What was seen. CPU is the SFU's alone; memory is what its resident set grew by with the subscribers."""

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


async def measured(
    sfu: Sfu, host: str, shape: Shape, packets_per_second: float, seconds: float, verify: int = 1
) -> Measured:
    """Fill a room, watch it, empty it. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
    figures = Figures()
    profile = shape.profile(packets_per_second)
    settings = Settings(Certificate(), host, profile, figures, verify)
    lag = Metronome(LAG_SECONDS, lambda: None, figures.lag)
    lag.start(0)
    clients = _clients(settings, shape)
    try:
        sending = clients if shape.everyone else clients[: shape.publishers]
        await _joined(sfu, sending)
        before_subscribers = _resident(sfu)
        if not shape.everyone:
            figures.join.clear()  # what counts is joining a room that talks already
        began = time.monotonic()
        receiving = clients[len(sending) :]
        await _joined(sfu, receiving)
        joining = time.monotonic() - began
        await asyncio.gather(*(client.heard() for client in clients if client.downlink))
        await asyncio.sleep(WARM_SECONDS)
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
    measured.void = _void(figures, measured, packets_per_second)
    return measured


def _clients(settings: Settings, shape: Shape) -> list[Participant]:
    if shape.everyone:
        return [
            Participant(settings, number, publishes=True, subscribes=True)
            for number in range(shape.publishers)
        ]
    count = shape.publishers + shape.subscribers
    return [
        Participant(
            settings,
            number,
            publishes=number < shape.publishers,
            subscribes=number >= shape.publishers,
        )
        for number in range(count)
    ]


async def _joined(sfu: Sfu, clients: list[Participant]) -> None:
    turn = asyncio.Semaphore(JOINING)

    async def join(client: Participant) -> None:
        async with turn:
            await sfu.join(0, client)

    try:
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(join(client))
    except ExceptionGroup as group_of:
        raise group_of.exceptions[0] from None


async def _watched(sfu: Sfu, figures: Figures, seconds: float) -> Measured:
    families = {"sfu": [sfu.pid]}
    for each in (figures.latency, figures.lag, figures.lateness):
        each.clear()
    packets, read, began = figures.received, cpu.read(families), time.monotonic()
    await asyncio.sleep(seconds)
    spent = cpu.spent(read, cpu.read(families))["sfu"]
    forwarded = max(figures.received - packets, 1)
    passed = time.monotonic() - began
    return Measured(spent * 1e6 / forwarded, forwarded / passed, 0.0, 0.0, figures)


def _void(figures: Figures, measured: Measured, wanted: float) -> list[str]:
    reasons = reasons_void(figures)
    if figures.loss_after > 0.01:
        reasons.append(f"{100 * figures.loss_after:.1f} % of the packets were lost")
    if measured.packets_per_second < 0.8 * wanted:
        reasons.append(f"{measured.packets_per_second:,.0f} packets/s of {wanted:,.0f} arrived")
    return reasons


def _resident(sfu: Sfu) -> int:
    return int(psutil.Process(sfu.pid).memory_info().rss)


__all__ = ["Measured", "Shape", "measured"]
