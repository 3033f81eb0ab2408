"""The media library, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from parley.media.v1 import library_pb2_grpc

from chassis import channels, db, server
from chassis.auth import ServiceIdentity
from chassis.clock import Clock, SystemClock
from chassis.keys import verifying
from chassis.stopping import stop
from services.media.library.config import Config
from services.media.library.objects import S3, Objects
from services.media.library.servicer import LibraryServicer
from services.media.library.sharing import Sharing
from services.media.library.store import LibraryStore
from services.media.library.uploads import Library

MIGRATIONS = Path(__file__).parent / "migrations"
CLOSING_SECONDS = 0.05
"""obstore's threads end after the last of its calls; a loop that closes before them takes the process down."""


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the media library until the block ends."""
    identity = ServiceIdentity.load(config, "media")
    async with (
        db.connected(config.database_url, MIGRATIONS) as database,
        channels.mesh(config, identity) as mesh,
        verifying(mesh) as verifier,
    ):
        store = LibraryStore(database, config.quota_bytes)
        limit = config.upload_limit_bytes
        library = Library(store, _objects(config), clock or SystemClock(), limit)
        servicers = {
            library_pb2_grpc.add_LibraryServiceServicer_to_server: LibraryServicer(
                library, Sharing(mesh)
            )
        }
        sweeping = asyncio.create_task(library.keep_sweeping())
        try:
            async with server.serving(
                config, "library", identity, verifier, servicers, [database.ping]
            ) as it:
                yield it
        finally:
            await stop(sweeping)
            await asyncio.sleep(CLOSING_SECONDS)


def _objects(config: Config) -> Objects:
    s3 = S3(
        endpoint=config.s3_endpoint,
        region=config.s3_region,
        access_key=config.s3_access_key,
        secret_key=config.s3_secret_key,
    )
    return Objects(config.object_store, s3)
