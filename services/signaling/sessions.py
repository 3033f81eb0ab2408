"""Sessions in Redis: who is connected, and until when they count as present.

Each session has a lease. A live connection renews it; one that breaks leaves it to run out, `resume_seconds` later.
Any process sweeps what has run out: it takes the lease over for a while, says goodbye, then forgets the session, so
that a process that dies in between is followed by another.
"""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import Redis

from services.signaling.domain import Session, SessionExpired

RENEW_SECONDS = 10.0
CLAIM_SECONDS = 10.0
LIFETIME_SECONDS = 24 * 3600
LEASES = "signaling:leases"

# KEYS: leases. ARGV: session, now, until. Takes a lease over if it has run out.
CLAIM = """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
"""


class Sessions:
    """The sessions of all rooms."""

    def __init__(self, redis: Redis, resume_seconds: float) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._claim = redis.register_script(CLAIM)
        self.resume_seconds = resume_seconds

    async def begin(self, session: Session) -> Session | None:
        """Keep a new session; returns the one of the same participant that it replaces, if there is one."""
        key = _participant_key(session.participant)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_key(session.id), session.to_json(), ex=LIFETIME_SECONDS)
            pipe.set(key, session.id, ex=LIFETIME_SECONDS, get=True)
            pipe.zadd(LEASES, {session.id: time.time() + self.resume_seconds})
            results = await pipe.execute()
        older = results[1]
        return await self.find(older.decode()) if older else None

    async def find(self, identifier: str) -> Session | None:
        """Read a session; None when it is over."""
        text = await self._redis.get(_key(identifier))
        return Session.from_json(text) if text else None

    async def find_by_participant(self, participant: str) -> Session | None:
        """Read a participant's session; None when there is none."""
        identifier = await self._redis.get(_participant_key(participant))
        return await self.find(identifier.decode()) if identifier else None

    async def open(self, token: str) -> Session:
        """Find the session of a token. Raises SessionExpired."""
        identifier, _, secret = token.partition(".")
        session = await self.find(identifier)
        if session is None or not session.is_opened_by(secret):
            raise SessionExpired
        return session

    async def take(self, session: Session, connection: str) -> None:
        """Make a connection the session's only live one."""
        await self._redis.set(f"{_key(session.id)}:live", connection, ex=LIFETIME_SECONDS)
        await self.renew(session, connection)

    async def renew(self, session: Session, connection: str) -> bool:
        """Renew the lease; False when another connection has taken the session, or it is over."""
        live = await self._redis.get(f"{_key(session.id)}:live")
        if live is None or live.decode() != connection:
            return False
        until = time.time() + RENEW_SECONDS + self.resume_seconds
        changed = await self._redis.zadd(LEASES, {session.id: until}, xx=True, ch=True)
        return bool(changed)

    async def release(self, session: Session, connection: str) -> None:
        """The connection is gone: let the lease run out, unless another has taken the session."""
        live = await self._redis.get(f"{_key(session.id)}:live")
        if live is not None and live.decode() == connection:
            await self._redis.zadd(LEASES, {session.id: time.time() + self.resume_seconds}, xx=True)

    async def claim_run_out(self, limit: int = 100) -> list[str]:
        """Take over sessions whose leases have run out, to say goodbye for them."""
        now = time.time()
        found = await self._redis.zrangebyscore(LEASES, "-inf", now, start=0, num=limit)
        until = now + CLAIM_SECONDS
        return [
            identifier.decode()
            for identifier in found
            if await self._claim(keys=[LEASES], args=[identifier, now, until])
        ]

    async def forget(self, identifier: str, participant: str = "") -> None:
        """A session is over."""
        current = await self._redis.get(_participant_key(participant)) if participant else None
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_key(identifier), f"{_key(identifier)}:live")
            pipe.zrem(LEASES, identifier)
            if current is not None and current.decode() == identifier:
                pipe.delete(_participant_key(participant))
            await pipe.execute()


def _key(identifier: str) -> str:
    return f"signaling:session:{identifier}"


def _participant_key(participant: str) -> str:
    return f"signaling:participant:{participant}"
