"""Who is served next at the desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from services.ai.desk import Desk, Urgency


@asynccontextmanager
async def desk_of_one() -> AsyncIterator[Desk]:
    with ThreadPoolExecutor(1) as executor:
        yield Desk(executor, 1)


class Counter:
    """Streams that come to a desk, and the order in which they had their turns."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.order: list[str] = []
        self.hold = asyncio.Event()

    async def take(self, room: str, name: str, urgency: Urgency = Urgency.NEXT) -> None:
        async with self.desk.turn(room, lambda: urgency):
            self.order.append(name)
            await self.hold.wait()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_what_is_urgent_goes_first_whatever_came_before() -> None:
    async with desk_of_one() as desk, asyncio.TaskGroup() as group:
        counter = Counter(desk)
        group.create_task(counter.take("a", "running"))
        await counter.settle()
        for name, urgency in (
            ("next", Urgency.NEXT),
            ("first", Urgency.FIRST),
            ("final", Urgency.FINAL),
        ):
            group.create_task(counter.take("a", name, urgency))
            await counter.settle()
        assert counter.order == ["running"]
        counter.hold.set()
    assert counter.order == ["running", "final", "first", "next"]


async def test_urgency_is_asked_for_when_a_place_is_free() -> None:
    async with desk_of_one() as desk, asyncio.TaskGroup() as group:
        counter, urgency = Counter(desk), Urgency.NEXT
        group.create_task(counter.take("a", "running"))
        await counter.settle()
        group.create_task(counter.take("a", "early"))
        await counter.settle()

        async def late() -> None:
            async with desk.turn("a", lambda: urgency):
                counter.order.append("late")

        group.create_task(late())
        await counter.settle()
        urgency = Urgency.FINAL
        counter.hold.set()
    assert counter.order == ["running", "late", "early"]


async def test_a_room_of_many_leaves_the_room_of_one_alone() -> None:
    async with desk_of_one() as desk, asyncio.TaskGroup() as group:
        counter = Counter(desk)
        group.create_task(counter.take("small", "s1"))
        await counter.settle()
        for n in range(20):
            group.create_task(counter.take("large", f"l{n}"))
        await counter.settle()
        desk._served.update(small=1.0, large=5.0)
        group.create_task(counter.take("small", "s2"))
        await counter.settle()
        counter.hold.set()
    assert counter.order.index("s2") <= 2


async def test_a_place_is_free_again_when_its_stream_is_gone() -> None:
    async with desk_of_one() as desk:
        counter = Counter(desk)
        running = asyncio.create_task(counter.take("a", "running"))
        await counter.settle()
        waiting = asyncio.create_task(counter.take("a", "waiting"))
        await counter.settle()
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert desk.waiting == 0
        async with asyncio.timeout(5), desk.turn("b", lambda: Urgency.NEXT):
            assert await desk.run(lambda: 7) == 7


async def test_one_that_was_called_as_it_left_gives_its_place_back() -> None:
    async with desk_of_one() as desk:
        counter = Counter(desk)
        running = asyncio.create_task(counter.take("a", "running"))
        await counter.settle()
        waiting = asyncio.create_task(counter.take("a", "waiting"))
        await counter.settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)  # its place is waiting's now
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5), desk.turn("b", lambda: Urgency.NEXT):
            pass


async def test_what_work_raises_comes_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    async with desk_of_one() as desk, desk.turn("a", lambda: Urgency.NEXT):
        with pytest.raises(ValueError, match="no"):
            await desk.run(fail)
