"""Light clients of the media load generator in a room of the SFU: what one sends arrives at the others, unchanged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.media.connection import Certificate
from loadtest.media.downlink import Downlink
from loadtest.media.figures import Figures
from loadtest.media.participant import Participant, Settings
from loadtest.media.uplink import Profile
from services.media.port import Port
from services.media.publisher import Wanted
from services.media.room import Grants, Listener, Room
from services.media.subscriber import Offer
from services.media.track import PublishedTrack

MEETING = "meetings/abc-defg-hij"
ALL = Grants(frozenset({"microphone", "camera"}), subscribe=True)


class Hall(Listener):
    """A room on a port of its own; offers are answered at once, as light clients can."""

    def __init__(self) -> None:
        self.port = Port("127.0.0.1:0", ("127.0.0.1",))
        self.room = Room(MEETING, self.port, self, 10, last_n=10)
        self.clients: dict[str, Participant] = {}

    def offer(self, participant: str, offer: Offer) -> None:
        asyncio.get_running_loop().call_soon(self._answer, participant, offer)

    def _answer(self, participant: str, offer: Offer) -> None:
        client = self.clients[participant]
        if client.downlink is not None and participant in self.room.peers:  # it may close meanwhile
            answer = client.downlink.answer(offer.sdp)
            self.room.peer(participant).subscriber.answer(answer, offer.revision)

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        client = self.clients[track.participant]
        if client.uplink is not None:
            client.uplink.want(rids)

    async def join(self, settings: Settings, number: int, *, publishes: bool) -> Participant:
        participant = f"{MEETING}/participants/{number}"
        client = Participant(settings, number, publishes=publishes, subscribes=True)
        self.clients[participant] = client
        self.room.start_peer(participant, ALL)
        if client.uplink is not None:
            wanted = {mid: Wanted("", muted=False) for mid in client.uplink.mids}
            published = self.room.publish(participant, client.uplink.offer(), wanted)
            client.uplink.answered(published.answer)
        await client.connected()
        return client


@asynccontextmanager
async def a_hall() -> AsyncIterator[Hall]:
    hall = Hall()
    hall.port.open()

    async def tick() -> None:
        while True:
            hall.room.tick(time.monotonic())
            await asyncio.sleep(0.05)

    ticking = asyncio.create_task(tick())
    try:
        yield hall
    finally:
        ticking.cancel()
        for client in hall.clients.values():
            client.close()
        hall.room.close()
        hall.port.close()


def settings(profile: Profile | None = None) -> Settings:
    return Settings(Certificate(), "127.0.0.1", profile or Profile(), Figures())


async def until(figures: Figures, verified: int) -> None:
    async with asyncio.timeout(20):
        while figures.verified < verified:  # noqa: ASYNC110  # a count has no event
            await asyncio.sleep(0.02)


async def test_what_one_sends_the_others_get_unchanged() -> None:
    used = settings()
    async with a_hall() as hall:
        ann = await hall.join(used, 1, publishes=True)
        others = [await hall.join(used, number, publishes=False) for number in (2, 3)]
        assert [await other.heard() for other in others] == [True, True]
        await until(used.figures, 500)
        assert ann.uplink is not None
        ann.uplink.stop()
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == 0
    assert figures.tracks == 2 * 2
    assert figures.silent == 0
    assert figures.keyframes >= 1


async def test_what_the_network_drops_is_asked_for_and_recovered() -> None:
    used = settings()
    async with a_hall() as hall:
        await hall.join(used, 1, publishes=True)
        bob = await hall.join(used, 2, publishes=False)
        assert bob.downlink is not None
        dropped = lose_some(bob.downlink)
        await until(used.figures, 800)
    assert len(dropped) > 10
    figures = used.figures
    assert figures.recovered > 0
    assert figures.lost < len(dropped)  # sound is not asked for again
    assert figures.loss_before > figures.loss_after
    assert figures.corrupt == 0


async def test_a_camera_of_layers_comes_as_one_without_a_gap() -> None:
    used = settings(Profile(simulcast=True, audio_bytes=0))
    async with a_hall() as hall:
        await hall.join(used, 1, publishes=True)
        await hall.join(used, 2, publishes=False)
        await until(used.figures, 100)
    figures = used.figures
    assert figures.corrupt == figures.lost == figures.duplicates == figures.silent == 0
    assert figures.tracks == 1


def lose_some(downlink: Downlink) -> list[int]:
    """Drop every 20th packet, the first time that it comes."""
    receive, seen = downlink.connection.on_rtp, 0
    dropped: list[int] = []

    def lossy(packet: bytes, arrival_ns: int) -> None:
        nonlocal seen
        seen += 1
        if seen % 20:
            receive(packet, arrival_ns)
        else:
            dropped.append(seen)

    downlink.connection.on_rtp = lossy
    return dropped
