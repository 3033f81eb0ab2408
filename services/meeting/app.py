"""The meeting service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chassis import channels, db, reads, server
from chassis.auth import ServiceIdentity
from chassis.clock import Clock, SystemClock
from chassis.keys import verifying
from chassis.stopping import stop
from services.meeting.config import Config
from services.meeting.parts import put_together
from services.meeting.store import Store

MIGRATIONS = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the meeting service until the block ends."""
    clock = clock or SystemClock()
    identity = ServiceIdentity.load(config, "meeting")
    async with (
        db.connected(config.database_url, MIGRATIONS) as database,
        reads.connected(config.database_url) as reading,
        channels.mesh(config, identity) as mesh,
    ):
        store = Store(database, reading)
        parts = put_together(config, clock, identity, database, store, mesh)
        checks = [database.ping]
        async with (
            verifying(mesh) as verifier,
            server.serving(config, "meeting", identity, verifier, parts.servicers, checks) as it,
            asyncio.TaskGroup() as group,
        ):
            background = [group.create_task(run()) for run in parts.background]
            try:
                yield it
            finally:
                await stop(*background)
