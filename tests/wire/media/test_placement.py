"""Which worker holds which room, on a real Valkey: one holder at a time, and nobody's room is forgotten."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from chassis import bus
from chassis.stopping import stop
from services.media.neighbour import Neighbour
from services.media.placement import FULL, Beat, Full, Node, Orphans, Place, Placement, RoomLost
from tests.media_room import until

ANN, BOB, CLEO, DAN = (
    f"meetings/abc-defg-hij/participants/{name}" for name in ("ann", "bob", "cleo", "dan")
)


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    async with bus.connected(valkey) as connected:
        async for key in connected.scan_iter("{media}:*"):
            await connected.delete(key)
        yield connected


def worker(redis: Redis, number: int) -> Placement:
    return Placement(redis, f"media-{number}", f"127.0.0.1:{8083 + 10 * number}")


async def beat(
    node: Placement, stress: float = 0.0, rooms: int = 0, peers: int = 0, *, judge: bool = True
) -> Beat:
    return await node.beat(stress, rooms, peers, judge=judge)


def new_room() -> str:
    return f"meetings/{uuid.uuid4().hex}"


async def placed(node: Placement, room: str, participant: str = ANN, most: int = 500) -> Node:
    place = await node.place(room, participant, most)
    assert isinstance(place, Place)
    return place.node


async def die(redis: Redis, node: Placement) -> None:
    """Let a worker's lease run out."""
    await redis.delete(f"{{media}}:node:{node.node_id}")


async def test_a_room_has_one_holder_whoever_asks(redis: Redis) -> None:
    first, second = worker(redis, 0), worker(redis, 1)
    await beat(first)
    await beat(second)
    room = new_room()
    holders = {(await placed(each, room)).id for each in (first, second, first)}
    assert len(holders) == 1
    found = await second.holder(room)
    assert found is not None
    assert {found.node.id} == holders


async def test_the_less_stressed_of_two_gets_the_room(redis: Redis) -> None:
    busy, idle = worker(redis, 0), worker(redis, 1)
    await beat(busy, 0.5)
    await beat(idle, 0.3)
    for _ in range(5):
        assert (await placed(busy, new_room())).id == idle.node_id


async def test_rooms_that_were_just_placed_count_before_their_people_come(redis: Redis) -> None:
    first, second = worker(redis, 0), worker(redis, 1)
    await beat(first, 0.2)
    await beat(second, 0.2)
    counts = {first.node_id: 0, second.node_id: 0}
    for _ in range(40):
        counts[(await placed(first, new_room())).id] += 1
    assert set(counts.values()) == {20}, "not all on the one that looked idle a moment ago"


async def test_a_full_worker_gets_no_new_room_and_a_draining_one_none_at_all(redis: Redis) -> None:
    full, draining = worker(redis, 0), worker(redis, 1)
    draining.draining = True
    await beat(full, FULL)
    await beat(draining, 0.0)
    assert await full.place(new_room(), ANN) == Full(able=1)


async def test_who_was_in_a_room_gets_a_place_however_busy_all_are(redis: Redis) -> None:
    dead, full = worker(redis, 0), worker(redis, 1)
    await beat(dead)
    room = new_room()
    await placed(dead, room)
    await dead.admit(room, ANN)
    await die(redis, dead)
    await beat(full, 1.0)
    assert await full.place(room, BOB) == Full(able=1)
    assert (await placed(full, room, ANN)).id == full.node_id
    await full.dismiss(room, ANN)
    assert not await full.knows(room, ANN)


async def test_a_room_that_its_worker_declines_is_placed_anew_and_its_people_are_remembered(
    redis: Redis,
) -> None:
    declining, other = worker(redis, 0), worker(redis, 1)
    await beat(declining)
    room = new_room()
    await declining.admit(room, ANN)
    await placed(declining, room)
    await declining.decline(room)
    await beat(declining, FULL)
    await beat(other)
    assert (await placed(declining, room)).id == other.node_id
    assert await other.knows(room, ANN)


async def test_without_workers_nobody_holds_it(redis: Redis) -> None:
    assert await worker(redis, 0).place(new_room(), ANN) == Full(able=0)
    assert await worker(redis, 0).holder(new_room()) is None


async def test_a_dead_workers_rooms_are_found_once_and_move(redis: Redis) -> None:
    dead, survivor, other = worker(redis, 0), worker(redis, 1), worker(redis, 2)
    room = new_room()
    await beat(dead)
    await placed(dead, room)
    await die(redis, dead)
    found = (await beat(survivor)).orphans + (await beat(other)).orphans
    assert found == [Orphans(room)]
    assert (await placed(survivor, room)).id != dead.node_id


