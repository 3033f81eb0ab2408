"""The user service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from chassis import channels, db, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.clock import Clock, SystemClock
from chassis.revocations import EndedSessions
from chassis.stopping import stop
from services.user.config import Config
from services.user.credentials.passwords import Passwords
from services.user.parts import put_together
from services.user.sessions import sign_in_parts
from services.user.sessions.key_store import KeyStore
from services.user.sessions.tokens import AccessTokens

MIGRATIONS = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the user service until the block ends."""
    clock = clock or SystemClock()
    identity = ServiceIdentity.load(config, "user")
    async with (
        db.connected(config.database_url, MIGRATIONS) as database,
        channels.mesh(config, identity) as mesh,
    ):
        passwords = Passwords(config.hashing_threads, config.hashing_queue)
        keys = KeyStore(database, timedelta(seconds=config.longest_token_seconds))
        tokens = AccessTokens(keys, clock, timedelta(seconds=config.access_token_seconds))
        await tokens.load()
        ended = EndedSessions()
        sign_in = sign_in_parts.put_together(config, clock, database, tokens, passwords, ended)
        parts = put_together(config, clock, database, tokens, passwords, mesh)
        servicers = {**sign_in.servicers, **parts.servicers}
        verifier = UserTokenVerifier(tokens.keys, refetch_seconds=0, ended=ended)
        checks = [database.ping]
        async with (
            server.serving(config, "user", identity, verifier, servicers, checks) as it,
            asyncio.TaskGroup() as group,
        ):
            every = (*sign_in.background, *parts.background)
            background = [group.create_task(run()) for run in every]
            try:
                yield it
            finally:
                await stop(*background)
        parts.close()
        passwords.close()
