"""Sessions in Redis: who is connected, until when they count as present, and for how long they can be taken up.

Each session has a lease, which whoever holds its connection renews. One that breaks leaves it to run out, after
`presence_seconds`: any process that sweeps then claims the session, tells the room that the participant is gone, and
leaves the session for the rest of `resume_seconds` to be taken up all the same, by whoever builds their state anew. When
that is over, too, it is claimed for good, and forgotten when all have been told; a claim that comes to nothing runs out as
the lease did, and another process goes on. Each change is one script, by Redis's own clock. While nobody swept, nobody
could renew: then all have a little longer. All keys share one slot of a Redis Cluster.

Fields of a session: `session`, `taken` (how often), `live` (the connection that holds it), `away` (the end of the window, from when the
lease ran out to being taken up), `gone` (the room believes so), `leaving` (it ends), `refuse` (it is not to be taken up),
`published` (the first offer of what it sends has been answered).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

from redis.asyncio import Redis

from services.signaling.domain import RateLimited, Session, SessionExpired

CLAIM_SECONDS = 10.0
LIFETIME_SECONDS = 3600
"""How long a session is kept after the last sign of life, should nobody ever manage to say goodbye for it."""
SAID_WINDOW_SECONDS = 10
SAID_LIMIT = 200
"""Messages that a session may send by `Send` in a window."""
REACTION_WINDOW_SECONDS = 5
REACTION_LIMIT = 10
"""Reactions that a session may show in a window: each goes to everyone."""

RENEWALS_PER_LEASE = 4
VANISHED_SECONDS = 2.0
"""How long the lease lasts of somebody who is known to have been silent for long."""
UNSWEPT_SECONDS = 3.0
GRACE_SECONDS = 6.0
"""How long leases last at least once somebody sweeps again, after more than UNSWEPT_SECONDS: longer than clients wait."""

LEASES = "signaling:{sessions}:leases"
SWEPT = "signaling:{sessions}:swept"

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

# KEYS: leases, session, participant. ARGV: id, what makes the connection's name unique, lease, lifetime.
TAKE = f"""{_NOW}
local kept = redis.call('HMGET', KEYS[2], 'session', 'leaving', 'away', 'gone', 'refuse')
if not kept[1] or kept[2] or kept[5] then return {{0, ''}} end
if kept[3] and tonumber(kept[3]) <= now then return {{0, ''}} end
if kept[3] and not kept[4] then return {{3, ''}} end
local connection = redis.call('HINCRBY', KEYS[2], 'taken', 1) .. '-' .. ARGV[2]
redis.call('HSET', KEYS[2], 'live', connection)
redis.call('HDEL', KEYS[2], 'away')
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return {{kept[4] and 2 or 1, connection}}
"""

# KEYS: leases. ARGV: lease, lifetime, prefixes of session and participant keys, then ids, connections and participants.
RENEW = f"""{_NOW}
local held = {{}}
for i = 5, #ARGV, 3 do
  local session, participant = ARGV[3] .. ARGV[i], ARGV[4] .. ARGV[i + 2]
  local kept = redis.call('HMGET', session, 'live', 'leaving', 'away')
  if kept[2] or kept[1] ~= ARGV[i + 1] then table.insert(held, 0)
  elseif kept[3] then table.insert(held, 2)
  else
    redis.call('EXPIRE', session, ARGV[2])
    redis.call('EXPIRE', participant, ARGV[2])
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
    table.insert(held, 1)
  end
end
return held
"""

# KEYS: session. ARGV: field, value.
CHANGE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
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

# KEYS: leases, last sweep. ARGV: limit, claim, prefix of session keys, rest of the window, grace, seconds unswept.
CLAIM_RUN_OUT = f"""{_NOW}
local swept = tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], now)
if now - swept > tonumber(ARGV[6]) then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[5])) do
    redis.call('ZADD', KEYS[1], now + ARGV[5], id)
  end