async def test_who_was_late_itself_does_not_judge_others(redis: Redis) -> None:
    late, other = worker(redis, 0), worker(redis, 1)
    room = new_room()
    await beat(late)
    await placed(late, room)
    await die(redis, late)
    assert (await beat(other, judge=False)).orphans == [], "Redis was away: all leases have run out"
    assert (await beat(late)).lapsed
    assert await late.reclaim({room: False}) == []
    assert (await beat(other)).orphans == []


async def test_a_worker_that_comes_back_finds_what_it_held(redis: Redis) -> None:
    before, room = worker(redis, 0), new_room()
    await beat(before)
    await placed(before, room)
    again = worker(redis, 0)
    assert await again.rejoin() == [Orphans(room)]
    await beat(again)
    assert await again.holder(room) is None, "it was of an incarnation that is gone"
    assert (await placed(again, room)).incarnation == again.incarnation


async def test_a_late_owner_gives_the_room_up(redis: Redis) -> None:
    late, new = worker(redis, 0), worker(redis, 1)
    room, kept = new_room(), new_room()
    await beat(late)
    for each in (room, kept):
        await placed(late, each)
    assert not (await beat(late)).lapsed
    await die(redis, late)
    await beat(new)
    await placed(new, room)
    assert (await beat(late)).lapsed
    assert await late.reclaim({room: False, kept: False}) == [room]
    assert not (await beat(new)).lapsed


async def test_after_a_redis_that_has_forgotten_all_everybody_keeps_their_rooms(
    redis: Redis,
) -> None:
    node, room = worker(redis, 0), new_room()
    await beat(node)
    await placed(node, room)
    async for key in redis.scan_iter("{media}:*"):
        await redis.delete(key)
    assert (await beat(node)).lapsed
    assert await node.reclaim({room: False}) == []
    found = await node.holder(room)
    assert found is not None
    assert found.node.id == node.node_id


async def test_a_room_is_handed_over_and_its_old_paths_are_known_for_the_notice(
    redis: Redis,
) -> None:
    old, new = worker(redis, 0), worker(redis, 1)
    await beat(old)
    room = new_room()
    await placed(old, room)
    assert await old.hand_over(room, 2, 5.0) is None, "there is nobody else"
    await beat(new, 1.0)
    await old.admit(room, ANN)
    await old.admit(room, BOB)
    node = await old.hand_over(room, 2, 5.0)
    assert node is not None
    assert node.id == new.node_id, "people who are in are owed a place, however busy it is"
    assert await new.holder(room) == Place(node, True, (old.address,))
    await new.admit(room, BOB)
    assert await old.left_behind(room) == {ANN}
    with pytest.raises(RoomLost):
        await old.hand_over(room, 2, 5.0)
    await old.release(room)
    assert await new.holder(room) is not None, "who has handed it over can't end it any more"
    await die(redis, old)
    assert (await beat(new)).orphans == []


async def test_a_room_that_has_moved_forgets_where_from_when_the_notice_is_over(
    redis: Redis,
) -> None:
    old, new = worker(redis, 0), worker(redis, 1)
    await beat(old)
    room = new_room()
    await placed(old, room)
    await beat(new)
    await old.hand_over(room, 2, 0.0)
    found = await new.holder(room)
    assert found is not None
    assert found.old_addresses == ()


async def test_who_leaves_is_not_listed_and_comes_back_only_when_started_anew(redis: Redis) -> None:
    staying, leaving = worker(redis, 0), worker(redis, 1)
    await beat(staying)
    await beat(leaving, 0.25, 3, 7)
    assert [(n.id, n.stress, n.rooms, n.peers) for n in await staying.nodes()] == [
        ("media-0", 0.0, 0, 0),
        ("media-1", 0.25, 3, 7),
    ]
    await leaving.leave()
    assert [node.id for node in await staying.nodes()] == ["media-0"]


