"""Sessions in Redis: who is connected, and until when they count as present.

Each session has a lease. A live connection renews it; one that breaks leaves it to run out, `resume_seconds` later.
Any process sweeps what has run out: it claims the session, which from then on can't be resumed, says goodbye for it,
then forgets it; when that fails the claim runs out as the lease did, and another process goes on. Each change is one
script, by Redis's own clock. All keys share one slot of a Redis Cluster.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from services.signaling.domain import RateLimited, Session, SessionExpired

CLAIM_SECONDS = 10.0
LIFETIME_SECONDS = 3600
"""How long a session is kept after the last sign of life, should nobody ever manage to say goodbye for it."""
SAID_WINDOW_SECONDS = 10
SAID_LIMIT = 200
"""Messages that a session may send by `Send` in a window."""

LEASES = "signaling:{sessions}:leases"

_NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""

# KEYS: leases, session, participant. ARGV: id, session, lease, lifetime, prefix of session keys.
BEGIN = f"""{_NOW}
local older = redis.call('GET', KEYS[3])
if older then
  redis.call('DEL', ARGV[5] .. older)
  redis.call('ZREM', KEYS[1], older)
end
redis.call('HSET', KEYS[2], 'session', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[4])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return older
"""

# KEYS: leases, session, participant. ARGV: id, connection, lease, lifetime, whether to take it from another.
RENEW = f"""{_NOW}
local kept = redis.call('HMGET', KEYS[2], 'session', 'live', 'leaving')
if not kept[1] or kept[3] then return 0 end
if ARGV[5] == '0' and kept[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'live', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return 1
"""

# KEYS: session. ARGV: session.
CHANGE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'session', ARGV[1])
return 1
"""

# KEYS: leases, session. ARGV: id, connection, lease.
RELEASE = f"""{_NOW}
local kept = redis.call('HMGET', KEYS[2], 'live', 'leaving')
if kept[1] ~= ARGV[2] or kept[2] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[3], ARGV[1])
return 1
"""

# KEYS: leases, session. ARGV: id, claim.
CLAIM = f"""{_NOW}
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'leaving', 1)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
"""

# KEYS: leases. ARGV: limit, claim, prefix of session keys.
CLAIM_RUN_OUT = f"""{_NOW}
local claimed = {{}}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local text = redis.call('HGET', ARGV[3] .. id, 'session')
  if text then
    redis.call('HSET', ARGV[3] .. id, 'leaving', 1)
    redis.call('ZADD', KEYS[1], now + ARGV[2], id)
    table.insert(claimed, text)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return claimed
"""

# KEYS: leases, session, participant. ARGV: id.
FORGET = """
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
"""


class Sessions:
    """The sessions of all rooms. Every method raises redis.exceptions.RedisError while Redis is away."""

    def __init__(self, redis: Redis, resume_seconds: float) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._begin = redis.register_script(BEGIN)
        self._renew = redis.register_script(RENEW)
        self._change = redis.register_script(CHANGE)
        self._release = redis.register_script(RELEASE)
        self._claim = redis.register_script(CLAIM)
        self._claim_run_out = redis.register_script(CLAIM_RUN_OUT)
        self._forget = redis.register_script(FORGET)
        self.resume_seconds = resume_seconds
        self.renew_seconds = resume_seconds / 3

    async def begin(self, session: Session) -> str | None:
        """Keep a new session; returns the id of the participant's session that it replaces, if there is one."""
        args = (session.id, session.to_json(), self.resume_seconds, LIFETIME_SECONDS, _key(""))
        older = await self._begin(keys=_keys(session), args=args)
        return older.decode() if older else None

    async def find(self, identifier: str) -> Session | None:
        """Read a session; None when it is over."""
        text = await self._redis.hget(_key(identifier), "session")
        return Session.from_json(text) if text else None

    async def find_by_participant(self, participant: str) -> Session | None:
        """Read a participant's session; None when there is none."""
        identifier = await self._redis.get(_participant_key(participant))
        return await self.find(identifier.decode()) if identifier else None

    async def change(self, session: Session) -> None:
        """Write what a session's participant may do from now on; one that is over stays so."""
        await self._change(keys=[_key(session.id)], args=[session.to_json()])

    async def open(self, token: str) -> Session:
        """Find the session of a token. Raises SessionExpired."""
        identifier, _, secret = token.partition(".")
        session = await self.find(identifier)
        if session is None or not session.is_opened_by(secret):
            raise SessionExpired
        return session

    async def take(self, session: Session, connection: str) -> None:
        """Make a connection the session's only live one. Raises SessionExpired when it is over or ends just now."""
        if not await self._hold(session, connection, take=True):
            raise SessionExpired

    async def renew(self, session: Session, connection: str) -> bool:
        """Renew the lease; False when another connection has taken the session, or it is over."""
        return await self._hold(session, connection, take=False)

    async def _hold(self, session: Session, connection: str, *, take: bool) -> bool:
        lease = self.renew_seconds + self.resume_seconds
        args = (session.id, connection, lease, LIFETIME_SECONDS, int(take))
        return bool(await self._renew(keys=_keys(session), args=args))

    async def release(self, session: Session, connection: str) -> None:
        """The connection is gone: let the lease run out, unless another has taken the session."""
        args = (session.id, connection, self.resume_seconds)
        await self._release(keys=_keys(session)[:2], args=args)

    async def count_said(self, session: Session) -> None:
        """Count a message that came by `Send`, to whichever process. Raises RateLimited."""
        key = f"{_key(session.id)}:said"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, ex=SAID_WINDOW_SECONDS, nx=True)
            pipe.incr(key)
            said = (await pipe.execute())[1]
        if said > SAID_LIMIT:
            raise RateLimited(retry_after=SAID_WINDOW_SECONDS / 2)

    async def claim(self, session: Session) -> bool:
        """Claim a session to say goodbye for it; False when it is over or replaced."""
        args = (session.id, CLAIM_SECONDS)
        return bool(await self._claim(keys=_keys(session)[:2], args=args))

    async def claim_run_out(self, limit: int = 100) -> list[Session]:
        """Claim sessions whose leases have run out."""
        args = (limit, CLAIM_SECONDS, _key(""))
        return [
            Session.from_json(text) for text in await self._claim_run_out(keys=[LEASES], args=args)
        ]

    async def forget(self, session: Session) -> None:
        """A session is over."""
        await self._forget(keys=_keys(session), args=[session.id])


def _keys(session: Session) -> list[str]:
    return [LEASES, _key(session.id), _participant_key(session.participant)]


def _key(identifier: str) -> str:
    return f"signaling:{{sessions}}:session:{identifier}"


def _participant_key(participant: str) -> str:
    return f"signaling:{{sessions}}:participant:{participant}"


__all__ = ["Sessions"]
