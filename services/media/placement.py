"""Which worker holds which room: leases in Redis.

A worker's lease and each of its rooms' are renewed every second and run out after three. A room's lease names its
worker and that worker's incarnation, which is the fencing token: a worker that finds another's name in a lease of its
own has come too late, and gives the room up. What a dead worker held is told to its clients by whoever notices first,
the worker itself when it comes back, or another.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

LEASE_MS = 3_000
NODES = "media:nodes"

# KEYS: room lease. ARGV: ours, milliseconds. 1 if it is still ours.
RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# KEYS: room lease. ARGV: ours.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A worker that is alive: where its gRPC is, and how many peers it serves."""

    id: str
    address: str
    incarnation: str
    peers: int


class Placement:
    """A worker's view of all workers."""

    def __init__(self, redis: Redis, node_id: str, address: str) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._renew = redis.register_script(RENEW)
        self._release = redis.register_script(RELEASE)
        self._peers = 0
        self.node_id = node_id
        self.address = address
        self.incarnation = secrets.token_hex(8)

    @property
    def _mine(self) -> str:
        return f"{self.node_id}|{self.incarnation}"

    async def beat(self, peers: int, rooms: Iterable[str]) -> list[str]:
        """Renew this worker's lease and its rooms'; returns the rooms that are another's by now."""
        self._peers = peers
        value = json.dumps(
            {"address": self.address, "incarnation": self.incarnation, "peers": peers}
        )
        held = list(rooms)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(_node_key(self.node_id), value, px=LEASE_MS)
            pipe.sadd(NODES, self.node_id)
            pipe.delete(_rooms_key(self.node_id))
            if held:
                pipe.sadd(_rooms_key(self.node_id), *held)
            await pipe.execute()
        return [
            room
            for room in held
            if not await self._renew(keys=[_room_key(room)], args=[self._mine, LEASE_MS])
        ]

    async def holder(self, room: str) -> Node | None:
        """Find the worker that holds a room; None when nobody does, or it is dead."""
        value = await self._redis.get(_room_key(room))
        if value is None:
            return None
        node_id, incarnation = value.decode().split("|")
        node = await self._node(node_id)
        return node if node is not None and node.incarnation == incarnation else None

    async def place(self, room: str) -> Node | None:
        """Find the worker that holds a room, or give it to the least loaded of two. None when no worker is alive."""
        for _ in range(3):
            if (node := await self.holder(room)) is not None:
                return node
            alive = await self.alive()
            if not alive:
                return None
            chosen = min(random.sample(alive, min(2, len(alive))), key=lambda n: n.peers)
            lease = f"{chosen.id}|{chosen.incarnation}"
            before = await self._redis.get(_room_key(room))
            if before is None:
                await self._redis.set(_room_key(room), lease, px=LEASE_MS, nx=True)
            else:  # a dead worker's, that has not run out yet
                await self._release(keys=[_room_key(room)], args=[before])
        return await self.holder(room)

    async def alive(self) -> list[Node]:
        """List the workers whose leases have not run out."""
        members = sorted(member.decode() for member in await self._redis.smembers(NODES))
        nodes = [await self._node(member) for member in members]
        return [node for node in nodes if node is not None]

    async def hold(self, room: str) -> None:
        """Note a room that begins here: should this worker die before its next beat, it is not forgotten."""
        await self._redis.sadd(_rooms_key(self.node_id), room)

    async def release(self, room: str) -> None:
        """Give a room up."""
        await self._release(keys=[_room_key(room)], args=[self._mine])
        await self._redis.srem(_rooms_key(self.node_id), room)

    async def orphans(self) -> list[str]:
        """Take over the rooms of workers that are dead, and of this one before it died: their clients must be told."""
        found: list[str] = []
        for member in await self._redis.smembers(NODES):
            node_id = member.decode()
            node = await self._node(node_id)
            if node is None and await self._redis.srem(NODES, node_id):
                found += await self._claim(node_id)
        return found

    async def rejoin(self) -> list[str]:
        """Begin: take over what an earlier incarnation of this worker held."""
        await self._redis.srem(NODES, self.node_id)
        return await self._claim(self.node_id)

    async def leave(self) -> None:
        """End: this worker takes no more rooms."""
        await self._redis.srem(NODES, self.node_id)
        await self._redis.delete(_node_key(self.node_id), _rooms_key(self.node_id))

    async def _claim(self, node_id: str) -> list[str]:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.smembers(_rooms_key(node_id))
            pipe.delete(_rooms_key(node_id))
            members, _ = await pipe.execute()
        return [member.decode() for member in members]

    async def _node(self, node_id: str) -> Node | None:
        value = await self._redis.get(_node_key(node_id))
        return None if value is None else Node(id=node_id, **json.loads(value))


def _node_key(node_id: str) -> str:
    return f"media:node:{node_id}"


def _rooms_key(node_id: str) -> str:
    return f"media:node:{node_id}:rooms"


def _room_key(room: str) -> str:
    return f"media:room:{room}"


__all__ = ["Node", "Placement"]
