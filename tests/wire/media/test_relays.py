"""Two workers that share a room join each other, by one relay however they begin, and anew when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from parley.media.v1 import relay_pb2_grpc
from parley.media.v1.relay_pb2 import RelayEncoding, RelayHello, RelayMessage, RelayTrack
from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

from chassis.errors import DomainError
from services.media import relay as relays
from services.media.cascade import Cascade
from services.media.domain import HelloMissing, NodeNotFound
from services.media.listener import Listener
from services.media.placement import Node, Placement, Shared
from services.media.port import Port
from services.media.relay import Relay
from services.media.relay_servicer import RelayServicer
from services.media.room import Room
from tests.media_room import MEETING, until

LATER_FIELD = b"\x9a\x06\x05later"
"""Field 99 of a message, which this version does not know: `later`."""


class Heard(Listener):
    """Notes who speaks elsewhere."""

    def __init__(self) -> None:
        self.speakers: list[str] = []

    def elsewhere(self, node: str, speakers: list[str]) -> None:
        self.speakers = speakers


class Worker:
    """As much of a worker as joins others. `asked` are the addresses at which it has tried to."""

    def __init__(self, node_id: str, listen: str, address: str) -> None:
        self.port = Port(listen, (address,))
        self.placement = Placement(Redis(), node_id, "")  # never asked here
        self.heard, self.asked = Heard(), list[str]()
        self.rooms = {MEETING: Room(MEETING, self.port, self.heard, 10, 25)}
        self.cascade = Cascade(self.port, self.placement, self.rooms, self.open_channel)
        self.server = grpc.aio.server()
        relay_pb2_grpc.add_RelayServiceServicer_to_server(RelayServicer(self.cascade), self.server)
        number = self.server.add_insecure_port("127.0.0.1:0")
        self.node = Node(node_id, f"127.0.0.1:{number}", self.placement.incarnation)

    def open_channel(self, address: str) -> grpc.aio.Channel:
        self.asked.append(address)
        return grpc.aio.insecure_channel(address)

    def share(self, *others: Node) -> None:
        self.cascade.share([Shared(MEETING, True, others)])

    def relay(self, other: Worker) -> Relay | None:
        return self.cascade.relays.get(other.node.id)

    def is_linked(self, other: Worker) -> bool:
        relay = self.relay(other)
        return (
            relay is not None
            and relay.transport.is_connected
            and MEETING in relay.links
            and relay.links[MEETING].is_met
        )


@asynccontextmanager
async def workers(
    *names: str, listen: str = "127.0.0.1:0", address: str = "127.0.0.1"
) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        made = []
        for name in names:
            worker = Worker(name, listen, address)
            worker.port.open()
            stack.callback(worker.port.close)
            await worker.server.start()
            stack.push_async_callback(worker.server.stop, None)
            stack.push_async_callback(worker.cascade.close)
            made.append(worker)

        async def tick() -> None:
            while True:
                for worker in made:
                    worker.cascade.tick(time.monotonic())
                await asyncio.sleep(0.05)

        ticking = asyncio.create_task(tick())
        stack.callback(ticking.cancel)
        yield made


@pytest.mark.parametrize("both", [True, False])
async def test_two_that_share_a_room_are_joined_once(both: bool) -> None:
    async with workers("media-0", "media-1") as (one, other):
        one.share(other.node)
        if both:
            other.share(one.node)
        await until(lambda: one.is_linked(other) and other.is_linked(one))
        relay = one.relay(other)
        for _ in range(3):
            one.share(other.node)
            other.share(one.node)
            await asyncio.sleep(0.05)
        assert one.relay(other) is relay
        assert one.is_linked(other)
        assert other.is_linked(one)
        assert [len(each.cascade.relays) for each in (one, other)] == [1, 1]


@pytest.mark.parametrize(
    ("listen", "address"),
    [("[::1]:0", "::1"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1")],
)
async def test_they_are_joined_over_ipv6_and_where_both_are_listened_on(
    listen: str, address: str
) -> None:
    async with workers("media-0", "media-1", listen=listen, address=address) as (one, other):
        one.share(other.node)
        await until(lambda: one.is_linked(other) and other.is_linked(one))


@pytest.mark.parametrize("breaks", [0, 1])
async def test_a_relay_that_breaks_is_begun_anew(breaks: int) -> None:
    async with workers("media-0", "media-1") as pair:
        one, other = pair
        one.share(other.node)
        await until(lambda: one.is_linked(other) and other.is_linked(one))
        before = one.relay(other)
        broken = pair[breaks].relay(pair[1 - breaks])
        assert broken is not None
        broken.close()
        assert not list(pair[breaks].rooms[MEETING].links)
        await until(lambda: one.relay(other) not in (None, before))
        await until(lambda: one.is_linked(other) and other.is_linked(one))


async def test_three_are_joined_each_to_each() -> None:
    async with workers("media-0", "media-1", "media-2") as three:
        for each in three:
            each.share(*(other.node for other in three if other is not each))
        await until(lambda: all(a.is_linked(b) for a in three for b in three if a is not b), 30)


async def test_a_worker_that_has_begun_anew_meanwhile_is_not_taken_for_the_old_one() -> None:
    async with workers("media-0", "media-1") as (one, other):
        one.share(replace(other.node, incarnation="gone"))
        await asyncio.sleep(0.5)
        assert not one.cascade.relays
        assert not other.cascade.relays
        one.share(other.node)
        await until(lambda: one.is_linked(other))


async def test_what_is_shared_no_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "IDLE_SECONDS", 0.2)
    async with workers("media-0", "media-1") as (one, other):
        one.share(other.node)
        await until(lambda: one.is_linked(other) and other.is_linked(one))
        one.cascade.share([])
        one.rooms[MEETING].close()
        await until(lambda: not one.cascade.relays and not other.cascade.relays)
        assert not list(other.rooms[MEETING].links)


async def test_a_worker_that_knows_no_relays_is_asked_now_and_then_until_it_is_replaced() -> None:
    async with workers("media-0", "media-1", "media-2") as (one, other, newer):
        older = grpc.aio.server()
        address = f"127.0.0.1:{older.add_insecure_port('127.0.0.1:0')}"
        await older.start()
        try:
            one.share(replace(newer.node, address=address, incarnation="older"), other.node)
            await until(lambda: one.is_linked(other) and other.is_linked(one))
            relay = one.relay(other)
            await until(lambda: one.asked.count(address) >= 2)
            assert one.relay(newer) is None
            one.share(newer.node, other.node)
            await until(lambda: one.is_linked(newer) and newer.is_linked(one))
            assert one.relay(other) is relay
        finally:
            await older.stop(None)


def shown(identifier: str, codec: str, source: int, ssrc: int) -> bytes:
    track = signaling_pb2.Track(id=identifier, participant=f"{MEETING}/participants/1")
    track.source = source  # type: ignore[assignment]  # it need not be one that is known here
    encodings = [RelayEncoding(ssrc=ssrc)]
    return RelayTrack(track=track, codec=codec, encodings=encodings).SerializeToString()


async def test_what_a_newer_worker_says_that_is_not_known_here_is_passed_over() -> None:
    camera = signaling_pb2.TRACK_SOURCE_CAMERA
    later = [
        RelayMessage.FromString(RelayMessage(meeting=MEETING).SerializeToString() + LATER_FIELD),
        *(
            RelayMessage(meeting=MEETING, track=RelayTrack.FromString(track + LATER_FIELD))
            for track in (
                shown("known", "VP8", camera, 1),
                shown("of a later codec", "VP10", camera, 2),
                shown("of a later source", "VP8", 99, 3),
            )
        ),
    ]
    async with workers("media-0", "media-1") as (one, other):
        one.share(other.node)
        await until(lambda: one.is_linked(other) and other.is_linked(one))
        relay = one.relay(other)
        assert relay is not None
        for message in later:
            relay.say(message)
        relay.links[MEETING].speak(["somebody"])
        await until(lambda: other.heard.speakers == ["somebody"])
        tracks = {track.id for track in other.rooms[MEETING].tracks()}
        assert tracks == {"known", "of a later source"}
        assert one.relay(other) is relay
        assert other.is_linked(one)


async def said(*messages: RelayMessage) -> AsyncIterator[RelayMessage]:
    for message in messages:
        yield message


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], HelloMissing),
        ([RelayMessage(meeting=MEETING)], HelloMissing),
        ([RelayMessage(hello=RelayHello(node="media-1", to="another"))], NodeNotFound),
    ],
)
async def test_who_does_not_say_hello_to_this_very_worker_is_refused(
    messages: list[RelayMessage], error: type[DomainError]
) -> None:
    async with workers("media-0") as (one,):
        with pytest.raises(error):
            await anext(one.cascade.accept(said(*messages)))
        assert not one.cascade.relays
