"""Postgres or Valkey is gone for half a minute: calls go on, what needs it says so at once, and everything heals by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.callers import PATIENCE_SECONDS, Caller, callers
from tests.rest import Person
from tests.running_stack import RunningStack

GONE_SECONDS = 30.0
EVERY_SECONDS = 1.0


@contextmanager
def without(stack: RunningStack, name: str) -> Iterator[None]:
    """Have a process gone as long as the block: it is killed, and whoever would restart it stands still."""
    os.kill(stack.status.pid, signal.SIGSTOP)
    try:
        killed = stack.kill(name)
        yield
    finally:
        os.kill(stack.status.pid, signal.SIGCONT)
    stack.wait_until_back(name, killed)


async def meanwhile(visit: Callable[[], Awaitable[Any]], caller: Caller) -> list[Any]:
    """Do something, again and again, while something is gone, in a call that goes on; returns what came of it."""
    came: list[Any] = []
    until = time.monotonic() + GONE_SECONDS
    while time.monotonic() < until:
        came.append(await visit())
        await caller.sounds()
        await asyncio.sleep(EVERY_SECONDS)
    return came


async def refusal(caller: Caller) -> tuple[grpc.StatusCode, float] | None:
    """Make a meeting; returns with what that is refused, and after how many seconds one may try again."""
    try:
        await caller.create_meeting()
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it is typed for grpc alone
        delay = error_details_pb2.RetryInfo()
        assert status is not None
        assert any(each.Unpack(delay) for each in status.details), status
        return error.code(), delay.retry_delay.ToTimedelta().total_seconds()
    return None


async def in_a_call(ann: Caller, bob: Caller) -> None:
    for caller in (ann, bob):
        await caller.sign_up()
    meeting = await ann.create_meeting()
    for caller in (ann, bob):
        await caller.join(meeting)
    for caller in (ann, bob):
        await caller.sounds()


async def goes_on(stack: RunningStack, restarts: dict[str, int], *people: Caller) -> None:
    """See that a call is the one that it was, that a new one can begin, and that nothing had to be restarted."""
    for caller in people:
        await caller.sounds()
        assert not {"media_reset", "media_moving", "refused"} & set(caller.heard), caller.heard
    async with callers(stack) as (carol, dave):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await refusal(people[0]):  # noqa: ASYNC110  # who is told to try again does
                await asyncio.sleep(1.0)
        await in_a_call(carol, dave)
    assert restarts_of(stack) == restarts


def restarts_of(stack: RunningStack, *but: str) -> dict[str, int]:
    return {it.name: it.restarts for it in stack.status.processes if it.name not in but}


async def test_without_postgres_calls_go_on(stack: RunningStack, ann: Person) -> None:
    async with callers(stack) as people:
        await in_a_call(*people)
        restarts = restarts_of(stack)

        async def visit() -> httpx.Response:
            assert await refusal(people[0]) == (grpc.StatusCode.UNAVAILABLE, 1.0)
            return await asyncio.to_thread(ann.call, "GET", "/api/v1/meetings")

        with without(stack, "postgres"):
            answers = await meanwhile(visit, people[0])
        for answer in answers:
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            kinds = {each["@type"]: each for each in answer.json()["details"]}
            assert kinds["type.googleapis.com/google.rpc.RetryInfo"]["retry_delay"] == "1s"
        restarts["postgres"] += 1
        await goes_on(stack, restarts, *people)


async def test_without_valkey_calls_go_on(stack: RunningStack) -> None:
    async with callers(stack) as people:
        await in_a_call(*people)
        restarts = restarts_of(stack)
        with without(stack, "valkey"):
            refusals = await meanwhile(lambda: refusal(people[0]), people[0])
        assert refusals == [None] * len(refusals), "what needs Postgres alone is done"
        restarts["valkey"] += 1
        await goes_on(stack, restarts, *people)
