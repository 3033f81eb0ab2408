"""A media worker, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.media.v1 import media_pb2_grpc, node_pb2_grpc, relay_pb2_grpc

from chassis import bus, channels, server
from chassis.auth import ServiceIdentity
from chassis.keys import verifying
from chassis.stopping import stop
from services.media.announcer import Announcer
from services.media.config import Config
from services.media.drain import Drain
from services.media.neighbour import Neighbour
from services.media.node_servicer import NodeServicer
from services.media.peers import Workers
from services.media.placement import Placement
from services.media.port import Port
from services.media.relay_servicer import RelayServicer
from services.media.servicer import RoomServicer
from services.media.stress import Limits
from services.media.worker import Worker


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[server.Server]:
    """Run a media worker until the block ends."""
    identity = ServiceIdentity.load(config, "media")
    async with (
        bus.connected(config.redis_url) as redis,
        channels.mesh(config, identity) as mesh,
        verifying(mesh) as verifier,
    ):
        port = Port(config.udp_listen, config.advertise, config.fanout, config.probe_secret)
        workers = Workers(identity)
        placement = Placement(redis, config.node_id, config.listen)
        limits = Limits(config.max_packets, config.max_peers, config.max_rooms)
        worker = Worker(
            port,
            placement,
            Announcer(mesh),
            mesh,
            limits,
            config.max_peers_per_room,
            config.last_n,
            lambda address: channels.direct(address, identity),
            config.relay_advertise,
        )
        drain = Drain(worker)
        servicers = {
            media_pb2_grpc.add_RoomServiceServicer_to_server: RoomServicer(
                worker, placement, workers
            ),
            node_pb2_grpc.add_NodeServiceServicer_to_server: NodeServicer(
                placement, drain, workers
            ),
            relay_pb2_grpc.add_RelayServiceServicer_to_server: RelayServicer(worker.cascade),
        }
        port.open()
        try:
            async with (
                asyncio.TaskGroup() as group
            ):  # a worker that has stopped takes the process down
                beating = group.create_task(worker.run())
                draining = group.create_task(drain.run())
                watching = group.create_task(Neighbour(placement, worker.hurry).run())
                async with server.serving(
                    config,
                    "media",
                    identity,
                    verifier,
                    servicers,
                    [lambda: bus.ping(redis)],
                    on_drain=drain.end,
                ) as it:
                    try:
                        yield it
                    finally:
                        drain.begin()  # before the balancer hears of it: others may end at the same time
                await stop(watching, draining, beating)
        finally:
            await worker.cascade.close()
            await workers.close()
            port.close()
