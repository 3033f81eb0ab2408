"""The rooms that this process has connections in: the log of each is tailed once, and fanned out.

A subscription first pages through what it missed, at its reader's pace, then takes what the tail brings. Its queue is
bounded; when it is full the subscription is over, with TooSlow, and the client resumes. A room's sequence has no gaps
in the log, so that a gap on reading means that entries are lost: the subscription is over, with SessionExpired.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

import redis.exceptions
from redis.asyncio import Redis

from chassis import logs
from chassis.errors import DomainError
from services.signaling.domain import Session, SessionExpired, TakenOver, TooSlow
from services.signaling.log import LIFETIME_SECONDS, PAGE, WAKE_CHANNEL, Entry, RoomLog

QUEUE = 1_000
POLL_SECONDS = 1.0
"""How late an event may come when the wake-up for it was lost."""
TOUCH_SECONDS = LIFETIME_SECONDS / 10

log = logs.get("signaling.rooms")


class Subscription:
    """What one connection gets of a room: all entries after `cursor` that are for it, in order, once.

    `attached` is the position of the room's tail when it was attached: up to there it reads the log by itself. It
    `is_current` from the entry on by which its own connection took the session; a first connection is from the start.
    """

    def __init__(
        self,
        session: Session,
        connection: str,
        cursor: int,
        attached: int,
        room_log: RoomLog,
        *,
        is_current: bool,
    ) -> None:
        self.session = session
        self._log = room_log
        self._cursor = cursor
        self._attached = attached
        self._wanted = {"", session.participant, f"session:{session.id}"}
        self._own = f"session:{session.id}/{connection}"
        self._siblings = f"session:{session.id}/"
        self._is_current = is_current
        self._queue: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._over = False
        self._reason: DomainError | None = None

    def offer(self, entry: Entry) -> None:
        """Queue an entry that the tail brings, if it is for this connection; a full queue is the end."""
        if self._over or not self._is_for_me(entry):
            return
        if len(self._queue) >= QUEUE:
            self.close(TooSlow())
            return
        self._queue.append(entry)
        self._wake.set()

    @property
    def is_over(self) -> bool:
        """Tell whether it was ended."""
        return self._over

    def close(self, reason: DomainError | None = None) -> None:
        """End it; what is queued is not delivered. `reason` is raised to whoever reads."""
        self._reason = self._reason or reason
        self._over = True
        self._wake.set()

    async def entries(self, idle_seconds: float) -> AsyncIterator[Entry | None]:
        """Give entries until the end, and None whenever there was nothing for a while.

        Raises what `close` was given, and SessionExpired when the log no longer has what comes next.
        """
        async for entry in self._missed():
            yield entry
        while not self.is_over:
            if self._queue:
                entry = self._queue.popleft()
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
            if not page or page[0].sequence != position + 1:
                raise SessionExpired
            position = page[-1].sequence
            for entry in page:
                if self.is_over:
                    return
                if self._is_for_me(entry) and self._is_next(entry):
                    yield entry

    async def _is_woken(self, seconds: float) -> bool:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _is_for_me(self, entry: Entry) -> bool:
        return entry.sequence > self._cursor and (
            entry.to in self._wanted or entry.to.startswith(self._siblings)
        )

    def _is_next(self, entry: Entry) -> bool:
        """Tell whether an entry is to be given; one by which another connection took over ends this one.

        Those of connections before this one are history.
        """
        if entry.to == self._own:
            self._is_current = True
        elif entry.to.startswith(self._siblings):
            if self._is_current:
                self.close(TakenOver())
            return False
        return True


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
        if entries[0].sequence != self.position + 1:
            for subscription in self.subscriptions:
                subscription.close(SessionExpired())
        for entry in entries:
            for subscription in self.subscriptions:
                subscription.offer(entry)
        self.position = entries[-1].sequence


class Rooms:
    """Tails the log of each room that has subscriptions here."""

    def __init__(self, redis: Redis, room_log: RoomLog) -> None:
        self._redis = redis
        self._log = room_log
        self._rooms: dict[str, _Room] = {}
        self._group = asyncio.TaskGroup()

    async def attach(
        self, session: Session, connection: str, cursor: int, *, is_first: bool
    ) -> Subscription:
        """Subscribe a connection, the first of its session or a later one, to all that comes after a cursor."""
        if session.meeting not in self._rooms:
            position = await self._log.last(session.meeting)
            if session.meeting not in self._rooms:
                self._open(session.meeting, position)
        room = self._rooms[session.meeting]
        subscription = Subscription(
            session, connection, cursor, room.position, self._log, is_current=is_first
        )
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
            room.take(entries)
            if len(entries) < PAGE:
                return

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(WAKE_CHANNEL)
                    while True:
                        message = await channel.get_message(timeout=POLL_SECONDS)
                        if message is not None:
                            self._wake(message["data"].decode())
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("wake-ups lost", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    def _wake(self, meeting: str) -> None:
        if (room := self._rooms.get(meeting)) is not None:
            room.woken.set()


__all__ = ["Rooms", "Subscription"]