async def test_a_worker_whose_port_is_closed_is_missed_before_its_lease_runs_out(
    redis: Redis,
) -> None:
    writers: list[asyncio.StreamWriter] = []
    take = lambda _reader, writer: writers.append(writer)  # noqa: E731
    async with await asyncio.start_server(take, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        gone, alive = Placement(redis, "media-0", f"127.0.0.1:{port}"), worker(redis, 1)
        room, missed = new_room(), asyncio.Event()
        await beat(gone)
        await placed(gone, room)
        await redis.persist(f"{{media}}:node:{gone.node_id}")
        await beat(alive)
        watching = asyncio.create_task(Neighbour(alive, missed.set).run())
        await until(lambda: bool(writers))
        assert not missed.is_set(), "it is there"
    for writer in writers:
        writer.close()
    await asyncio.wait_for(missed.wait(), 20)
    assert (await beat(alive)).orphans == [Orphans(room)]
    await stop(watching)


async def test_a_room_that_is_full_on_one_worker_goes_on_at_another(redis: Redis) -> None:
    nodes = [worker(redis, number) for number in range(3)]
    for node in nodes:
        await beat(node)
    room = new_room()
    home = await placed(nodes[0], room, ANN, 2)
    assert (await placed(nodes[1], room, BOB, 2)).id == home.id, "while it fits it stays on one"
    branch = await placed(nodes[2], room, CLEO, 2)
    assert branch.id != home.id
    assert (await placed(nodes[0], room, DAN, 2)).id == branch.id, "before a third is begun"
    assert (await placed(nodes[0], room, ANN, 2)).id == home.id, "everybody keeps their seat"
    for who, where in ((ANN, home), (CLEO, branch)):
        found = await nodes[0].holder(room, who)
        assert found is not None
        assert (found.node.id, found.is_home) == (where.id, where.id == home.id)
    found = await nodes[0].holder(room)
    assert found is not None
    assert found.node.id == home.id
    by_id = {node.node_id: node for node in nodes}
    for mine, other in ((home, branch), (branch, home)):
        (shared,) = (await beat(by_id[mine.id])).shared
        assert (shared.room, shared.is_home) == (room, mine.id == home.id)
        assert [(n.id, n.incarnation) for n in shared.others] == [(other.id, other.incarnation)]
        assert [n.id for n in await by_id[mine.id].others(room)] == [other.id]


async def test_who_leaves_makes_room_and_the_last_at_a_worker_ends_its_part(redis: Redis) -> None:
    first, second = worker(redis, 0), worker(redis, 1)
    by_id = {node.node_id: node for node in (first, second)}
    for node in by_id.values():
        await beat(node)
    room = new_room()
    home = await placed(first, room, ANN, 1)
    branch = await placed(first, room, BOB, 1)
    await first.dismiss(room, ANN)
    assert (await placed(first, room, CLEO, 1)).id == home.id
    await first.dismiss(room, BOB)
    await by_id[branch.id].release(room)
    for node in by_id.values():
        assert (await beat(node)).shared == []
    found = await first.holder(room, CLEO)
    assert found is not None
    assert found.node.id == home.id


async def test_when_the_last_at_the_home_leave_another_part_is_it(redis: Redis) -> None:
    nodes = {f"media-{number}": worker(redis, number) for number in range(2)}
    for node in nodes.values():
        await beat(node)
    room, some = new_room(), nodes["media-0"]
    home = await placed(some, room, ANN, 1)
    branch = await placed(some, room, BOB, 1)
    await nodes[home.id].release(room)
    found = await some.holder(room, BOB)
    assert found is not None
    assert (found.node.id, found.is_home) == (branch.id, True)


@pytest.mark.parametrize("which", ["home", "branch"])
async def test_of_a_dead_part_its_people_alone_are_told_and_placed_anew(
    redis: Redis, which: str
) -> None:
    nodes = {f"media-{number}": worker(redis, number) for number in range(3)}
    for node in nodes.values():
        await beat(node)
    room, some = new_room(), nodes["media-0"]
    home, branch = [await placed(some, room, who, 1) for who in (ANN, BOB)]
    await nodes[home.id].admit(room, ANN)
    await nodes[branch.id].admit(room, BOB)
    dead, lost = (home, ANN) if which == "home" else (branch, BOB)
    kept, other = (branch, BOB) if which == "home" else (home, ANN)
    await die(redis, nodes[dead.id])
    survivor = nodes[kept.id]
    found = await survivor.holder(room, other)
    assert found is not None
    assert (found.node.id, found.is_home) == (kept.id, True), "at once, by whoever looks"
    assert (await beat(survivor)).orphans == [Orphans(room, (lost,))]
    assert (await beat(survivor)).orphans == []
    assert (await placed(survivor, room, lost, 1)).id not in (dead.id, kept.id)
    assert await survivor.knows(room, lost), "who was in is owed a place"


@pytest.mark.parametrize("which", ["home", "branch"])
async def test_a_part_that_is_handed_over_leaves_the_others_where_they_are(
    redis: Redis, which: str
) -> None:
    nodes = {f"media-{number}": worker(redis, number) for number in range(3)}
    for node in nodes.values():
        await beat(node)
    room, some = new_room(), nodes["media-0"]
    home, branch = [await placed(some, room, who, 1) for who in (ANN, BOB)]
    mover, gone = (ANN, home) if which == "home" else (BOB, branch)
    stayer, kept = (BOB, branch) if which == "home" else (ANN, home)
    leaving = nodes[gone.id]
    leaving.draining = True
    await beat(leaving)
    to = await leaving.hand_over(room, 1, 5.0)
    assert to is not None
    assert to.id == kept.id
    found = await some.holder(room, stayer)
    assert found == Place(to, True, (leaving.address,))
    assert (await placed(some, room, mover, 1)).id not in (gone.id, kept.id)
    with pytest.raises(RoomLost):
        await leaving.hand_over(room, 1, 5.0)
    await die(redis, leaving)
    assert (await beat(nodes[kept.id])).orphans == []


async def test_a_part_that_slept_comes_back_unless_its_people_were_told(redis: Redis) -> None:
    nodes = {f"media-{number}": worker(redis, number) for number in range(2)}
    for node in nodes.values():
        await beat(node)
    room, kept, some = new_room(), new_room(), nodes["media-0"]
    for each in (room, kept):
        homes = [(await placed(some, each, who, 1)).id for who in (ANN, BOB)]
        assert set(homes) == set(nodes)
    late, judge = "media-1", "media-0"
    await die(redis, nodes[late])
    assert (await beat(nodes[late])).lapsed
    assert await nodes[late].reclaim({room: True, kept: True}) == [], "nobody had noticed"
    assert {each.room for each in (await beat(nodes[late])).shared} == {room, kept}
    await die(redis, nodes[late])
    assert {each.room for each in (await beat(nodes[judge])).orphans} == {room, kept}
    assert (await beat(nodes[late])).lapsed
    assert await nodes[late].reclaim({room: True}) == [room]


async def test_after_a_redis_that_has_forgotten_all_the_parts_of_a_room_find_one_another(
    redis: Redis,
) -> None:
    first, second = worker(redis, 0), worker(redis, 1)
    for node in (first, second):
        await beat(node)
    room = new_room()
    for who in (ANN, BOB):
        await placed(first, room, who, 1)
    async for key in redis.scan_iter("{media}:*"):
        await redis.delete(key)
    for node in (first, second):
        assert (await beat(node)).lapsed
        assert await node.reclaim({room: True}) == []
    assert [each.is_home for each in (await beat(first)).shared] == [True]
    assert [each.is_home for each in (await beat(second)).shared] == [False]


async def test_a_room_whose_parts_are_all_full_refuses_at_its_home(redis: Redis) -> None:
    only = worker(redis, 0)
    await beat(only)
    room = new_room()
    await placed(only, room, ANN, 1)
    assert (await placed(only, room, BOB, 1)).id == only.node_id, "which refuses"
    await only.unseat(room, BOB)
    assert await only.people_at_most(room, 1) == 1
    other = worker(redis, 1)
    await beat(other, FULL)
    assert (await placed(only, room, BOB, 1)).id == only.node_id, "a full worker is none"
    await only.unseat(room, BOB)
    assert await only.people_at_most(room, 1) is None, "for the moment"
    await beat(other)
    assert (await placed(only, room, BOB, 1)).id == other.node_id
    assert await only.people_at_most(room, 1) == 2
    await beat(only, FULL)
    assert await only.people_at_most(room, 1) == 2, "busy or not, there is no place for more"
    await only.dismiss(room, ANN)
    assert await only.people_at_most(room, 1) is None


async def test_a_room_may_get_more_where_workers_are_about_to_change(redis: Redis) -> None:
    only, old = worker(redis, 0), Older(redis, "old", "127.0.0.1:1")
    await beat(only)
    room = new_room()
    await placed(only, room, ANN, 1)
    await beat(old)
    assert await only.people_at_most(room, 1) is None, "it will know relays once it is replaced"
    old.draining = True
    await beat(old)
    assert await only.people_at_most(room, 1) == 1, "it goes, and nobody has said who comes"
    only.draining = True
    await beat(only)
    assert await only.people_at_most(room, 1) is None, "none stays: others are to come"


async def test_who_was_in_a_spread_room_gets_a_place_however_busy_all_are(redis: Redis) -> None:
    nodes = {f"media-{number}": worker(redis, number) for number in range(3)}
    for node in nodes.values():
        await beat(node)
    room, some = new_room(), nodes["media-0"]
    home, _, branch = [await placed(some, room, who, 2) for who in (ANN, BOB, CLEO)]
    assert branch.id != home.id
    for node in nodes.values():
        await beat(node, 1.0)
    await some.admit(room, DAN)
    assert (await placed(some, room, "stranger", 2)).id == home.id, "which refuses"
    await some.unseat(room, "stranger")
    assert (await placed(some, room, DAN, 2)).id == branch.id, "the home has all that it takes"
    await some.admit(room, "eve")
    last = await placed(some, room, "eve", 2)
    assert last.id not in (home.id, branch.id), "a part is begun for who is owed a place"


class Older(Placement):
    """A worker of a version that knows no parts of rooms, as far as others see it in Redis."""

    async def beat(self, stress: float, rooms: int, peers: int, *, judge: bool) -> Beat:
        found = await super().beat(stress, rooms, peers, judge=judge)
        await self._redis.hdel(f"{{media}}:node:{self.node_id}", "relays")
        return found

    async def take_over(self, room: str, dead: Placement, to: Placement | None) -> None:
        """Find the worker at a room's head dead, and so the room nobody's; then it is begun elsewhere, or not yet."""
        key = f"{{media}}:room:{room}"
        await self._redis.delete(key, f"{{media}}:held:{dead.node_id}")
        await self._redis.srem("{media}:nodes", dead.node_id)
        if to is not None:
            await self._redis.hset(key, "holder", f"{to.node_id}|{to.incarnation}")
            await self._redis.sadd(f"{{media}}:held:{to.node_id}", room)


async def test_while_a_worker_knows_no_parts_no_room_begins_to_have_any(redis: Redis) -> None:
    new, other, old = worker(redis, 0), worker(redis, 1), Older(redis, "old", "127.0.0.1:1")
    for node in (old, new, other):
        await beat(node)
    rooms = [new_room() for _ in range(6)]
    for room in rooms:
        home = await placed(new, room, ANN, 1)
        assert (await placed(new, room, BOB, 1)).id == home.id, "which refuses"
        await new.unseat(room, BOB)
    await old.leave()
    for room in rooms[:1]:
        assert (await placed(new, room, BOB, 1)).id != (await placed(new, room, ANN, 1)).id


async def test_a_room_of_several_parts_has_none_at_a_worker_that_knows_no_parts(
    redis: Redis,
) -> None:
    nodes = [worker(redis, number) for number in range(3)]
    for node in nodes:
        await beat(node)
    rooms = [new_room() for _ in range(6)]
    for room in rooms:
        for who in (ANN, BOB):
            await placed(nodes[0], room, who, 1)
    old = Older(redis, "old", "127.0.0.1:1")
    await beat(old)
    for room in rooms:
        places = {(await placed(nodes[0], room, who, 1)).id for who in (ANN, BOB, CLEO)}
        assert places == {node.node_id for node in nodes}
        assert (await placed(nodes[0], room, DAN, 1)).id != old.node_id


@pytest.mark.parametrize("begun_at", ["", "media-2", "old"])
async def test_a_part_that_an_older_worker_has_forgotten_comes_back_where_rooms_have_parts(
    redis: Redis, begun_at: str
) -> None:
    old = Older(redis, "old", "127.0.0.1:1")
    nodes = {f"media-{number}": worker(redis, number) for number in range(2)}
    for node in nodes.values():
        await beat(node)
    room = new_room()
    home, part = [nodes[(await placed(nodes["media-0"], room, who, 1)).id] for who in (ANN, BOB)]
    nodes |= {"media-2": worker(redis, 2), "old": old}
    for node in (old, nodes["media-2"]):
        await beat(node)
    await die(redis, home)
    await old.take_over(room, home, nodes.get(begun_at))
    found = await beat(part)
    assert (found.lapsed, found.shared, found.cut_off) == (False, [], [room])
    assert (await beat(part)).cut_off == [room], "until something is made of it"
    assert await part.reclaim({room: True}) == ([room] if begun_at == "old" else [])
    assert (await beat(part)).cut_off == []
    place = await part.holder(room)
    assert place is not None
    assert place.node.id == (begun_at or part.node_id)
    others = [other.id for each in (await beat(part)).shared for other in each.others]
    assert others == (["media-2"] if begun_at == "media-2" else [])
