"""A call goes on while the media workers under it are restarted, or die."""

from __future__ import annotations

import asyncio

from tests.callers import callers, in_a_call
from tests.running_stack import RunningStack, parley


async def test_a_rolling_restart_moves_the_call_and_resets_nobody(stack: RunningStack) -> None:
    async with callers(stack) as (ann, bob):
        await in_a_call(ann, bob)
        command = ("restart", "media", "--state", str(stack.state))
        done = await asyncio.to_thread(parley, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        for caller in (ann, bob):
            await caller.hears("media_moving")
            await caller.sounds()
            assert "media_reset" not in caller.heard


async def test_a_call_goes_on_when_its_worker_is_killed(stack: RunningStack) -> None:
    async with callers(stack) as (ann, bob):
        await in_a_call(ann, bob)
        killed = {}
        for worker in stack.layout.media_workers:
            killed[worker.name] = stack.kill(worker.name)
            await asyncio.to_thread(stack.wait_until_back, worker.name, killed[worker.name])
        for caller in (ann, bob):
            await caller.hears("media_reset")
            await caller.sounds()
