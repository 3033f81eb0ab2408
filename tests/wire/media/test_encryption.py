"""In a room that is encrypted end to end nothing is analysed: real sound over RTP, and an ai service that takes notes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from redis.asyncio import Redis

from chassis.stopping import stop
from services.media.announcer import Announcer
from services.media.peer import Grants
from services.media.placement import Placement
from services.media.port import Port
from services.media.room import Room
from services.media.stress import Limits
from services.media.worker import Worker
from tests.media_room import MEETING, until
from tests.rtc import RtcClient, on_loopback

ANN = f"{MEETING}/participants/ann"
MICROPHONE = Grants(frozenset({"microphone"}), subscribe=False)


class Notes(ai_pb2_grpc.AiServiceServicer, signaling_pb2_grpc.EventServiceServicer):
    """Counts what is analysed, and keeps who is said to speak."""

    def __init__(self) -> None:
        self.analyses = 0
        self.speakers: list[list[str]] = []

    async def Analyze(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.analyses += 1
        async for _ in requests:
            pass
        yield ai_pb2.AnalyzeResponse()

    async def PublishEvents(
        self, request: signaling_pb2.PublishEventsRequest, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        for event in request.events:
            if event.message.HasField("speakers_changed"):
                self.speakers.append(list(event.message.speakers_changed.speakers))
        return signaling_pb2.PublishEventsResponse()


@asynccontextmanager
async def a_worker() -> AsyncIterator[tuple[Worker, Notes]]:
    notes, server = Notes(), grpc.aio.server()
    ai_pb2_grpc.add_AiServiceServicer_to_server(notes, server)
    signaling_pb2_grpc.add_EventServiceServicer_to_server(notes, server)
    mesh_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    port = Port("127.0.0.1:0", ("127.0.0.1",))
    port.open()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh_port}") as mesh:
        announcer = Announcer(mesh)
        placement = Placement(Redis(), "media-0", "127.0.0.1:0")  # never asked here
        limits, opened = Limits(1_000_000, 10, 10), lambda _: nullcontext(mesh)
        worker = Worker(port, placement, announcer, mesh, limits, 10, 10, opened)
        telling = asyncio.create_task(announcer.run())
        try:
            with on_loopback():
                yield worker, notes
        finally:
            for room in worker.rooms.values():
                room.close()
            await stop(telling)
            await worker.close()
            port.close()
            await server.stop(None)


def received(room: Room) -> int:
    """Count the packets that have come."""
    return sum(each.stream.packets for track in room.tracks() for each in track.forwarder.encodings)


@asynccontextmanager
async def ann_talking(room: Room) -> AsyncIterator[None]:
    """Have Ann send sound, of which fifty packets have come when the block begins."""
    client = RtcClient()

    async def tick() -> None:
        while True:
            room.tick(time.monotonic())
            await asyncio.sleep(0.05)

    ticking = asyncio.create_task(tick())
    try:
        room.start_peer(ANN, MICROPHONE)
        published = room.publish(ANN, await client.offer(video=False), {})
        await client.answered(published.answer)
        await until(lambda: received(room) >= 50)
        yield
    finally:
        await client.close()
        await stop(ticking)


async def test_an_encrypted_room_is_never_analysed_whoever_joins_later_and_whatever_they_say() -> (
    None
):
    async with a_worker() as (worker, notes):
        room = worker.open_room(MEETING, voice_activity=True, end_to_end_encrypted=True)
        worker.open_room(MEETING, voice_activity=True)  # there is no way back
        async with ann_talking(room):
            assert notes.analyses == 0


async def test_another_room_is_analysed_until_it_is_said_to_be_encrypted() -> None:
    async with a_worker() as (worker, notes):
        room = worker.open_room(MEETING, voice_activity=True)
        async with ann_talking(room):
            await until(lambda: notes.analyses == 1)
            worker.open_room(MEETING, voice_activity=True, end_to_end_encrypted=True)
            before = received(room)
            await until(lambda: received(room) >= before + 50)
            assert notes.analyses == 1


async def test_where_nothing_is_analysed_audio_levels_say_who_speaks() -> None:
    async with a_worker() as (worker, notes):
        worker.open_room(MEETING, voice_activity=True, end_to_end_encrypted=True).listener.loud(
            [ANN]
        )
        await until(lambda: notes.speakers == [[ANN]])
