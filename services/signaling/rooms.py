"""The rooms that this process has connections in: the log of each is tailed once, and fanned out.

A subscription first pages through what it missed, at its reader's pace, then takes what the tail brings. Its queue is
bounded by count and bytes; when it is full the subscription is over, with TooSlow, and the client resumes. A room's log has
no gaps, so that a gap on reading means that entries are lost: the subscription is over, with StateLost.

Whenever Redis can be reached again, each room of which this process knows is looked after: what was delivered, or given to
those who publish, must still be there. Otherwise the room's log is broken off, for all processes.

Pings are in no log: those that came by `Send`, to whichever process, reach the one with the connection by a channel.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import redis.exceptions
from parley.signaling.v1.signaling_pb2 import ClientMessage
from redis.asyncio import Redis

from chassis import logs
from chassis.errors import DomainError
from services.signaling.domain import Session, Simulated, StateLost, TakenOver, TooSlow
from services.signaling.log import (
    LIFETIME_SECONDS,
    PAGE,
    PING_CHANNEL,
    WAKE_CHANNEL,
    Entry,
    RoomLog,
    is_unbroken,
)

QUEUE = 1_000
QUEUE_BYTES = 4 * 1024 * 1024
"""What may wait for one connection. A single message beyond that waits alone."""
BREAKS = "-breaks"
"""What is for `<count>-breaks` breaks that connection off."""
POLL_SECONDS = 1.0
"""How late an event may come when the wake-up for it was lost."""
TOUCH_SECONDS = LIFETIME_SECONDS / 10

log = logs.get("signaling.rooms")


class Subscription:
    """What one connection gets of a room: all entries after `cursor` that are for it, in order, once. `on_ping` hears its pings.

    `attached` is the position of the room's tail when it was attached: up to there it reads the log by itself. Entries for
    connections of the same session tell which took it: those that did so before this one are history.
    """

    def __init__(
        self,
        session: Session,
        connection: str,
        cursor: int,
        attached: int,
        room_log: RoomLog,
    ) -> None:
        self.session = session
        self.on_ping: Callable[[ClientMessage], None] = lambda _message: None
        self._log = room_log
        self._cursor = self._given = cursor
        self._seen = attached
        self._attached = attached
        self._wanted = {"", session.participant, f"session:{session.id}"}
        self._own = f"session:{session.id}/{connection}"
        self._siblings = f"session:{session.id}/"
        self._count = count_of(connection)
        self._queue: deque[Entry] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._nudged = False
        self._over = False
        self._reason: DomainError | None = None

    def offer(self, entry: Entry) -> None:
        """Queue an entry that the tail brings, if it is for this connection; a full queue is the end."""
        self._seen = entry.sequence
        if self._over or not self._is_for_me(entry):
            return
        if self._queue and not self._has_room_for(entry):
            self.close(TooSlow())
            return
        self._queue.append(entry)
        self._queued_bytes += len(entry.payload)
        self._wake.set()

    @property
    def is_over(self) -> bool:
        """Tell whether it was ended."""
        return self._over

    @property
    def position(self) -> int:
        """The sequence up to which all that is for this connection has been given, once what it missed has."""
        return self._given if self._queue else max(self._given, self._seen)

    def close(self, reason: DomainError | None = None) -> None:
        """End it; what is queued is not delivered. `reason` is raised to whoever reads."""
        self._reason = self._reason or reason
        self._over = True
        self._queue.clear()
        self._wake.set()

    def nudge(self) -> None:
        """Have `entries` give None soon."""
        self._nudged = True
        self._wake.set()

    async def entries(self, idle_seconds: float) -> AsyncIterator[Entry | None]:
        """Give entries until the end, and None whenever there was nothing for a while, or after a nudge.

        Raises what `close` was given, and StateLost when the log no longer has what comes next.
        """
        async for entry in self._missed():
            yield entry
        while not self.is_over:
            if self._nudged:
                self._nudged = False
                yield None
            elif self._queue:
                entry = self._queue.popleft()
                self._queued_bytes -= len(entry.payload)
                self._given = entry.sequence
                if self._is_next(entry):
                    yield entry
            elif not await self._is_woken(idle_seconds):
                yield None
        if self._reason is not None:
            raise self._reason

    async def _missed(self) -> AsyncIterator[Entry]:
        position = self._cursor
        while position < self._attached:
            page = await self._log.read(self.session.meeting, position, self._attached - position)
            if not page or not is_unbroken(position, page):
                raise StateLost(retry_after=0.1)
            position = page[-1].sequence
            for entry in page:
                if self.is_over:
                    return
                if self._is_for_me(entry) and self._is_next(entry):
                    yield entry
        self._given = max(self._given, position)

    async def _is_woken(self, seconds: float) -> bool:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _has_room_for(self, entry: Entry) -> bool:
        return len(self._queue) < QUEUE and self._queued_bytes + len(entry.payload) <= QUEUE_BYTES

    def _is_for_me(self, entry: Entry) -> bool:
        return entry.sequence > self._cursor and (
            entry.to in self._wanted or entry.to.startswith(self._siblings)
        )

    def _is_next(self, entry: Entry) -> bool:
        """Tell whether an entry is to be given; one by which another connection took over ends this one."""
        if entry.to == self._own or not entry.to.startswith(self._siblings):
            return True
        if count_of(entry.to.removeprefix(self._siblings)) >= self._count:
            self.close(Simulated(retry_after=0.1) if entry.to.endswith(BREAKS) else TakenOver())
        return False


class _Room:
    """A room's tail: `position` is the sequence up to which it was read."""

    def __init__(self, meeting: str, position: int) -> None:
        self.meeting = meeting
        self.position = position
        self.subscriptions: set[Subscription] = set()
        self.woken = asyncio.Event()
        self.is_open = True

    def take(self, entries: list[Entry]) -> None:
        """Fan out what the log has after `position`."""
        for entry in entries:
            for subscription in self.subscriptions:
                subscription.offer(entry)
        self.position = entries[-1].sequence

    def close(self, reason: DomainError) -> None:
        """End all its subscriptions."""
        for subscription in self.subscriptions:
            subscription.close(reason)


