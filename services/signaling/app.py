"""The signaling service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley.signaling.v1 import signaling_pb2_grpc

from chassis import bus, channels, server
from chassis.auth import ServiceIdentity
from chassis.clock import Clock, SystemClock
from services.signaling import websocket
from services.signaling.config import Config
from services.signaling.conversation import Hall
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
        room_log, sessions = RoomLog(redis), Sessions(redis, config.resume_seconds)
        rooms = Rooms(redis, room_log)
        hall = Hall(
            sessions,
            room_log,
            rooms,
            Peers(mesh),
            identity.trust,
            clock or SystemClock(),
            config.max_connections,
        )
        servicers = {
            signaling_pb2_grpc.add_SignalingServiceServicer_to_server: SignalingServicer(hall),
            signaling_pb2_grpc.add_EventServiceServicer_to_server: EventServicer(
                room_log, sessions, hall
            ),
        }
        tasks = [asyncio.create_task(rooms.run()), asyncio.create_task(hall.sweep())]
        try:
            async with (
                websocket.listening(hall, config.websocket_listen, config.public_url) as port,
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
                yield Running(it.port, it.metrics_port, port)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
