"""A conversation: one live connection of a session, whatever transport carries it.

It tells what the room's log has for it, and hears what the client says, at a bounded rate. The keeper asks it now and then
what is wrong with it, and cuts it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import redis.exceptions
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import logs, telemetry
from chassis.calls import translated
from chassis.clock import Clock
from chassis.errors import DomainError, Internal
from services.signaling.domain import (
    FAULT_BURST,
    FAULTS_PER_SECOND,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    ConnectionTooOld,
    RateLimited,
    Session,
    Silent,
    TokenBucket,
    TooSlow,
)
from services.signaling.rooms import Subscription
from services.signaling.told import Told

IDLE_SECONDS = 15.0
"""Who has heard nothing for so long is told a `pong`, so that proxies stay content and its cursor moves."""
STUCK_SECONDS = 30.0
"""How long a client may take to read one message."""
SILENT_SECONDS = 25.0
"""How long a client that has sent `ping` may say nothing: no TCP connection tells of a machine that has vanished."""
LAST_MESSAGES = frozenset({"meeting_ended", "disconnected"})

log = logs.get("signaling.conversation")

REDIS_AWAY = (redis.exceptions.RedisError, OSError)

_told = telemetry.counter("signaling_messages_out", "Server messages, by kind.", ("kind",))

Frames = AsyncIterator[ClientMessage | DomainError]
"""What a client says, and what is wrong with what could not be read."""


class Listener(Protocol):
    """Does what clients say."""

    async def hear(self, session: Session, message: ClientMessage) -> None:
        """Do what a client says; its answer goes to the log."""
        ...

    async def say(self, session: Session, message: ServerMessage, connection: str = "") -> None:
        """Append a message for one session, or one connection of it."""
        ...

    async def refuse(self, session: Session, reply_to: str, error: DomainError) -> None:
        """Append a refusal."""
        ...


class Conversation:
    """Iterate `messages`; `listen` runs beside it, and `cut` ends it."""

    def __init__(
        self,
        session: Session,
        connection: str,
        subscription: Subscription,
        first: ServerMessage | None,
        listener: Listener,
        clock: Clock,
    ) -> None:
        self.session = session
        self.connection = connection
        self._answers_to = f"session:{session.id}"
        self._subscription = subscription
        self._first = first
        self._listener = listener
        self._clock = clock
        self._began = clock.monotonic()
        self._telling_since: float | None = None
        self._heard = self._began
        self._pings = False
        self._said = TokenBucket(MESSAGES_PER_SECOND, MESSAGE_BURST)
        self._faults = TokenBucket(FAULTS_PER_SECOND, FAULT_BURST)
        self.on_cut: Callable[[], object] | None = None
        self.has_vanished = False
        """Whether its client has given no sign of life for long, though nothing was closed."""

    async def told(self) -> AsyncIterator[Told]:
        """Give what the client is told, to the end of the conversation. Raises DomainError when it was cut."""
        if self._first is not None:
            yield Told(self._first)
        async for entry in self._subscription.entries(IDLE_SECONDS):
            if entry is None:
                await self._tell_that_we_are_here()
                continue
            told = entry.told
            if entry.to == self._answers_to:
                self._heard = self._clock.monotonic()
                self._pings = self._pings or told.kind == "pong"
            _told.labels(told.kind).inc()
            self._telling_since = self._clock.monotonic()
            yield told
            self._telling_since = None
            if told.kind in LAST_MESSAGES:
                return

    async def listen(self, frames: Frames) -> None:
        """Do what a client says, in order, until it says no more; what goes wrong with that cuts the connection."""
        await self._or_cut(self._hear_all(frames))

    def fault(self, max_seconds: float) -> DomainError | None:
        """Tell why the connection should be cut: it is too old, stuck, or its client has vanished."""
        now = self._clock.monotonic()
        if now - self._began > max_seconds:
            return ConnectionTooOld(retry_after=0.1)
        if self._telling_since is not None and now - self._telling_since > STUCK_SECONDS:
            return TooSlow()
        if self._pings and now - self._heard > SILENT_SECONDS:
            self.has_vanished = True
            return Silent(retry_after=0.1)
        return None

    def cut(self, reason: DomainError) -> None:
        """End the connection; the session stays, to be resumed."""
        self._subscription.close(reason)
        if self.on_cut is not None:
            self.on_cut()

    async def _tell_that_we_are_here(self) -> None:
        pong = ServerMessage(pong=signaling_pb2.Pong())
        try:
            await self._listener.say(self.session, pong, self.connection)
        except REDIS_AWAY as error:  # nobody can resume anywhere: the client may as well stay
            log.warning("nothing can be said", error=type(error).__name__)

    async def _hear_all(self, frames: Frames) -> None:
        async for frame in frames:
            self._heard = self._clock.monotonic()
            if isinstance(frame, DomainError):
                await self._fault("", frame)
            elif not self._said.take(self._clock.monotonic()):
                await self._fault(frame.id, RateLimited(retry_after=1.0))
            else:
                await self._listener.hear(self.session, frame)

    async def _fault(self, reply_to: str, error: DomainError) -> None:
        """Refuse, unless that has happened too often: then raise."""
        if not self._faults.take(self._clock.monotonic()):
            raise error
        await self._listener.refuse(self.session, reply_to, error)

    async def _or_cut(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as exception:  # whatever it is, it ends this connection and no other
            error = translated(exception)
            if isinstance(error, Internal):
                log.error("conversation failed", exc_info=exception)
            self.cut(error)


__all__ = ["REDIS_AWAY", "Conversation", "Frames", "Listener"]
