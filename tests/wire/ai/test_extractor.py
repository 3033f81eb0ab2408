"""The process that summarises: kept for a while, ended when cut short, begun anew when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from services.ai.domain import AiBusy
from services.ai.text import extractor as module
from services.ai.text.extraction import summarise
from services.ai.text.extractor import MAX_WAITING, Extractor, extractor
from tests.transcripts import CHINESE, ENGLISH


def pid(of: Extractor) -> int:
    assert of._process is not None
    return of._process.pid


async def gone(process: int) -> None:
    async with asyncio.timeout(10):
        while os.path.exists(f"/proc/{process}"):  # noqa: ASYNC110, ASYNC240, PTH110
            await asyncio.sleep(0.01)


async def test_summaries_are_those_of_the_lines_and_one_process_makes_them() -> None:
    async with extractor() as it:
        assert await it.summarise(ENGLISH) == summarise(ENGLISH)
        first = pid(it)
        assert await it.summarise(CHINESE, "en") == summarise(CHINESE, "en")
        assert pid(it) == first
    await gone(first)


async def test_a_summary_that_nobody_waits_for_any_more_is_killed() -> None:
    async with extractor() as it:
        await it.summarise(ENGLISH)
        first = pid(it)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await it.summarise(ENGLISH)
        await gone(first)
        assert (await it.summarise(ENGLISH)).topics


async def test_a_process_that_died_is_begun_anew() -> None:
    async with extractor() as it:
        await it.summarise(ENGLISH)
        os.kill(first := pid(it), signal.SIGKILL)
        await gone(first)
        assert (await it.summarise(ENGLISH)).topics


async def test_a_process_that_has_nothing_to_do_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    async with extractor() as it:
        await it.summarise(ENGLISH)
        await gone(first := pid(it))
        assert (await it.summarise(ENGLISH)).topics
        assert pid(it) != first


async def test_no_more_than_so_many_wait() -> None:
    async with extractor() as it, asyncio.TaskGroup() as group:
        for _ in range(MAX_WAITING + 1):
            group.create_task(it.summarise(ENGLISH))
        await asyncio.sleep(0)
        with pytest.raises(AiBusy):
            await it.summarise(ENGLISH)
