"""The user service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from parley.user.v1 import admin_pb2_grpc, session_pb2_grpc, user_pb2_grpc

from chassis import db, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.clock import Clock, SystemClock
from chassis.revocations import EndedSessions
from chassis.stopping import stop
from services.user.audit import AuditLog
from services.user.audit_servicer import AdminServicer, AuditServicer
from services.user.config import Config
from services.user.passwords import Passwords
from services.user.servicer import AuthServicer, UserServicer
from services.user.session_servicer import RevocationServicer, SessionServicer
from services.user.session_store import SessionStore
from services.user.sign_in import SignIn
from services.user.store import Store
from services.user.tokens import AccessTokens, fresh_key

MIGRATIONS = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the user service until the block ends."""
    clock = clock or SystemClock()
    identity = ServiceIdentity.load(config, "user")
    async with db.connected(config.database_url, MIGRATIONS) as database:
        store, audit = Store(database), AuditLog(database)
        passwords = Passwords(config.hashing_threads, config.hashing_queue)
        rows = await store.signing_keys(fresh_key(clock.now()))
        tokens = AccessTokens(rows, timedelta(seconds=config.access_token_seconds))
        lifetime = timedelta(seconds=config.session_seconds)
        sign_in = SignIn(store, tokens, clock, lifetime)
        auth = AuthServicer(store, passwords, tokens, sign_in, clock)
        sessions = SessionStore(database, tokens.lifetime)
        servicers = {
            user_pb2_grpc.add_AuthServiceServicer_to_server: auth,
            user_pb2_grpc.add_UserServiceServicer_to_server: UserServicer(store, clock),
            session_pb2_grpc.add_SessionServiceServicer_to_server: SessionServicer(sessions, clock),
            session_pb2_grpc.add_RevocationServiceServicer_to_server: RevocationServicer(sessions),
            admin_pb2_grpc.add_AuditServiceServicer_to_server: AuditServicer(audit),
            admin_pb2_grpc.add_AdminServiceServicer_to_server: AdminServicer(audit),
        }
        ended = EndedSessions()
        verifier = UserTokenVerifier(tokens.keys, ended=ended)
        checks = [database.ping]
        async with (
            server.serving(config, "user", identity, verifier, servicers, checks) as it,
            asyncio.TaskGroup() as group,
        ):
            following = group.create_task(ended.follow(sessions.ended_since))
            try:
                yield it
            finally:
                await stop(following)
        passwords.close()
