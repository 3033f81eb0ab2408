"""Which workers hold which room: leases in Redis.

A worker renews its lease with every beat; when it runs out, the worker is dead to the others, and whoever notices first
takes over telling its rooms' clients. A room belongs to one incarnation of one worker, which is the fencing token: a
worker that has slept beyond its lease asks which of its rooms are still its own before it does anything for them.

A room that is too large for that worker, its *home*, has *branches* on others. When the home ends, a branch becomes it.
While there are workers of a version that knows no branches, no room begins to have any: these can't join a room's parts,
and take a room whose home they find dead for one that nobody has.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from services.media import scripts

LEASE_SECONDS = 1.5
PEOPLE_SECONDS = 86_400
"""How long it is remembered who was in a room, after the last who came."""
FULL = 0.9
"""The stress from which on a node takes no new rooms and no new people."""
PERSON_COST = 0.002
"""What a person who has just come counts for in a node's stress, until the measured one shows them."""
MOST = 500
"""People of one room on one worker."""
ROOM_PEOPLE = 3
"""How many a new room is expected to bring at once."""


@dataclass(frozen=True, slots=True)
class Node:
    """A worker that is alive: where its gRPC is, and how it does. `started` is in seconds since the epoch."""

    id: str
    address: str
    incarnation: str
    draining: bool = False
    stress: float = 0.0
    rooms: int = 0
    peers: int = 0
    started: float = 0.0

    @property
    def start_time(self) -> datetime:
        """When it started."""
        return datetime.fromtimestamp(self.started, UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a room lives, or a participant of it. `is_home` tells whether that worker is at the room's head.

    `old_addresses` are those of workers that it has moved from, and whose paths are still up.
    """

    node: Node
    is_home: bool = True
    old_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Full:
    """No worker takes a new room: `able` are alive and not draining, but too busy."""

    able: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """A room of which a dead worker held all or a part: `people` must be told, or everybody when there are none."""

    room: str
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """A room of which others hold parts as well."""

    room: str
    is_home: bool
    others: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """What a beat brings: whether the lease had run out before it, whom of dead workers' rooms to tell, what is shared.

    `cut_off` are rooms of which this worker's part was forgotten: `reclaim` takes it back, if that can be.
    """

    lapsed: bool
    orphans: list[Orphans]
    shared: list[Shared]
    cut_off: list[str]


class Placement:
    """A worker's view of all workers."""

    def __init__(self, redis: Redis, node_id: str, address: str) -> None:
        self._redis: Any = redis  # its types do not know that we never decode
        self._scripts = {
            name: redis.register_script(getattr(scripts, name)) for name in scripts.__all__
        }
        self.node_id = node_id
        self.address = address
        self.incarnation = secrets.token_hex(8)
        self.draining = False
        self.has_left = False
        self._started = time.time()

    async def beat(self, stress: float, rooms: int, peers: int, *, judge: bool) -> Beat:
        """Renew this worker's lease and tell how it does; with `judge`, take over what dead workers held."""
        lapsed, orphans, shared, cut_off = await self._run(
            "BEAT",
            self.node_id,
            self.incarnation,
            int(1000 * LEASE_SECONDS),
            int(judge),
            *("address", self.address),
            *("draining", int(self.draining)),
            *("stress", f"{stress:.3f}"),
            *("rooms", rooms),
            *("peers", peers),
            *("started", f"{self._started:.3f}"),
            *("relays", 1),
        )
        shares = [_shared(each) for each in shared]
        return Beat(bool(lapsed), _orphans(orphans), shares, _texts(cut_off))

    async def rejoin(self) -> list[Orphans]:
        """Begin: take over what an earlier incarnation of this worker held."""
        return _orphans(await self._run("REJOIN", self.node_id))

    async def reclaim(self, rooms: Mapping[str, bool]) -> list[str]:
        """Take back rooms after the lease had run out; returns those that are others' by now.

        `rooms` says of each whether others hold parts of it: such a one goes on as one more part, unless it is at a
        worker that knows no parts.
        """
        if not rooms:
            return []
        held = [value for name, is_shared in rooms.items() for value in (name, int(is_shared))]
        return _texts(await self._run("RECLAIM", self.node_id, self.incarnation, *held))

    async def holder(self, room: str, participant: str = "") -> Place | None:
        """Find the worker where a participant is, or else a room's home; None when nobody has the room."""
        found = await self._run("HOLDER", room, participant)
        return None if found is None else _place(found)

    async def others(self, room: str) -> list[Node]:
        """List the other workers that hold parts of a room."""
        nodes = [_node(fields) for fields in await self._run("PARTS", room)]
        return [node for node in nodes if node.id != self.node_id]

    async def place(self, room: str, participant: str, most: int = MOST) -> Place | Full:
        """Find the worker where a participant is, or is to be: one takes at most `most` of a room.

        A room goes to the less stressed of two; when it is full there, so does its next part. A worker that is full gets
        a room, or a part of it, only when the participant was in it before.
        """
        found = await self._run(
            "PLACE", room, participant, *_dice(), FULL, PERSON_COST, ROOM_PEOPLE, most
        )
        return Full(found) if isinstance(found, int) else _place(found)

    async def people_at_most(self, room: str, most: int) -> int | None:
        """Tell how many people a room has, when every worker has the `most` that it takes of one; None when more may come.

        That a worker is too busy, or of a version that knows no parts of rooms, is for a moment; so is that none stays.
        """
        return await self._run("PEOPLED", room, most) or None

    async def hand_over(self, room: str, people: int, notice_seconds: float) -> Node | None:
        """Give one of this worker's rooms, or its part of one, to another, which is owed it however busy.

        Returns the room's home from then on; None when there is no other worker. Raises RoomLost when it was not this
        worker's any more.
        """
        mine = (self.node_id, self.incarnation, self.address)
        notice = int(1000 * notice_seconds)
        found = await self._run("HAND_OVER", room, *mine, *_dice(), PERSON_COST, people, notice)
        if found == -1:
            raise RoomLost
        return None if found == 0 else _place(found).node

    async def release(self, room: str) -> None:
        """Give a room up that is over, or over here."""
        await self._run("RELEASE", room, self.node_id, self.incarnation, 1)

    async def decline(self, room: str) -> None:
        """Give a room up that was placed here, but could not begin: it is placed anew when somebody asks again."""
        await self._run("RELEASE", room, self.node_id, self.incarnation, 0)

    async def unseat(self, room: str, participant: str) -> None:
        """Note that somebody who was placed here could not come: they are placed anew when they ask again."""
        await self._redis.hdel(_seats_key(room), participant)

    async def leave(self) -> None:
        """End: this worker is gone, and beats no more."""
        self.has_left = True
        await self._run("LEAVE", self.node_id, self.incarnation)

    async def bury(self, node: Node) -> bool:
        """End the lease of another worker, which is known to be gone; False when it had ended before."""
        return bool(await self._run("BURY", node.id, node.incarnation))

    async def nodes(self) -> list[Node]:
        """List the workers that are alive, by id."""
        return [_node(fields) for fields in await self._run("NODES")]

    async def admit(self, room: str, participant: str) -> None:
        """Note that somebody is in a room, on this worker."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(_people_key(room), participant, self.node_id)
            pipe.expire(_people_key(room), PEOPLE_SECONDS)
            await pipe.execute()

    async def dismiss(self, room: str, participant: str) -> None:
        """Note that somebody has left a room."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hdel(_people_key(room), participant)
            pipe.hdel(_seats_key(room), participant)
            await pipe.execute()

    async def knows(self, room: str, participant: str) -> bool:
        """Tell whether somebody is, or was until their worker died, in a room."""
        return bool(await self._redis.hexists(_people_key(room), participant))

    async def left_behind(self, room: str) -> set[str]:
        """List who was admitted to a room here and by no other worker since."""
        people = await self._redis.hgetall(_people_key(room))
        return {who.decode() for who, node in people.items() if node.decode() == self.node_id}

    async def _run(self, script: str, *arguments: str | float) -> Any:
        return await self._scripts[script](args=arguments)


class RoomLost(Exception):
    """The room is another worker's by now."""


def _people_key(room: str) -> str:
    return f"{{media}}:people:{room}"


def _seats_key(room: str) -> str:
    return f"{{media}}:seats:{room}"


def _dice() -> tuple[float, float]:
    return random.random(), random.random()  # noqa: S311  # whom it hits is no secret


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]


def _place(found: list[Any]) -> Place:
    fields, is_home, old_addresses = found
    return Place(_node(fields), bool(is_home), tuple(_texts(old_addresses)))


def _orphans(found: list[Any]) -> list[Orphans]:
    return [Orphans(room.decode(), tuple(_texts(people))) for room, people in found]


def _shared(found: list[Any]) -> Shared:
    room, is_home, others = found
    return Shared(room.decode(), bool(is_home), tuple(_node(fields) for fields in others))


def _node(fields: list[bytes | None]) -> Node:
    address, incarnation, draining, stress, rooms, peers, started, _, identifier = (
        (value or b"0").decode() for value in fields
    )
    return Node(
        identifier,
        address,
        incarnation,
        draining == "1",
        float(stress),
        int(rooms),
        int(peers),
        float(started),
    )


__all__ = [
    "FULL",
    "LEASE_SECONDS",
    "PERSON_COST",
    "Beat",
    "Full",
    "Node",
    "Orphans",
    "Place",
    "Placement",
    "RoomLost",
    "Shared",
]
