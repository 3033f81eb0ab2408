"""Sessions and credentials, put together: servicers, and what goes on beside them."""

from __future__ import annotations

from datetime import timedelta

from parley.user.v1 import credential_pb2_grpc, session_pb2_grpc, user_pb2_grpc

from chassis.clock import Clock
from chassis.db import Database
from chassis.idempotency import Answers
from chassis.mail import Mailer
from chassis.revocations import EndedSessions
from chassis.seals import derived_key, seal
from services.user.config import Config
from services.user.credentials.guard import Guard
from services.user.credentials.guess_store import GuessStore
from services.user.credentials.passwords import Passwords
from services.user.credentials.posting import Posting
from services.user.credentials.second_factor import SecondFactor
from services.user.credentials.servicer import CredentialServicer
from services.user.credentials.store import CredentialStore
from services.user.housekeeping import Housekeeping
from services.user.parts import Parts
from services.user.servicer import AuthServicer, UserServicer
from services.user.sessions.servicer import RevocationServicer, SessionServicer
from services.user.sessions.sign_in import SignIn
from services.user.sessions.store import SessionStore
from services.user.sessions.tokens import AccessTokens
from services.user.store import Store


def put_together(
    config: Config,
    clock: Clock,
    database: Database,
    tokens: AccessTokens,
    passwords: Passwords,
    ended: EndedSessions,
) -> Parts:
    """Put these together; `ended` is kept up with what ends."""
    store = Store(database)
    sessions = SessionStore(database, tokens.lifetime)
    answers = Answers(
        database,
        seal(config.service_key, "answers"),
        derived_key(config.service_key, "digests"),
    )
    credentials = CredentialStore(database, seal(config.service_key, "second factors"))
    guard = Guard(GuessStore(database), clock)
    second = SecondFactor(credentials, guard)
    mailer = Mailer(config.delivery("accounts-"), config.mail_from, clock)
    posting = Posting(credentials, mailer, config.public_url, clock)
    sign_in = SignIn(store, tokens, clock, timedelta(seconds=config.session_seconds))
    auth = AuthServicer(
        store,
        passwords,
        tokens,
        sign_in,
        guard,
        second,
        posting,
        credentials,
        answers,
        clock,
        verify_email=config.verify_email,
    )
    credential = CredentialServicer(
        store, credentials, sessions, passwords, guard, second, posting, answers, clock
    )
    session = SessionServicer(sessions, answers, clock)
    servicers = {
        user_pb2_grpc.add_AuthServiceServicer_to_server: auth,
        user_pb2_grpc.add_UserServiceServicer_to_server: UserServicer(store, answers, clock),
        session_pb2_grpc.add_SessionServiceServicer_to_server: session,
        session_pb2_grpc.add_RevocationServiceServicer_to_server: RevocationServicer(sessions),
        credential_pb2_grpc.add_CredentialServiceServicer_to_server: credential,
    }
    background = [
        mailer.run,
        posting.run,
        Housekeeping(database, answers, clock).run,
        lambda: ended.follow(sessions.ended_since),
    ]
    return Parts(servicers, background, lambda: None)


__all__ = ["put_together"]
