"""The signaling service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley.signaling.v1 import signaling_pb2_grpc

from chassis import bus, channels, server
from chassis.auth import ServiceIdentity
from chassis.clock import Clock, SystemClock
from chassis.stopping import stop
from services.signaling import websocket
from services.signaling.config import Config
from services.signaling.hall import Hall
from services.signaling.log import RoomLog
from services.signaling.peers import Peers
from services.signaling.rooms import Rooms
from services.signaling.servicer import EventServicer, SignalingServicer
from services.signaling.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Running:
    """Where it listens."""

    port: int
    metrics_port: int
    websocket_port: int


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[Running]:
    """Run the signaling service until the block ends."""
    identity = ServiceIdentity.load(config, "signaling")
    async with (
        bus.connected(config.redis_url) as redis,
        channels.mesh(config, identity) as mesh,
    ):
        room_log = RoomLog(redis)
        rooms = Rooms(redis, room_log)
        hall = Hall(
            config,
            Sessions(redis, config.resume_seconds, config.presence_seconds),
            room_log,
            rooms,
            Peers(mesh),
            identity.trust,
            clock or SystemClock(),
        )
        servicers = {
            signaling_pb2_grpc.add_SignalingServiceServicer_to_server: SignalingServicer(hall),
            signaling_pb2_grpc.add_EventServiceServicer_to_server: EventServicer(hall),
        }
        async with (
            _beside(rooms.run(), *hall.work()),
            websocket.listening(
                hall,
                config.websocket_listen,
                (config.public_url, *config.origins),
                2 * config.max_connections,
            ) as websocket_port,
            server.serving(
                config,
                "signaling",
                identity,
                None,
                servicers,
                [lambda: bus.ping(redis)],
                on_drain=hall.drain,
            ) as it,
        ):
            yield Running(it.port, it.metrics_port, websocket_port)


@asynccontextmanager
async def _beside(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run work as long as the block; should any of it fail, so does the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        try:
            yield
        finally:
            await stop(*tasks)
