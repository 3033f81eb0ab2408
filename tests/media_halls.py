"""Parts of one room on several ports of this process, joined by relays as workers are, with light clients in them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import combinations

from parley.media.v1.relay_pb2 import RelayMessage

from loadtest.media.connection import Certificate
from loadtest.media.figures import Figures
from loadtest.media.participant import Participant, Settings
from loadtest.media.uplink import Profile
from services.media.listener import Listener
from services.media.port import Port
from services.media.publisher import Wanted
from services.media.relay import Relay
from services.media.room import Room
from services.media.sdp import Local
from services.media.subscriber import Offer
from services.media.track import PublishedTrack
from tests.media_room import ALL, MEETING, until


class Hall(Listener):
    """A part of the room on a port of its own, as a worker holds it; offers are answered at once."""

    def __init__(self, node: str, fanout: str) -> None:
        self.node = node
        self.port = Port("127.0.0.1:0", ("127.0.0.1",), fanout)
        self.room = Room(MEETING, self.port, self, 10, 25)
        self.relays: dict[str, Relay] = {}
        self.clients: dict[str, Participant] = {}
        self.told: list[tuple[str, str]] = []
        self.wanted: list[list[str]] = []
        self.spoken: dict[str, list[str]] = {}

    def offer(self, participant: str, offer: Offer) -> None:
        asyncio.get_running_loop().call_soon(self._answer, participant, offer)

    def _answer(self, participant: str, offer: Offer) -> None:
        client = self.clients[participant]
        if client.downlink is not None and participant in self.room.peers:  # it may close meanwhile
            answer = client.downlink.answer(offer.sdp)
            self.room.peer(participant).subscriber.answer(answer, offer.revision)

    def published(self, track: PublishedTrack) -> None:
        self.told.append(("published", track.id))

    def updated(self, track: PublishedTrack) -> None:
        self.told.append(("updated", track.id))

    def unpublished(self, track: PublishedTrack) -> None:
        self.told.append(("unpublished", track.id))

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        self.wanted.append(rids)
        client = self.clients[track.participant]
        if client.uplink is not None:
            client.uplink.want(rids)

    def elsewhere(self, node: str, speakers: list[str]) -> None:
        self.spoken[node] = speakers

    async def join(
        self, settings: Settings, number: int, *, publishes: bool = False
    ) -> Participant:
        participant = name(number)
        client = Participant(settings, number, publishes=publishes, subscribes=True)
        self.clients[participant] = client
        self.room.start_peer(participant, ALL)
        if client.uplink is not None:
            wanted = {mid: Wanted("", muted=False) for mid in client.uplink.mids}
            published = self.room.publish(participant, client.uplink.offer(), wanted)
            client.uplink.answered(published.answer)
        await client.connected()
        return client

    def leave(self, number: int) -> None:
        self.clients.pop(name(number)).close()
        self.room.remove_peer(name(number))

    def tick(self, now: float) -> None:
        for relay in tuple(self.relays.values()):
            relay.tick(now)
        self.room.tick(now)

    def find(self, meeting: str) -> Room | None:
        return self.room if meeting == MEETING else None


def name(number: int) -> str:
    return f"{MEETING}/participants/{number}"


class Lossy:
    """A way between two ports that loses every 20th packet of media, in both directions."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.lost = 0
        self._target, self._caller = target, target
        self._seen = 0
        self._front, self._back = (self._socket(read) for read in (self._there, self._here))
        self.address: tuple[str, int] = self._front.getsockname()

    def close(self) -> None:
        for each in (self._front, self._back):
            asyncio.get_running_loop().remove_reader(each)
            each.close()

    def _socket(self, read: Callable[[], None]) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        asyncio.get_running_loop().add_reader(made, read)
        return made

    def _there(self) -> None:
        datagram, self._caller = self._front.recvfrom(2048)
        self._pass(datagram, self._back, self._target)

    def _here(self) -> None:
        self._pass(self._back.recv(2048), self._front, self._caller)

    def _pass(self, datagram: bytes, by: socket.socket, to: tuple[str, int]) -> None:
        is_media = 128 <= datagram[0] <= 191 and not 192 <= datagram[1] <= 223
        self._seen += is_media
        if is_media and self._seen % 20 == 0:
            self.lost += 1
        else:
            by.sendto(datagram, to)


def connect(ours: Hall, theirs: Hall, address: tuple[str, int] | None = None) -> None:
    """Join two halls by a relay: `ours` calls, at an address of another way if there is one."""
    caller, called = ours.port.new_caller(), theirs.port.new_transport()
    here, there = ours.port.local(caller), theirs.port.local(called)
    called.set_remote(remote(here))
    caller.set_remote(remote(there))
    loop = asyncio.get_running_loop()

    def to(hall: Hall, sender: Hall) -> Callable[[RelayMessage], None]:
        def say(message: RelayMessage) -> None:
            copy = RelayMessage.FromString(message.SerializeToString())
            loop.call_soon(lambda: hall.relays[sender.node].hear(copy))

        return say

    for hall, other, transport in ((ours, theirs, caller), (theirs, ours, called)):
        say = to(other, hall)
        hall.relays[other.node] = Relay(other.node, "", transport, hall.port.fanout, say, hall.find)
    caller.call([address] if address else there.candidates, time.monotonic())
    for hall, other in ((ours, theirs), (theirs, ours)):
        hall.relays[other.node].link(hall.room)


def remote(local: Local) -> tuple[str, str, tuple[str, str]]:
    return local.credentials.ufrag, local.credentials.password, ("sha-256", local.fingerprint)


@asynccontextmanager
async def halls(
    count: int, fanout: str = "auto", ways: list[Lossy] | None = None
) -> AsyncIterator[Sequence[Hall]]:
    """Open parts of one room, each joined to each other, and wait until media can go between them.

    If there is a list for lossy ways, media goes by such, which are put there.
    """
    made = [Hall(f"media-{number}", fanout) for number in range(count)]
    for hall in made:
        hall.port.open()
    for ours, theirs in combinations(made, 2):
        if ways is None:
            connect(ours, theirs)
        else:
            ways.append(Lossy(("127.0.0.1", theirs.port.number)))
            connect(ours, theirs, ways[-1].address)

    async def tick() -> None:
        while True:
            for hall in made:
                hall.tick(time.monotonic())
            await asyncio.sleep(0.05)

    ticking = asyncio.create_task(tick())
    try:
        await until(lambda: all(r.transport.is_connected for h in made for r in h.relays.values()))
        yield made
    finally:
        ticking.cancel()
        for way in ways or ():
            way.close()
        for hall in made:
            for client in hall.clients.values():
                client.close()
            hall.room.close()
            hall.port.close()


def settings(profile: Profile | None = None, *, red: bool = False) -> Settings:
    return Settings(Certificate(), "127.0.0.1", profile or Profile(), Figures(), red=red)


__all__ = ["Hall", "Lossy", "connect", "halls", "name", "settings"]
