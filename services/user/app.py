"""The user service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from parley.user.v1 import admin_pb2_grpc, api_key_pb2_grpc, user_pb2_grpc

from chassis import db, server
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.clock import Clock, SystemClock
from chassis.stopping import stop
from services.user.account_store import AccountStore
from services.user.admin_servicer import AdminServicer
from services.user.api_key_servicer import ApiKeyServicer
from services.user.api_key_store import ApiKeyStore
from services.user.audit import AuditLog
from services.user.audit_servicer import AuditServicer
from services.user.config import Config
from services.user.key_store import KeyStore
from services.user.passwords import Passwords
from services.user.servicer import AuthServicer, UserServicer
from services.user.store import Store
from services.user.tokens import AccessTokens

MIGRATIONS = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[server.Server]:
    """Run the user service until the block ends."""
    clock = clock or SystemClock()
    identity = ServiceIdentity.load(config, "user")
    async with db.connected(config.database_url, MIGRATIONS) as database:
        store, accounts, audit = Store(database), AccountStore(database), AuditLog(database)
        passwords = Passwords(config.hashing_threads, config.hashing_queue)
        keys = KeyStore(database, timedelta(seconds=config.longest_token_seconds))
        tokens = AccessTokens(keys, clock, timedelta(seconds=config.access_token_seconds))
        await tokens.load()
        lifetime = timedelta(seconds=config.session_seconds)
        auth = AuthServicer(store, passwords, tokens, clock, lifetime)
        servicers = {
            user_pb2_grpc.add_AuthServiceServicer_to_server: auth,
            user_pb2_grpc.add_UserServiceServicer_to_server: UserServicer(store, clock),
            admin_pb2_grpc.add_AuditServiceServicer_to_server: AuditServicer(audit),
            admin_pb2_grpc.add_AdminServiceServicer_to_server: AdminServicer(
                audit, accounts, tokens, clock
            ),
            api_key_pb2_grpc.add_ApiKeyServiceServicer_to_server: ApiKeyServicer(
                ApiKeyStore(database),
                accounts,
                tokens,
                clock,
                timedelta(seconds=config.api_key_token_seconds),
            ),
        }
        verifier = UserTokenVerifier(tokens.keys, refetch_seconds=0)
        checks = [database.ping]
        async with server.serving(
            config, "user", identity, verifier, servicers, checks
        ) as running_server:
            loading = asyncio.create_task(tokens.keep_loading())
            try:
                yield running_server
            finally:
                await stop(loading)
        passwords.close()
