"""Parley's media worker in the smallest real surrounding: its Port and Rooms, without gRPC, Valkey and the tap.

`python -m loadtest.peers.parley_worker ADDRESS` reads a JSON object a line and answers each with one, by `id`; offers
to subscribers, and what it says to another worker with which it shares its rooms, come between them, without. It ends
when its input does.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop
from parley.media.v1.relay_pb2 import RelayMessage

from services.media.fanout import PythonFanout
from services.media.listener import Listener
from services.media.peer import Grants
from services.media.port import Port
from services.media.publisher import Wanted
from services.media.relay import Relay
from services.media.room import Room, tick_all
from services.media.subscriber import Offer
from services.media.transport import Caller, Transport

MAX_LINE = 1 << 22
MAX_PEERS = 500
TICK_SECONDS = 0.05
ALL = frozenset({"microphone", "camera"})


class Voice(Listener):
    """Says offers on standard output."""

    def __init__(self, room: int) -> None:
        self._room = room

    def offer(self, participant: str, offer: Offer) -> None:
        """An offer must reach its client."""
        say(room=self._room, participant=participant, sdp=offer.sdp, revision=offer.revision)


class Rooms:
    """The rooms, by number."""

    def __init__(self, address: str) -> None:
        fanout = os.environ.get("PARLEY_FANOUT", "auto")
        self.port = Port(f"{address}:0", (address,), fanout)
        self._rooms: dict[int, Room] = {}
        self._end: Transport | None = None
        self._relay: Relay | None = None

    def start(self, said: dict[str, Any]) -> dict[str, Any]:
        """Make a participant's place."""
        number = said["room"]
        room = self._rooms.get(number)
        if room is None:
            room = self._rooms[number] = _room(number, self.port)
            if self._relay is not None:
                self._relay.link(room)
        room.start_peer(said["participant"], Grants(ALL, said["subscribe"]))
        return {}

    def publish(self, said: dict[str, Any]) -> dict[str, Any]:
        """Answer a publisher's offer."""
        wanted = {mid: Wanted("", muted=False) for mid in said["mids"]}
        room = self._rooms[said["room"]]
        return {"sdp": room.publish(said["participant"], said["sdp"], wanted).answer}

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        """Take a subscriber's answer."""
        peer = self._rooms[said["room"]].peer(said["participant"])
        peer.subscriber.answer(said["sdp"], said["revision"])
        return {}

    def hello(self, said: dict[str, Any]) -> dict[str, Any]:
        """Describe this end of a relay."""
        self._end = self.port.new_caller() if said["calls"] else self.port.new_transport()
        local = self.port.local(self._end)
        names = local.credentials.ufrag, local.credentials.password
        return {
            "remote": [*names, ["sha-256", local.fingerprint]],
            "addresses": local.candidates,
        }

    def relay(self, said: dict[str, Any]) -> dict[str, Any]:
        """Begin the relay of which `hello` has described this end."""
        assert self._end is not None
        ufrag, password, (algorithm, value) = said["other"]["remote"]
        self._end.set_remote((ufrag, password, (algorithm, value)))
        if isinstance(self._end, Caller):
            addresses = [(host, port) for host, port in said["other"]["addresses"]]
            self._end.call(addresses, time.monotonic())
        find = lambda name: self._rooms.get(int(name))  # noqa: E731
        self._relay = Relay("other", "", self._end, self.port.fanout, _say_relay, find)
        return {}

    def hear(self, said: dict[str, Any]) -> dict[str, Any]:
        """Take what the other end of the relay has said."""
        if self._relay is not None:
            self._relay.hear(RelayMessage.FromString(base64.b64decode(said["relay"])))
        return {}

    async def tick(self) -> None:
        """Tick, as the worker does."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if self._relay is not None:
                self._relay.tick(now)
            await tick_all(tuple(self._rooms.values()), now)


def _room(number: int, port: Port) -> Room:
    """Make a room in which everybody's camera is forwarded, however many there are."""
    return Room(str(number), port, Voice(number), MAX_PEERS, last_n=MAX_PEERS)


def _say_relay(message: RelayMessage) -> None:
    say(relay=base64.b64encode(message.SerializeToString()).decode())


def say(**what: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fanout(port: Port) -> str:
    """Tell how packets go out, `python` or `compiled`."""
    return "python" if isinstance(port.fanout, PythonFanout) else "compiled"


async def serve(address: str) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    rooms = Rooms(address)
    rooms.port.open()
    requests: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "start": rooms.start,
        "publish": rooms.publish,
        "answer": rooms.answer,
        "hello": rooms.hello,
        "relay": rooms.relay,
        "hear": rooms.hear,
    }
    ticking = asyncio.create_task(rooms.tick())
    gc.collect()
    gc.freeze()  # as chassis.process does
    say(ready=True, fanout=fanout(rooms.port))
    while line := await reader.readline():
        said = json.loads(line)
        say(id=said["id"], **requests[said["request"]](said))
    ticking.cancel()
    rooms.port.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
