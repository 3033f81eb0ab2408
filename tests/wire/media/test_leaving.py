"""Who has left is gone: nothing of a peer, or of a room that has ended, stays in a worker's memory."""

from __future__ import annotations

import gc
import time
from collections import Counter

from aioice import stun

from services.media.ice import Credentials
from services.media.listener import Listener
from services.media.port import Port
from services.media.room import Room
from services.media.subscriber import Offer
from services.media.transport import Transport
from tests.hostile import datagrams, descriptions
from tests.media_room import ALL, MEETING

PEOPLE = ("ann", "bob", "cleo")


def check(credentials: Credentials) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{credentials.ufrag}:them"
    message.attributes["PRIORITY"] = 1
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(credentials.password.encode())
    return bytes(message)


def held() -> Counter[str]:
    """Count the objects of the media service's classes that are alive."""
    gc.collect()
    types = (type(each) for each in gc.get_objects())
    return Counter(t.__qualname__ for t in types if f"{t.__module__}".startswith("services.media"))


class Answering(Listener):
    """Answers each offer as a client does that takes all of it."""

    def __init__(self) -> None:
        self.room: Room | None = None

    def offer(self, participant: str, offer: Offer) -> None:
        if self.room is None or participant not in self.room.peers or not offer.tracks:
            return
        answer = offer.sdp.replace("a=sendonly", "a=recvonly").replace("actpass", "active")
        self.room.peer(participant).subscriber.answer(answer, offer.revision)


def prove(port: Port, transport: Transport, number: int) -> None:
    """Let a peer be at two addresses, and begin a handshake that it never ends."""
    for network in (1, 2):
        source = (f"127.0.{network}.1", 20_000 + number)
        port._route(check(transport.ice.local), source, time.monotonic())
        port._route(next(d for d in datagrams("dtls") if d[0] == 22), source, time.monotonic())


def hold_a_meeting(port: Port) -> None:
    """Begin a room, have people come, publish, change their network and leave, and end it."""
    listener = Answering()
    room = listener.room = Room(MEETING, port, listener, 10, last_n=10)
    publishing = next(text for text in descriptions() if "a=sendonly" in text)
    for number, name in enumerate(PEOPLE):
        participant = f"{MEETING}/participants/{name}"
        peer = room.start_peer(participant, ALL)
        room.publish(participant, publishing, {})
        prove(port, peer.publisher.transport, 2 * number)
        prove(port, peer.subscriber.transport, 2 * number + 1)
        peer.subscriber.restart_ice()
        room.tick(time.monotonic())
        peer.publisher.transport.inlet.on_rtp(datagrams("rtp")[0])
    room.start_peer(f"{MEETING}/participants/ann", ALL)  # again, without leaving
    room.remove_peer(f"{MEETING}/participants/bob")
    room.close()


async def test_nothing_is_left_of_those_who_have_left() -> None:
    port = Port("127.0.0.1:0", ("127.0.0.1",))
    port.open()
    try:
        hold_a_meeting(port)  # what is made once and kept for ever is made now
        before = held()
        for _ in range(3):
            hold_a_meeting(port)
        assert held() - before == Counter()
    finally:
        port.close()
