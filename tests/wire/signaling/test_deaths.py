"""Death of a signaling process, and of Valkey, with and without the loss of its last words: over every transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.signaling.rooms import POLL_SECONDS
from tests.mortal_valkey import MortalValkey, mortal_valkey
from tests.servers import open_folder
from tests.signaling_listener import TRANSPORTS, Listener
from tests.signaling_stand import Stand, standing, until
from tests.wire.signaling.test_resume import resumed

EVENTS = 60


def speaking(name: str) -> ServerMessage:
    return ServerMessage(speakers_changed=signaling_pb2.SpeakersChanged(speakers=[name]))


async def publish_surely(stand: Stand, number: int, room: str = "") -> None:
    """Publish as services do: again, with the same id, until it is answered."""
    stub = signaling_pb2_grpc.EventServiceStub(stand.services)
    request = signaling_pb2.PublishEventsRequest(
        meeting=room or stand.room,
        events=[signaling_pb2.Event(message=speaking(str(number)))],
        request_id=f"00000000-0000-4000-8000-{number:012d}",
    )
    while True:
        try:
            await stub.PublishEvents(request, timeout=2)
        except grpc.aio.AioRpcError as error:
            assert error.code() in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
            await asyncio.sleep(0.05)
        else:
            return


@asynccontextmanager
async def listening(*listeners: Listener) -> AsyncIterator[None]:
    """Have clients listen as long as the block; what fails in one fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in listeners]
        await until(lambda: all(each.rebuilt == 0 for each in listeners))
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def mortal_stand(tmp_path: Path) -> AsyncIterator[tuple[Stand, MortalValkey]]:
    with open_folder() as folder:
        async with mortal_valkey(folder) as server, standing(server.url, tmp_path) as stand:
            yield stand, server


async def test_a_request_that_comes_again_is_appended_once(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        listener = Listener(stand, "connect", [0])
        async with listening(listener):
            for number in (1, 1, 2, 1):
                await publish_surely(stand, number)
            await publish_surely(stand, 3)
            await until(lambda: "3" in listener.heard)
            assert listener.heard == ["1", "2", "3"]


async def test_a_killed_process_costs_nobody_an_event(valkey: str, tmp_path: Path) -> None:
    async with standing(valkey, tmp_path) as stand:
        process = await stand.start_apart()
        listeners = [Listener(stand, name, [1, 0]) for name in TRANSPORTS]
        async with listening(*listeners):
            for number in range(EVENTS):
                if number == EVENTS // 2:
                    process.kill()
                await publish_surely(stand, number)
            await until(lambda: all(str(EVENTS - 1) in each.heard for each in listeners))
        for listener in listeners:
            assert listener.heard == [str(number) for number in range(EVENTS)]
            assert (listener.rebuilt, listener.left) == (0, [])


async def test_a_killed_valkey_that_lost_nothing_costs_nobody_an_event(tmp_path: Path) -> None:
    async with mortal_stand(tmp_path) as (stand, server):
        listeners = [Listener(stand, name, [0]) for name in TRANSPORTS]
        async with listening(*listeners):
            for number in range(EVENTS):
                if number == EVENTS // 2:
                    await server.kill()
                    await server.start()
                await publish_surely(stand, number)
            await until(lambda: all(str(EVENTS - 1) in each.heard for each in listeners))
        for listener in listeners:
            assert listener.heard == [str(number) for number in range(EVENTS)]
            assert (listener.rebuilt, listener.left) == (0, [])


async def test_a_valkey_that_lost_its_last_words_has_everybody_build_anew(
    tmp_path: Path,
) -> None:
    async with mortal_stand(tmp_path) as (stand, server):
        listeners = [Listener(stand, name, [0]) for name in TRANSPORTS]
        async with listening(*listeners):
            await publish_surely(stand, 0)
            await until(lambda: all(each.heard == ["0"] for each in listeners))
            kept = server.written()
            for number in range(1, 6):
                await publish_surely(stand, number)
            await until(lambda: all(each.heard[-1] == "5" for each in listeners))
            await server.kill()
            server.forget_after(kept)
            await server.start()
            await until(lambda: all(each.rebuilt > 0 for each in listeners))
            people = {each.participant for each in listeners}
            await until(lambda: all(set(each.people) == people for each in listeners))
            before = [list(each.heard) for each in listeners]
            for number in range(10, 20):
                await publish_surely(stand, number)
            await until(lambda: all("19" in each.heard for each in listeners))
        for listener, heard in zip(listeners, before, strict=True):
            assert listener.heard == [*heard, *(str(number) for number in range(10, 20))]
            assert listener.left == []


async def test_what_was_acknowledged_and_lost_before_anybody_heard_it_is_known_to_be_lost(
    tmp_path: Path,
) -> None:
    async with mortal_stand(tmp_path) as (stand, server):
        client, joined = await stand.joined()
        await client.break_off()
        kept = server.written()
        await publish_surely(stand, 1)
        await server.kill()
        server.forget_after(kept)
        await server.start()
        for number in range(2, 5):
            await publish_surely(stand, number)
        await asyncio.sleep(2 * POLL_SECONDS)
        client = await resumed(stand, joined.joined.session_token, joined.sequence)
        assert (await client.hear()).WhichOneof("message") == "joined"
