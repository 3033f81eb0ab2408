"""How a session begins, whichever way somebody has proven who they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from chassis.clock import Clock
from services.user.domain import Session, User, hash_secret, new_secret, refresh_token
from services.user.origin import Origin
from services.user.sessions.tokens import AccessTokens
from services.user.store import Store


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a session's holder gets; `expires_in` is the access token's, in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class SignIn:
    """Begins sessions, and trades their refresh tokens."""

    def __init__(
        self, store: Store, tokens: AccessTokens, clock: Clock, lifetime: timedelta
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self.lifetime = lifetime

    async def begin(self, user: User, origin: Origin) -> Tokens:
        """Begin a session of a user."""
        now, secret = self._clock.now(), new_secret()
        session = Session(
            id=uuid4(),
            user_id=user.id,
            secret_hash=hash_secret(secret),
            create_time=now,
            refresh_time=now,
            expire_time=now + self.lifetime,
            user_agent=origin.user_agent,
            address=origin.address,
        )
        await self._store.add_session(session)
        return self.tokens(user, session, secret)

    def tokens(self, user: User, session: Session, secret: str) -> Tokens:
        """Issue the tokens of a session whose newest secret this is."""
        return Tokens(
            self._tokens.issue(user, session, self._clock.now()),
            refresh_token(session.id, secret),
            int(self._tokens.lifetime.total_seconds()),
        )


__all__ = ["SignIn", "Tokens"]