class Rooms:
    """Tails the log of each room that has subscriptions here."""

    def __init__(self, redis: Redis, room_log: RoomLog) -> None:
        self._redis = redis
        self._log = room_log
        self._rooms: dict[str, _Room] = {}
        self._group = asyncio.TaskGroup()

    async def attach(self, session: Session, connection: str, cursor: int) -> Subscription:
        """Subscribe a connection of a session to all that comes after a cursor."""
        if session.meeting not in self._rooms:
            position = await self._log.last(session.meeting)
            if session.meeting not in self._rooms:
                self._open(session.meeting, position)
        room = self._rooms[session.meeting]
        subscription = Subscription(session, connection, cursor, room.position, self._log)
        room.subscriptions.add(subscription)
        return subscription

    def detach(self, subscription: Subscription) -> None:
        """Forget a subscription, and its room if it was the last."""
        room = self._rooms.get(subscription.session.meeting)
        if room is None:
            return
        room.subscriptions.discard(subscription)
        if not room.subscriptions:
            del self._rooms[room.meeting]
            room.is_open = False
            room.woken.set()

    async def pass_ping(self, session: Session, message: ClientMessage) -> None:
        """Have a session's connection hear of a ping, whichever process holds it."""
        whose = f"{session.meeting} {session.id} ".encode()
        await self._redis.publish(PING_CHANNEL, whose + message.SerializeToString())

    async def run(self) -> None:
        """Deliver what is appended, until cancelled; a Redis that is away is waited for."""
        async with self._group:
            try:
                await self._listen()
            finally:
                for room in self._rooms.values():
                    room.is_open = False

    def _open(self, meeting: str, position: int) -> None:
        room = self._rooms[meeting] = _Room(meeting, position)
        self._group.create_task(self._tail(room))

    async def _tail(self, room: _Room) -> None:
        touched = time.monotonic()
        while room.is_open:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await room.woken.wait()
            except TimeoutError:
                pass  # a lost wake-up is made good
            room.woken.clear()
            try:
                await self._pull(room)
                if time.monotonic() - touched > TOUCH_SECONDS:
                    touched = time.monotonic()
                    await self._log.touch(room.meeting)
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("room not read", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    async def _pull(self, room: _Room) -> None:
        while entries := await self._log.read(room.meeting, room.position, PAGE):
            if not is_unbroken(room.position, entries):
                await self._log.break_if_lost(room.meeting, room.position)
                room.close(StateLost(retry_after=0.1))
            room.take(entries)
            if len(entries) < PAGE:
                return

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(WAKE_CHANNEL, PING_CHANNEL)
                    while True:
                        await self._hear(await channel.get_message(timeout=POLL_SECONDS))
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("wake-ups lost", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    async def _hear(self, message: Mapping[str, Any] | None) -> None:
        """Wake the room that a message names; that wake-ups come (again) is told by a message of Redis's own."""
        if message is None:
            return
        if message["channel"] == PING_CHANNEL.encode():
            if message["type"] == "message":
                self._hear_ping(message["data"])
        elif message["type"] == "subscribe":
            await self._look_after_all()
        elif (room := self._rooms.get(message["data"].decode())) is not None:
            room.woken.set()

    def _hear_ping(self, data: bytes) -> None:
        meeting, session, ping = data.split(b" ", 2)
        if (room := self._rooms.get(meeting.decode())) is None:
            return
        whose = session.decode()
        for subscription in room.subscriptions:
            if subscription.session.id == whose:
                subscription.on_ping(ClientMessage.FromString(ping))

    async def _look_after_all(self) -> None:
        known = [*self._log.lately_given().items()]
        known += [(meeting, room.position) for meeting, room in self._rooms.items()]
        for meeting, sequence in known:
            if await self._log.break_if_lost(meeting, sequence):
                log.warning("the room log has lost its end", meeting=meeting, sequence=sequence)
        for room in self._rooms.values():
            room.woken.set()


def count_of(connection: str) -> int:
    """Read how often its session had been taken with a connection; 0 where its name does not say."""
    count, dash, _ = connection.partition("-")
    return int(count) if dash and count.isdecimal() else 0


__all__ = ["BREAKS", "Rooms", "Subscription", "count_of"]
