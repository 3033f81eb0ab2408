"""A media worker, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.media.v1 import media_pb2_grpc

from chassis import bus, channels, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.keys import published_keys
from chassis.stopping import stop
from services.media.announcer import Announcer
from services.media.config import Config
from services.media.peers import Workers
from services.media.placement import Placement
from services.media.port import Port
from services.media.servicer import RoomServicer
from services.media.worker import Worker


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[server.Server]:
    """Run a media worker until the block ends."""
    identity = ServiceIdentity.load(config, "media")
    async with (
        bus.connected(config.redis_url) as redis,
        channels.mesh(config, identity) as mesh,
    ):
        port = Port(config.udp_listen, config.advertise, config.fanout, config.probe_secret)
        workers = Workers(identity)
        placement = Placement(redis, config.node_id, config.listen)
        worker = Worker(
            port, placement, Announcer(mesh), mesh, config.max_rooms, config.max_peers_per_room
        )
        servicer = RoomServicer(worker, placement, workers)
        servicers = {media_pb2_grpc.add_RoomServiceServicer_to_server: servicer}
        port.open()
        try:
            async with (
                asyncio.TaskGroup() as group
            ):  # a worker that has stopped takes the process down
                beating = group.create_task(worker.run())
                async with server.serving(
                    config,
                    "media",
                    identity,
                    UserTokenVerifier(published_keys(mesh)),
                    servicers,
                    [lambda: bus.ping(redis)],
                    on_drain=worker.drain,
                ) as it:
                    yield it
                await stop(beating)
        finally:
            await workers.close()
            port.close()
