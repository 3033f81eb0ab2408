"""Administration, programs, guests and providers, put together: servicers, and what goes on beside them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from parley.user.v1 import (
    account_pb2_grpc,
    admin_pb2_grpc,
    api_key_pb2_grpc,
    sign_in_pb2_grpc,
)

from chassis.clock import Clock
from chassis.db import Database
from chassis.idempotency import Answers
from chassis.seals import derived_key, seal
from services.user.accounts.admin_servicer import AdminServicer
from services.user.accounts.avatar_store import AvatarStore
from services.user.accounts.avatars import Portraits
from services.user.accounts.erasure import Erasure
from services.user.accounts.export import Exporter
from services.user.accounts.servicer import AccountServicer
from services.user.accounts.store import AccountStore
from services.user.audit import AuditLog
from services.user.audit_servicer import AuditServicer
from services.user.config import Config
from services.user.credentials.guard import Guard
from services.user.credentials.guess_store import GuessStore
from services.user.credentials.passwords import Passwords
from services.user.neighbours import Neighbours
from services.user.programs.servicer import ApiKeyServicer
from services.user.programs.store import ApiKeyStore
from services.user.repeats import Repeats
from services.user.sessions.identity_store import IdentityStore
from services.user.sessions.oidc_sign_in import OidcSignIn
from services.user.sessions.providers import parse_providers
from services.user.sessions.sign_in import SignIn
from services.user.sessions.sign_in_servicer import SignInServicer
from services.user.sessions.tokens import AccessTokens
from services.user.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """Servicers by their generated `add_…_to_server`, what runs for ever beside them, and what is closed at the end."""

    servicers: Mapping[Any, object]
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    close: Callable[[], None]


def put_together(
    config: Config,
    clock: Clock,
    database: Database,
    tokens: AccessTokens,
    passwords: Passwords,
    mesh: grpc.aio.Channel,
) -> Parts:
    """Put these together."""
    accounts, audit, portraits = AccountStore(database), AuditLog(database), Portraits()
    neighbours = Neighbours(mesh, tokens, clock)
    erasure = Erasure(database, neighbours, clock)
    providers, identities = parse_providers(config.identity_providers), IdentityStore(database)
    oidc = OidcSignIn(providers, config.public_url, identities, tokens, clock)
    sealed = seal(config.service_key, "answers")
    repeats = Repeats(Answers(database, sealed, derived_key(config.service_key, "digests")))
    sign_in = SignIn(Store(database), tokens, clock, timedelta(seconds=config.session_seconds))
    servicers = {
        admin_pb2_grpc.add_AuditServiceServicer_to_server: AuditServicer(audit),
        admin_pb2_grpc.add_AdminServiceServicer_to_server: AdminServicer(
            audit,
            accounts,
            tokens,
            repeats,
            clock,
            erasure.wake,
            must_verify=config.verify_email,
        ),
        api_key_pb2_grpc.add_ApiKeyServiceServicer_to_server: ApiKeyServicer(
            ApiKeyStore(database),
            accounts,
            tokens,
            repeats,
            clock,
            timedelta(seconds=config.api_key_token_seconds),
        ),
        account_pb2_grpc.add_AccountServiceServicer_to_server: AccountServicer(
            accounts,
            AvatarStore(database),
            portraits,
            Exporter(database, audit, neighbours),
            erasure,
            passwords,
            Guard(GuessStore(database), clock),
            clock,
        ),
        sign_in_pb2_grpc.add_SignInServiceServicer_to_server: SignInServicer(
            oidc, sign_in, neighbours, tokens, clock, timedelta(seconds=config.guest_seconds)
        ),
    }
    return Parts(servicers, [tokens.keep_loading, erasure.run], portraits.close)


__all__ = ["Parts", "put_together"]
