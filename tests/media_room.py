"""A room of the SFU on a port of its own, and aiortc clients in it: what the media service's wire tests stand on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.media.listener import Listener
from services.media.peer import Grants
from services.media.port import Port
from services.media.room import Room
from services.media.subscriber import Offer
from services.media.track import PublishedTrack
from tests.rtc import RtcClient, on_loopback

MEETING = "meetings/abc-defg-hij"
ALL = Grants(frozenset({"microphone", "camera", "screen"}), subscribe=True)


class Told(Listener):
    """Carries offers to clients, and remembers the rest."""

    def __init__(self) -> None:
        self.room: Room | None = None
        self.clients: dict[str, RtcClient] = {}
        self.muted: list[bool] = []
        self.gone: list[str] = []
        self.hearing = True
        self.audio_packets = 0
        self._answering: set[asyncio.Task[None]] = set()

    def offer(self, participant: str, offer: Offer) -> None:
        if self.room is None:  # it is closing
            return
        task = asyncio.create_task(self._answer(participant, offer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def hang_up(self) -> None:
        """Answer no more."""
        self.room = None
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _answer(self, participant: str, offer: Offer) -> None:
        assert self.room is not None
        client = self.clients[participant]
        if offer.revision > 1:  # aiortc leaves receivers out that come while it is still connecting
            await until(lambda: client.subscriber.connectionState == "connected")
        answer = await client.answer(offer.sdp)
        self.room.peer(participant).subscriber.answer(answer, offer.revision)

    def updated(self, track: PublishedTrack) -> None:
        self.muted.append(track.forwarder.muted)

    def unpublished(self, track: PublishedTrack) -> None:
        self.gone.append(track.id)

    def hears(self, _track: PublishedTrack) -> bool:
        return self.hearing

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        self.audio_packets += 1


@asynccontextmanager
async def a_room(
    listen: str = "127.0.0.1:0",
    advertise: tuple[str, ...] = ("127.0.0.1",),
    *,
    port: Port | None = None,
    told: Told | None = None,
    last_n: int = 10,
) -> AsyncIterator[tuple[Room, Told]]:
    port, told = port or Port(listen, advertise), told or Told()
    port.open()
    room = told.room = Room(MEETING, port, told, 10, last_n)

    async def tick() -> None:
        while True:
            room.tick(time.monotonic())
            await asyncio.sleep(0.05)

    ticking = asyncio.create_task(tick())
    try:
        with on_loopback(*advertise):
            yield room, told
    finally:
        ticking.cancel()
        await told.hang_up()
        for client in told.clients.values():
            await client.close()
        room.close()
        port.close()


async def join(
    room: Room, told: Told, name: str, *, publish: bool, client: RtcClient | None = None
) -> RtcClient:
    participant = f"{MEETING}/participants/{name}"
    client = told.clients[participant] = client or RtcClient()
    room.start_peer(participant, ALL)
    if publish:
        offer = await client.offer()
        published = room.publish(participant, offer, {})
        await client.answered(published.answer)
    return client


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so; it takes what it takes."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.02)


__all__ = ["ALL", "MEETING", "Told", "a_room", "join", "until"]
