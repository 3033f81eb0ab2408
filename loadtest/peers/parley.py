"""Drives Parley's media worker, run by itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loadtest.media.participant import Participant
from loadtest.peers.namespace import Place
from loadtest.peers.sfu import SfuFailed, process

START_SECONDS = 20.0
ANSWER_SECONDS = 20.0


class Parley:
    """The worker, as a benchmark sees it."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._process = started
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._clients: dict[str, Participant] = {}
        self._asked = 0

    @property
    def pid(self) -> int:
        """The worker's."""
        return self._process.pid

    async def join(self, room: int, client: Participant) -> None:
        """Seat a client. Raises SfuFailed, ConnectionFailed, SdpInvalid."""
        client.begin()
        who = {"room": room, "participant": f"participants/{client.number}"}
        self._clients[who["participant"]] = client  # type: ignore[index]
        await self._ask("start", who, subscribe=client.downlink is not None)
        if client.uplink is not None:
            mids = list(client.uplink.mids)
            said = await self._ask("publish", who, sdp=client.uplink.offer(), mids=mids)
            client.uplink.answered(said["sdp"])
        await client.connected()

    async def listen(self) -> None:
        """Take what the worker says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if (answer := self._answers.pop(said.get("id", 0), None)) is not None:
                answer.set_result(said)
            elif "revision" in said:
                await self._answer(said)

    async def _answer(self, said: dict[str, Any]) -> None:
        client = self._clients[said["participant"]]
        if client.downlink is not None:
            sdp = client.downlink.answer(said["sdp"])
            self._say("answer", said | {"sdp": sdp, "id": 0})

    async def _ask(self, request: str, who: dict[str, Any], **more: Any) -> dict[str, Any]:
        self._asked += 1
        answer = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        self._say(request, who | more | {"id": self._asked})
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise SfuFailed(f"the worker does not answer {request}: see its log") from None

    def _say(self, request: str, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what | {"request": request}).encode() + b"\n")


@asynccontextmanager
async def parley(place: Place, log: Path, fanout: str) -> AsyncIterator[Parley]:
    """Run a worker with a fan-out, `python` or `compiled`. Raises SfuFailed when it does not start."""
    command = [*place.prefix, sys.executable, "-m", "loadtest.peers.parley_worker", place.there]
    environment = {**os.environ, "PARLEY_FANOUT": fanout}
    async with process(command, log, environment, piped=True) as started:
        assert started.stdout is not None
        try:
            ready = await asyncio.wait_for(started.stdout.readline(), START_SECONDS)
        except TimeoutError:
            ready = b""
        if not ready or json.loads(ready)["fanout"] != fanout:
            raise SfuFailed(f"there is no {fanout} fan-out, or it does not start: see {log}")
        worker = Parley(started)
        listening = asyncio.create_task(worker.listen())
        try:
            yield worker
        finally:
            listening.cancel()


__all__ = ["Parley", "parley"]
