"""The user service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from parley.user.v1 import session_pb2_grpc, user_pb2_grpc

from chassis import channels, db, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.clock import Clock, SystemClock
from chassis.revocations import EndedSessions
from chassis.stopping import stop
from services.user.config import Config
from services.user.key_store import KeyStore
from services.user.parts import put_together
from services.user.passwords import Passwords
from services.user.servicer import AuthServicer, UserServicer
from services.user.session_servicer import RevocationServicer, SessionServicer
from services.user.session_store import SessionStore
from services.user.sign_in import SignIn
from services.user.store import Store
from services.user.tokens import AccessTokens

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
        store = Store(database)
        passwords = Passwords(config.hashing_threads, config.hashing_queue)
        keys = KeyStore(database, timedelta(seconds=config.longest_token_seconds))
        tokens = AccessTokens(keys, clock, timedelta(seconds=config.access_token_seconds))
        await tokens.load()
        lifetime = timedelta(seconds=config.session_seconds)
        sign_in = SignIn(store, tokens, clock, lifetime)
        auth = AuthServicer(store, passwords, tokens, sign_in, clock)
        sessions = SessionStore(database, tokens.lifetime)
        parts = put_together(config, clock, database, tokens, passwords, mesh)
        servicers = {
            user_pb2_grpc.add_AuthServiceServicer_to_server: auth,
            user_pb2_grpc.add_UserServiceServicer_to_server: UserServicer(store, clock),
            session_pb2_grpc.add_SessionServiceServicer_to_server: SessionServicer(sessions, clock),
            session_pb2_grpc.add_RevocationServiceServicer_to_server: RevocationServicer(sessions),
            **parts.servicers,
        }
        ended = EndedSessions()
        verifier = UserTokenVerifier(tokens.keys, refetch_seconds=0, ended=ended)
        checks = [database.ping]
        async with (
            server.serving(config, "user", identity, verifier, servicers, checks) as it,
            asyncio.TaskGroup() as group,
        ):
            following = group.create_task(ended.follow(sessions.ended_since))
            background = [group.create_task(run()) for run in parts.background]
            try:
                yield it
            finally:
                await stop(following, *background)
        parts.close()
        passwords.close()