end
local claimed = {{}}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local session = ARGV[3] .. id
  local kept = redis.call('HMGET', session, 'session', 'away', 'leaving', 'gone')
  if kept[1] then
    local is_over = kept[3] or (kept[2] and kept[4] and tonumber(kept[2]) <= now)
    if is_over then redis.call('HSET', session, 'leaving', 1)
    elseif not kept[2] then
      kept[2] = string.format('%.6f', now + ARGV[4])
      redis.call('HSET', session, 'away', kept[2])
    end
    redis.call('ZADD', KEYS[1], now + ARGV[2], id)
    table.insert(claimed, {{kept[1], is_over and '' or kept[2]}})
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return claimed
"""

# KEYS: leases, session. ARGV: id.
SAY_GONE = """
local kept = redis.call('HMGET', KEYS[2], 'away', 'leaving')
if not kept[1] or kept[2] then return 0 end
redis.call('HSET', KEYS[2], 'gone', 1)
redis.call('ZADD', KEYS[1], 'XX', kept[1], ARGV[1])
return 1
"""

# KEYS: leases, session, participant. ARGV: id.
FORGET = """
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
"""


class Taken(IntEnum):
    """What became of a session that a connection wanted."""

    OVER = 0
    HELD = 1
    """And nobody has noticed that it was away."""
    GONE = 2
    """It is held, but the room was told that the participant is gone."""
    GOING = 3
    """The room is being told so just now."""


class Held(IntEnum):
    """Whether a connection still holds its session."""

    NO = 0
    YES = 1
    LAPSED = 2
    """Its lease ran out, and the room is told that the participant is gone."""


class Sessions:
    """The sessions of all rooms. Every method raises redis.exceptions.RedisError while Redis is away."""

    def __init__(self, redis: Redis, resume_seconds: float, presence_seconds: float) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._begin = redis.register_script(BEGIN)
        self._take = redis.register_script(TAKE)
        self._renew = redis.register_script(RENEW)
        self._change = redis.register_script(CHANGE)
        self._release = redis.register_script(RELEASE)
        self._claim = redis.register_script(CLAIM)
        self._claim_run_out = redis.register_script(CLAIM_RUN_OUT)
        self._say_gone = redis.register_script(SAY_GONE)
        self._forget = redis.register_script(FORGET)
        self.resume_seconds = resume_seconds
        self._presence_seconds = min(presence_seconds, resume_seconds)
        self.renew_seconds = self._presence_seconds / RENEWALS_PER_LEASE
        self._lease = self.renew_seconds + self._presence_seconds

    async def begin(self, session: Session) -> str | None:
        """Keep a new session; returns the id of the participant's session that it replaces, if there is one."""
        args = (session.id, session.to_json(), self._presence_seconds, LIFETIME_SECONDS, _key(""))
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
        await self._change(keys=[_key(session.id)], args=["session", session.to_json()])

    async def open(self, token: str) -> Session:
        """Find the session of a token. Raises SessionExpired."""
        identifier, _, secret = token.partition(".")
        session = await self.find(identifier)
        if session is None or not session.is_opened_by(secret):
            raise SessionExpired
        return session

    async def take(self, session: Session) -> tuple[Taken, str]:
        """Take a session for a new connection, if it can be taken up; gives the connection's name: `<count>-<random>`."""
        args = (session.id, secrets.token_hex(8), self._lease, LIFETIME_SECONDS)
        taken, connection = await self._take(keys=_keys(session), args=args)
        return Taken(taken), connection.decode()

    async def renew(self, held: Sequence[tuple[Session, str]]) -> list[Held]:
        """Renew the leases of sessions, each held by a connection; tells of each whether it still is."""
        args: list[str | float] = [self._lease, LIFETIME_SECONDS, _key(""), _participant_key("")]
        for session, connection in held:
            args += [session.id, connection, session.participant]
        return [Held(each) for each in await self._renew(keys=[LEASES], args=args)]

    async def release(
        self, session: Session, connection: str, *, has_vanished: bool = False
    ) -> None:
        """The connection is gone: let the lease run out, unless another has taken the session.

        `has_vanished`: its client had been silent for long before, and that counts.
        """
        longest = VANISHED_SECONDS if has_vanished else self._presence_seconds
        args = (session.id, connection, min(longest, self._presence_seconds))
        await self._release(keys=_keys(session)[:2], args=args)

    async def count_said(self, session: Session) -> None:
        """Count a message that came by `Send`, to whichever process. Raises RateLimited."""
        await self._count(f"{_key(session.id)}:said", SAID_LIMIT, SAID_WINDOW_SECONDS)

    async def count_reaction(self, session: Session) -> None:
        """Count a reaction, to whichever process. Raises RateLimited."""
        await self._count(f"{_key(session.id)}:reacted", REACTION_LIMIT, REACTION_WINDOW_SECONDS)

    async def _count(self, key: str, limit: int, window_seconds: int) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, ex=window_seconds, nx=True)
            pipe.incr(key)
            count = (await pipe.execute())[1]
        if count > limit:
            raise RateLimited(retry_after=window_seconds / 2)

    async def claim(self, session: Session) -> bool:
        """Claim a session for good, to say goodbye for it; False when it is over or replaced."""
        args = (session.id, CLAIM_SECONDS)
        return bool(await self._claim(keys=_keys(session)[:2], args=args))

    async def claim_run_out(self, limit: int = 100) -> list[tuple[Session, str]]:
        """Claim sessions whose leases have run out; tells of each until when it can be taken up, "" when it can't."""
        window = self.resume_seconds - self._presence_seconds
        args = (limit, CLAIM_SECONDS, _key(""), window, GRACE_SECONDS, UNSWEPT_SECONDS)
        claimed: Iterable[tuple[bytes, bytes]] = await self._claim_run_out(
            keys=[LEASES, SWEPT], args=args
        )
        return [(Session.from_json(text), until.decode()) for text, until in claimed]

    async def say_gone(self, session: Session) -> None:
        """The room has been told that a claimed session's participant is gone; it can be taken up until its window ends."""
        await self._say_gone(keys=_keys(session)[:2], args=[session.id])

    async def say_back(self, session: Session) -> None:
        """The room has been told that the participant is here."""
        await self._redis.hdel(_key(session.id), "gone")

    async def live(self, session: Session) -> str:
        """Get the name of the connection that holds a session, or did last."""
        return (await self._redis.hget(_key(session.id), "live") or b"").decode()

    async def refuse(self, session: Session) -> None:
        """Have a session not be taken up any more."""
        await self._redis.hset(_key(session.id), "refuse", 1)

    async def has_published(self, session: Session) -> bool:
        """Tell whether an offer of what its participant sends has been answered, as `note_published` says."""
        return bool(await self._redis.hexists(_key(session.id), "published"))

    async def note_published(self, session: Session) -> None:
        """Note that an offer of what its participant sends has been answered."""
        await self._change(keys=[_key(session.id)], args=["published", 1])

    async def forget(self, session: Session) -> None:
        """A session is over."""
        await self._forget(keys=_keys(session), args=[session.id])


def _keys(session: Session) -> list[str]:
    return [LEASES, _key(session.id), _participant_key(session.participant)]


def _key(identifier: str) -> str:
    return f"signaling:{{sessions}}:session:{identifier}"


def _participant_key(participant: str) -> str:
    return f"signaling:{{sessions}}:participant:{participant}"


__all__ = ["Held", "Sessions", "Taken"]
