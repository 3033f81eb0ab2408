"""A conversation: one live connection of a session, whatever transport carries it.

It tells what the room's log has for it, and hears what the client says, at a bounded rate. The keeper asks it now and then
what is wrong with it, and cuts it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import redis.exceptions
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import logs, telemetry
from chassis.calls import check, translated
from chassis.clock import Clock
from chassis.errors import DomainError, Internal, InvalidArgument
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
"""How long a client that has sent `ping` may say nothing, if it does not promise to be back sooner: no TCP connection tells of
a machine that has vanished."""
LAST_MESSAGES = frozenset({"meeting_ended", "disconnected"})

log = logs.get("signaling.conversation")

REDIS_AWAY = (redis.exceptions.RedisError, OSError)

heard = telemetry.counter("signaling_messages_in", "Client messages, by kind.", ("kind",))
_told = telemetry.counter("signaling_messages_out", "Server messages, by kind.", ("kind",))

Frames = AsyncIterator[ClientMessage | DomainError]
"""What a client says, and what is wrong with what could not be read."""


class Listener(Protocol):
    """Does what clients say."""

    async def hear(self, session: Session, message: ClientMessage) -> None:
        """Do what a client says; its answer goes to the log."""
        ...

    async def refuse(self, session: Session, reply_to: str, error: DomainError) -> None:
        """Append a refusal."""
        ...


class Conversation:
    """Iterate `told`; `listen` runs beside it, and `cut` ends it.

    A `pong` comes from here, and not from the room's log: there would be more of them in it than of anything else. Its sequence
    is that up to which all has been told. Of several pings that wait for their answers the last with an id alone gets one.
    """

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
        self._promised_seconds = math.inf
        self._ping_id = ""
        subscription.on_ping = self.pinged
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
            told = self._pong() if entry is None else entry.told
            if entry is not None and entry.to == self._answers_to:
                self._heard = self._clock.monotonic()
            _told.labels(told.kind).inc()
            self._telling_since = self._clock.monotonic()
            yield told
            self._telling_since = None
            if told.kind in LAST_MESSAGES:
                return

    async def listen(self, frames: Frames) -> None:
        """Do what a client says, in order, until it says no more; what goes wrong with that cuts the connection."""
        await self._or_cut(self._hear_all(frames))

    def pinged(self, message: ClientMessage) -> None:
        """Answer a ping, and count on the next."""
        heard.labels("ping").inc()
        self._heard = self._clock.monotonic()
        promised = message.ping.next_within.ToTimedelta().total_seconds()
        self._promised_seconds = promised or SILENT_SECONDS
        self._ping_id = message.id or self._ping_id
        self._subscription.nudge()

    def excuse(self) -> None:
        """Nothing could be heard for a while: begin to wait anew."""
        self._heard = self._clock.monotonic()

    def fault(self, max_seconds: float) -> DomainError | None:
        """Tell why the connection should be cut: it is too old, stuck, or its client has vanished."""
        now = self._clock.monotonic()
        if now - self._began > max_seconds:
            return ConnectionTooOld(retry_after=0.1)
        if self._telling_since is not None and now - self._telling_since > STUCK_SECONDS:
            return TooSlow()
        if now - self._heard > self._promised_seconds:
            self.has_vanished = True
            return Silent(retry_after=0.1)
        return None

    def cut(self, reason: DomainError) -> None:
        """End the connection; the session stays, to be resumed."""
        self._subscription.close(reason)
        if self.on_cut is not None:
            self.on_cut()

    def _pong(self) -> Told:
        """Tell that we are here, in answer to the last ping if there is one that waits."""
        message = ServerMessage(sequence=self._subscription.position, pong=signaling_pb2.Pong())
        message.reply_to, self._ping_id = self._ping_id, ""
        message.time.GetCurrentTime()
        return Told(message)

    async def _hear_all(self, frames: Frames) -> None:
        async for frame in frames:
            self._heard = self._clock.monotonic()
            if isinstance(frame, DomainError):
                await self._fault("", frame)
            elif not self._said.take(self._clock.monotonic()):
                await self._fault(frame.id, RateLimited(retry_after=1.0))
            elif frame.HasField("ping"):
                await self._hear_ping(frame)
            else:
                await self._listener.hear(self.session, frame)

    async def _hear_ping(self, frame: ClientMessage) -> None:
        try:
            check(frame)
        except InvalidArgument as error:
            await self._listener.refuse(self.session, frame.id, error)
        else:
            self.pinged(frame)

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


__all__ = ["REDIS_AWAY", "Conversation", "Frames", "Listener", "heard"]
