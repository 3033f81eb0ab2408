"""A client that goes on whatever happens, over any transport, and keeps account of what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import json_format
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from chassis import channels
from tests.signaling_stand import Stand

RETRY_SECONDS = 0.1
Opened = AsyncIterator[ServerMessage]


async def by_connect(stand: Stand, process: int, first: ClientMessage) -> Opened:
    call = signaling_pb2_grpc.SignalingServiceStub(await stand.channel(process)).Connect()
    await call.write(first)
    async for message in call:
        yield message


async def by_subscribe(stand: Stand, process: int, first: ClientMessage) -> Opened:
    stub = signaling_pb2_grpc.SignalingServiceStub(await stand.channel(process))
    async for message in stub.Subscribe(signaling_pb2.SubscribeRequest(message=first)):
        yield message


async def by_websocket(stand: Stand, process: int, first: ClientMessage) -> Opened:
    async with connect(stand.websocket_url(process), max_queue=1) as connection:
        await connection.send(json_format.MessageToJson(first, preserving_proto_field_name=True))
        async for frame in connection:
            yield json_format.Parse(frame, ServerMessage())


TRANSPORTS: dict[str, Callable[[Stand, int, ClientMessage], Opened]] = {
    "connect": by_connect,
    "subscribe": by_subscribe,
    "websocket": by_websocket,
}


class Listener:
    """`heard` are names of SpeakersChanged since the last `joined`; `rebuilt` counts the `joined`s after the first.

    It asserts that sequences grow, but for those of pongs, which stay at least. `reasons` are those of ends. It reads nothing while `reads` is cleared.
    """

    def __init__(self, stand: Stand, transport: str, processes: list[int]) -> None:
        self.participant = stand.someone()
        self.heard: list[str] = []
        self.people: list[str] = []
        self.left: list[str] = []
        self.resumed = 0
        self.rebuilt = -1
        self.reasons: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._stand = stand
        self._open = TRANSPORTS[transport]
        self._processes = processes
        self._token = ""
        self._cursor = 0

    async def run(self) -> None:
        """Join, then hear and resume until cancelled."""
        first = ClientMessage(join=signaling_pb2.Join(ticket=self._stand.ticket(self.participant)))
        while True:
            process = self._processes[0]
            try:
                async for message in self._open(self._stand, process, first):
                    self._take(message)
                    await self.reads.wait()
            except grpc.aio.AioRpcError as error:
                self.reasons.append(channels.reason(error) or error.code().name)
            except ConnectionClosed as error:
                self.reasons.append(error.rcvd.reason if error.rcvd else "")
            except (OSError, InvalidHandshake, EOFError):
                self.reasons.append("")
            self._processes.append(self._processes.pop(0))
            await asyncio.sleep(RETRY_SECONDS)
            if self._token:
                resume = signaling_pb2.Resume(session_token=self._token, cursor=self._cursor)
                first = ClientMessage(resume=resume)

    def _take(self, message: ServerMessage) -> None:
        kind = str(message.WhichOneof("message"))
        is_new = message.sequence > self._cursor or (kind == "pong" and message.sequence)
        assert is_new, "told twice, or out of order"
        assert message.sequence >= self._cursor, "a cursor goes back"
        self._cursor = message.sequence
        if (take := _TAKES.get(kind)) is not None:
            take(self, message)

    def _joined(self, message: ServerMessage) -> None:
        self._token = message.joined.session_token
        self.people = [person.name for person in message.joined.participants]
        self.heard = list(message.joined.speakers)
        self.rebuilt += 1

    def _resumed(self, _message: ServerMessage) -> None:
        self.resumed += 1

    def _speakers(self, message: ServerMessage) -> None:
        self.heard += message.speakers_changed.speakers

    def _came(self, message: ServerMessage) -> None:
        name = message.participant_joined.participant.name
        self.people = [*(each for each in self.people if each != name), name]

    def _went(self, message: ServerMessage) -> None:
        self.left.append(message.participant_left.participant)
        self.people.remove(message.participant_left.participant)


_TAKES: dict[str, Callable[[Any, ServerMessage], None]] = {
    "joined": Listener._joined,
    "resumed": Listener._resumed,
    "speakers_changed": Listener._speakers,
    "participant_joined": Listener._came,
    "participant_left": Listener._went,
}
