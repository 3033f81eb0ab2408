"""Which worker holds which room, on a real Valkey: one holder at a time, and nobody's room is forgotten."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from chassis import bus
from services.media import placement
from services.media.placement import Placement


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    async with bus.connected(valkey) as connected:
        async for key in connected.scan_iter("media:*"):
            await connected.delete(key)
        yield connected


def worker(redis: Redis, number: int) -> Placement:
    return Placement(redis, f"media-{number}", f"127.0.0.1:{8083 + 10 * number}")


def new_room() -> str:
    return f"meetings/{uuid.uuid4().hex}"


async def die(redis: Redis, node: Placement) -> None:
    """Let a worker's lease run out."""
    await redis.delete(placement._node_key(node.node_id))


async def test_a_room_has_one_holder_whoever_asks(redis: Redis) -> None:
    first, second = worker(redis, 0), worker(redis, 1)
    await first.beat(0, [])
    await second.beat(0, [])
    room = new_room()
    holders = [await each.place(room) for each in (first, second, first)]
    assert len({holder.id for holder in holders if holder is not None}) == 1
    assert None not in holders


async def test_the_less_loaded_of_two_gets_the_room(redis: Redis) -> None:
    busy, idle = worker(redis, 0), worker(redis, 1)
    await busy.beat(50, [])
    await idle.beat(3, [])
    for _ in range(5):
        holder = await busy.place(new_room())
        assert holder is not None
        assert holder.id == idle.node_id


async def test_without_workers_nobody_holds_it(redis: Redis) -> None:
    assert await worker(redis, 0).place(new_room()) is None


async def test_a_dead_workers_rooms_are_found_once_and_move(redis: Redis) -> None:
    dead, survivor, other = worker(redis, 0), worker(redis, 1), worker(redis, 2)
    room = new_room()
    await dead.beat(0, [])
    await dead.place(room)
    await dead.beat(1, [room])
    await die(redis, dead)
    for each in (survivor, other):
        await each.beat(0, [])
    found = await survivor.orphans() + await other.orphans()
    assert found == [room]
    holder = await survivor.place(room)
    assert holder is not None
    assert holder.id != dead.node_id


async def test_a_worker_that_comes_back_finds_what_it_held(redis: Redis) -> None:
    before, room = worker(redis, 0), new_room()
    await before.beat(0, [])
    await before.place(room)
    await before.beat(1, [room])
    again = worker(redis, 0)
    assert await again.rejoin() == [room]
    await again.beat(0, [])
    assert await again.holder(room) is None, "the lease is of an incarnation that is gone"
    holder = await again.place(room)
    assert holder is not None
    assert holder.incarnation == again.incarnation


async def test_a_late_owner_gives_the_room_up(redis: Redis) -> None:
    late, new = worker(redis, 0), worker(redis, 1)
    room = new_room()
    await late.beat(0, [])
    await late.place(room)
    await die(redis, late)
    await new.beat(0, [])
    await new.place(room)
    assert await late.beat(1, [room]) == [room]
    assert await new.beat(1, [room]) == []
