"""Draining: a worker's rooms are given to others, whose paths are built before its own go.

A room's clients hear `media_moving`, build a second path to the new worker, and let the first go when media flows. The
old worker forwards on, without owning the room, until nobody receives by it or the notice is over; whoever has not
moved by then gets `media_reset`. Rooms go one after the other, so that not everybody comes to the new worker at once.
"""

from __future__ import annotations

import asyncio
import time

import redis.exceptions
from google.protobuf.duration_pb2 import Duration
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import logs
from services.media.peer import Peer
from services.media.placement import RoomLost
from services.media.room import Room
from services.media.worker import Worker, moved

NOTICE_SECONDS = 5.0
PEOPLE_PER_SECOND = 100
SPREAD_SECONDS = 3.0
"""At most; who drains because the process ends has no more time."""
LOOK_SECONDS = 0.1
FLUSH_SECONDS = 2.0

log = logs.get("media.drain")


class Drain:
    """Empties one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._wanted = asyncio.Event()

    def begin(self) -> None:
        """Take no new rooms from now on."""
        self._worker.placement.draining = True
        self._worker.hurry()

    def empty_soon(self) -> None:
        """Hand all rooms over, beside what else this worker does."""
        self.begin()
        self._wanted.set()

    async def run(self) -> None:
        """Wait until the worker is to be emptied, and empty it; for ever, since a room may have been on its way."""
        await self._wanted.wait()
        while True:
            try:
                await self._hand_over_all(is_ending=False)
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("rooms not handed over", error=type(error).__name__)
            await asyncio.sleep(10 * LOOK_SECONDS)

    async def end(self) -> None:
        """Empty the worker because the process ends. Where there is no other, clients are told to begin anew."""
        self.begin()
        try:
            await self._hand_over_all(is_ending=True)
            await self._worker.placement.leave()
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("left without notice", error=type(error).__name__)
        await self._worker.cascade.close()
        await self._worker.announcer.flush(FLUSH_SECONDS)
        await self._worker.scribe.flush(FLUSH_SECONDS)
        await self._worker.close()

    async def _hand_over_all(self, *, is_ending: bool) -> None:
        worker = self._worker
        pace = min(1 / PEOPLE_PER_SECOND, SPREAD_SECONDS / max(1, worker.peers))
        for name, room in tuple(worker.rooms.items()):
            if worker.rooms.get(name) is not room:
                continue
            if await self._hand_over(name, room):
                await asyncio.sleep(len(room.peers) * pace)
            elif is_ending and name in worker.rooms:
                people = tuple(room.peers) if room.links else ("",)
                await worker.close_room(name)
                for participant in people:
                    worker.tell_reset(name, participant)
        async with asyncio.TaskGroup() as group:
            for name in tuple(worker.leaving):
                group.create_task(self._see_off(name))

    async def _hand_over(self, name: str, room: Room) -> bool:
        """Give a room to another worker; False when there is none."""
        try:
            notice_seconds = NOTICE_SECONDS + SPREAD_SECONDS
            node = await self._worker.placement.hand_over(name, len(room.peers), notice_seconds)
        except RoomLost:
            self._worker.abandon(name)
            return True
        if node is None:
            return False
        self._worker.depart(name)
        notice = Duration()
        notice.FromMilliseconds(int(1000 * NOTICE_SECONDS))
        message = ServerMessage(media_moving=signaling_pb2.MediaMoving(notice=notice))
        for participant in room.peers if room.links else ("",):  # those at other workers stay there
            self._worker.announcer.tell(name, message, participant)
        moved.labels("drained").inc()
        log.info("room handed over", room=name, to=node.id)
        return True

    async def _see_off(self, name: str) -> None:
        """Keep a room's old paths until nobody receives by them, or the notice is over; then tell who is left."""
        worker, room = self._worker, self._worker.leaving[name]
        over = time.monotonic() + NOTICE_SECONDS
        while time.monotonic() < over and is_used(room):  # noqa: ASYNC110  # connections have no event
            await asyncio.sleep(LOOK_SECONDS)
        try:
            behind = await worker.placement.left_behind(name) & set(room.peers)
        except (redis.exceptions.RedisError, OSError):
            behind = set(room.peers)
        if worker.leaving.pop(name, None) is None:
            return  # the process ends while it was being drained: one of the two has seen to it
        room.close()
        for participant in sorted(behind):
            worker.tell_reset(name, participant)


def is_used(room: Room) -> bool:
    """Tell whether anybody still receives here, or at another worker what somebody sends here."""
    return any(
        peer.subscriber.transport.is_connected
        or (
            peer.publisher.transport.is_connected
            and any(room.links.watched(track_id) >= 0 for track_id in _published(peer))
        )
        for peer in room.peers.values()
    )


def _published(peer: Peer) -> list[str]:
    return [track.id for track in peer.publisher.tracks.values()]


__all__ = ["NOTICE_SECONDS", "SPREAD_SECONDS", "Drain", "is_used"]
