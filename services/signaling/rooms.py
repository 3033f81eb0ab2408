"""The rooms that this process has connections in: each is tailed once, and fanned out.

A subscription's queue is bounded; when it is full the subscription is over, with TooSlow, and the client resumes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import redis.exceptions
from parley.signaling.v1 import signaling_pb2
from redis.asyncio import Redis

from chassis import logs
from chassis.errors import DomainError
from services.signaling.domain import Session, TooSlow
from services.signaling.log import PAGE, WAKE_CHANNEL, Entry, RoomLog

QUEUE = 1_000
POLL_SECONDS = 1.0
"""How late an event may come when the wake-up for it was lost."""

log = logs.get("signaling.rooms")


class Subscription:
    """What one connection gets of a room."""

    def __init__(self, session: Session, cursor: int) -> None:
        self.session = session
        self.cursor = cursor
        self._wanted = {"", session.participant, f"session:{session.id}"}
        self._queue: asyncio.Queue[Entry] = asyncio.Queue(QUEUE)
        self._over = asyncio.Event()
        self._reason: DomainError | None = None

    def offer(self, entry: Entry) -> None:
        """Queue an entry, if it is for this connection and new to it."""
        if entry.sequence <= self.cursor or entry.to not in self._wanted:
            return
        self.cursor = entry.sequence
        try:
            self._queue.put_nowait(entry)
        except asyncio.QueueFull:
            self.close(TooSlow())

    def close(self, reason: DomainError | None = None) -> None:
        """End it; what is queued is not delivered. `reason` is raised to whoever reads."""
        self._reason = self._reason or reason
        self._over.set()

    async def messages(self) -> AsyncIterator[signaling_pb2.ServerMessage]:
        """Give messages until the end. Raises what `close` was given."""
        over = asyncio.create_task(self._over.wait())
        try:
            while not self._over.is_set():
                getting = asyncio.create_task(self._queue.get())
                await asyncio.wait((getting, over), return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    break
                yield getting.result().message()
        finally:
            over.cancel()
        if self._reason is not None:
            raise self._reason


class _Room:
    def __init__(self, meeting: str, position: int) -> None:
        self.meeting = meeting
        self.position = position
        self.lock = asyncio.Lock()
        self.subscriptions: set[Subscription] = set()


class Rooms:
    """Tails the log of each room that has subscriptions here."""

    def __init__(self, redis: Redis, room_log: RoomLog) -> None:
        self._redis = redis
        self._log = room_log
        self._rooms: dict[str, _Room] = {}
        self._woken: asyncio.Queue[str] = asyncio.Queue(10_000)

    @property
    def subscriptions(self) -> list[Subscription]:
        """All subscriptions of this process."""
        return [each for room in self._rooms.values() for each in room.subscriptions]

    async def attach(self, session: Session, cursor: int) -> Subscription:
        """Subscribe a session to all that comes after a cursor."""
        room = self._rooms.setdefault(session.meeting, _Room(session.meeting, cursor))
        subscription = Subscription(session, cursor)
        async with room.lock:
            await self._read(room, room.position)
            position = cursor
            while position < room.position:
                entries = await self._log.read(room.meeting, position)
                if not entries:
                    break
                for entry in entries:
                    subscription.offer(entry)
                position = entries[-1].sequence
            room.position = max(room.position, position)
            room.subscriptions.add(subscription)
        self._rooms[session.meeting] = room
        return subscription

    def detach(self, subscription: Subscription) -> None:
        """Forget a subscription, and its room if it was the last."""
        room = self._rooms.get(subscription.session.meeting)
        if room is not None:
            room.subscriptions.discard(subscription)
            if not room.subscriptions:
                del self._rooms[room.meeting]

    async def run(self) -> None:
        """Deliver what is appended, until cancelled; a Redis that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._poll())
            while True:
                await self._pull(await self._woken.get())

    async def _pull(self, meeting: str) -> None:
        if (room := self._rooms.get(meeting)) is None:
            return
        try:
            async with room.lock:
                await self._read(room, room.position)
        except redis.exceptions.RedisError as error:
            log.warning("room not read", error=type(error).__name__)

    async def _read(self, room: _Room, position: int) -> None:
        """Fan out what comes after a position. The room's lock is held."""
        while True:
            entries = await self._log.read(room.meeting, position)
            for entry in entries:
                for subscription in room.subscriptions:
                    subscription.offer(entry)
            if entries:
                room.position = position = entries[-1].sequence
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
            except redis.exceptions.RedisError as error:
                log.warning("wake-ups lost", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for meeting in tuple(self._rooms):
                self._wake(meeting)

    def _wake(self, meeting: str) -> None:
        if meeting in self._rooms:
            with contextlib.suppress(asyncio.QueueFull):  # the poll will come to it
                self._woken.put_nowait(meeting)
