"""A signaling service for tests: real, on real Valkey, beside a meeting and a media service that only take notes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc, notes_pb2, notes_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import channels
from chassis.auth import ServiceIdentity
from chassis.config import ServiceConfig
from chassis.errors import DomainError
from chassis.server import serving
from services.signaling.app import Running, running
from services.signaling.config import Config
from tests.identities import make_identities
from tests.servers import free_port

LONG_SECONDS = 20.0


@dataclass
class Meeting(meeting_pb2_grpc.PresenceServiceServicer, notes_pb2_grpc.NotesServiceServicer):
    """Notes who came and left, and what they wrote; answers with `error` where that is set.

    `elsewhere` is where everybody belongs, if it is not where they are.
    """

    reports: list[tuple[str, int]] = field(default_factory=list)
    written: list[tuple[str, bytes]] = field(default_factory=list)
    error: DomainError | None = None
    elsewhere: str = ""

    async def ReportPresence(
        self, request: meeting_pb2.ReportPresenceRequest, context: Any
    ) -> meeting_pb2.ReportPresenceResponse:
        if self.error is not None:
            raise self.error
        self.reports.append((request.participant, request.state))
        return meeting_pb2.ReportPresenceResponse(assigned_meeting=self.elsewhere)

    async def ApplyNotesUpdate(
        self, request: notes_pb2.ApplyNotesUpdateRequest, context: Any
    ) -> notes_pb2.ApplyNotesUpdateResponse:
        if self.error is not None:
            raise self.error
        self.written.append((request.participant, request.update))
        return notes_pb2.ApplyNotesUpdateResponse()

    def left(self, participant: str) -> int:
        return self.reports.count((participant, meeting_pb2.PARTICIPANT_STATE_LEFT))


@dataclass
class Media(media_pb2_grpc.RoomServiceServicer):
    """Notes what it was asked; answers with `error` where that is set."""

    asked: list[Any] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    error: DomainError | None = None

    def _note(self, request: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append(request)

    async def StartPeer(self, request: Any, context: Any) -> media_pb2.StartPeerResponse:
        self._note(request)
        return media_pb2.StartPeerResponse()

    async def Publish(
        self, request: media_pb2.PublishRequest, context: Any
    ) -> media_pb2.PublishResponse:
        self._note(request)
        tracks = [
            signaling_pb2.PublishedTrack(mid=track.mid, track_id=f"track-{track.mid}")
            for track in request.offer.tracks
        ]
        answer = signaling_pb2.PublishAnswer(sdp=f"answer to {request.offer.sdp}", tracks=tracks)
        return media_pb2.PublishResponse(answer=answer)

    async def Answer(self, request: Any, context: Any) -> media_pb2.AnswerResponse:
        self._note(request)
        return media_pb2.AnswerResponse()

    async def SetTrackMuted(self, request: Any, context: Any) -> media_pb2.SetTrackMutedResponse:
        self._note(request)
        return media_pb2.SetTrackMutedResponse()

    async def RestartIce(self, request: Any, context: Any) -> media_pb2.RestartIceResponse:
        self._note(request)
        return media_pb2.RestartIceResponse()

    async def RemovePeer(self, request: Any, context: Any) -> media_pb2.RemovePeerResponse:
        self._note(request)
        self.removed.append(request.participant)
        return media_pb2.RemovePeerResponse()


class Client:
    """A client over `Connect`: says what it is told to, keeps what it hears."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call = signaling_pb2_grpc.SignalingServiceStub(channel).Connect()

    async def say(self, identifier: str = "", **message: Any) -> None:
        await self.call.write(ClientMessage(id=identifier, **message))

    async def hear(self, kind: str = "") -> ServerMessage:
        """Give the next message, or the next of a kind. Raises AioRpcError, or EOFError at the end."""
        while True:
            message = await self.call.read()
            if message is grpc.aio.EOF:
                if await self.call.code() is grpc.StatusCode.OK:
                    raise EOFError
                raise grpc.aio.AioRpcError(
                    await self.call.code(),
                    await self.call.initial_metadata(),
                    await self.call.trailing_metadata(),
                    await self.call.details(),
                )
            assert isinstance(message, ServerMessage)
            if not kind or message.WhichOneof("message") == kind:
                return message

    async def break_off(self) -> None:
        self.call.cancel()


@dataclass
class Stand:
    """Two or more signaling processes on one Valkey, and what stands around them."""

    config: Config
    identities: Path
    meeting: Meeting
    media: Media
    room: str
    processes: list[Running]
    stack: AsyncExitStack
    services: grpc.aio.Channel

    def ticket(
        self, participant: str, lifetime: timedelta = timedelta(minutes=10), **more: Any
    ) -> str:
        claims = {
            "sub": participant,
            "user": "users/7",
            "display_name": "Ann",
            "role": "host",
            "grants": {"publish": ["microphone", "camera"], "subscribe": True},
            "voice_activity": True,
            **more,
        }
        return self.identity("meeting").sign(claims, "parley-signaling", lifetime)

    def identity(self, name: str) -> ServiceIdentity:
        config = dataclasses.replace(self.config, service_key=self.identities / f"{name}.key")
        return ServiceIdentity.load(config, name)

    def someone(self) -> str:
        return f"{self.room}/participants/{uuid.uuid4()}"

    def address(self, process: int = 0) -> str:
        return f"127.0.0.1:{self.processes[process].port}"

    def websocket_url(self, process: int = 0) -> str:
        return f"ws://127.0.0.1:{self.processes[process].websocket_port}/ws/signaling"

    async def channel(self, process: int = 0) -> grpc.aio.Channel:
        """Connect; what is not read is not buffered beyond the least window that HTTP/2 has."""
        options = (
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 65_535),
        )
        channel = grpc.aio.insecure_channel(self.address(process), options)
        return await self.stack.enter_async_context(channel)

    async def client(self, process: int = 0) -> Client:
        return Client(await self.channel(process))

    async def joined(self, participant: str = "", process: int = 0) -> tuple[Client, ServerMessage]:
        client = await self.client(process)
        await client.say("join", join={"ticket": self.ticket(participant or self.someone())})
        return client, await client.hear("joined")

    async def publish(self, *messages: ServerMessage, participant: str = "") -> int:
        stub = signaling_pb2_grpc.EventServiceStub(self.services)
        events = [signaling_pb2.Event(participant=participant, message=m) for m in messages]
        answer = await stub.PublishEvents(
            signaling_pb2.PublishEventsRequest(meeting=self.room, events=events)
        )
        return int(answer.sequence)

    async def start(self, **changes: Any) -> AsyncExitStack:
        """Start one more process; closing what is returned stops it."""
        own = await self.stack.enter_async_context(AsyncExitStack())
        process = await own.enter_async_context(
            running(dataclasses.replace(self.config, **changes))
        )
        self.processes.append(process)
        await until_well(f"127.0.0.1:{process.port}")
        return own

    async def start_apart(self) -> asyncio.subprocess.Process:
        """Start one more as an operating system process of its own, that can be killed."""
        ports = free_port(), free_port()
        config = dataclasses.replace(
            self.config,
            listen=f"127.0.0.1:{ports[0]}",
            websocket_listen=f"127.0.0.1:{ports[1]}",
        )
        values = {f"PARLEY_{k.upper()}": str(v) for k, v in dataclasses.asdict(config).items()}
        environment = {**os.environ, **values, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.signaling",
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        self.stack.push_async_callback(_reaped, process)
        self.processes.append(Running(ports[0], 0, ports[1]))
        await until_well(config.listen)
        return process


async def _reaped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def random_room() -> str:
    letters = "".join(chr(ord("a") + byte % 26) for byte in uuid.uuid4().bytes)
    return f"meetings/{letters[:3]}-{letters[3:7]}-{letters[7:10]}"


async def until_well(address: str) -> None:
    """Wait until a server says that it is well: until its first health check has been answered."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(LONG_SECONDS):
        await channel.channel_ready()
        stub = health_pb2_grpc.HealthStub(channel)
        async for answer in stub.Watch(  # type: ignore[attr-defined]  # its types leave it out
            health_pb2.HealthCheckRequest()
        ):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so. Raises TimeoutError after a long while."""
    async with asyncio.timeout(LONG_SECONDS):
        while not is_so():  # noqa: ASYNC110  # what it looks at does not tell of changes
            await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(
    valkey: str, folder: Path, processes: int = 1, **changes: Any
) -> AsyncIterator[Stand]:
    """Run signaling processes; `changes` are to their configuration."""
    identities = make_identities(folder / "identities")
    meeting, media = Meeting(), Media()
    common: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "trust": identities / "trust.jwks",
        "drain_seconds": 0.0,
    }
    peers = ServiceConfig(mesh="", service_key=identities / "meeting.key", **common)
    servicers = {
        meeting_pb2_grpc.add_PresenceServiceServicer_to_server: meeting,
        notes_pb2_grpc.add_NotesServiceServicer_to_server: meeting,
        media_pb2_grpc.add_RoomServiceServicer_to_server: media,
    }
    async with AsyncExitStack() as stack:
        identity = ServiceIdentity.load(peers, "meeting")
        fakes = await stack.enter_async_context(
            serving(peers, "meeting", identity, None, servicers)
        )
        config = Config(
            mesh=f"127.0.0.1:{fakes.port}",
            service_key=identities / "signaling.key",
            redis_url=valkey,
            websocket_listen="127.0.0.1:0",
            **{**common, **changes},
        )
        first = await stack.enter_async_context(running(config))
        await until_well(f"127.0.0.1:{first.port}")
        services = await stack.enter_async_context(
            channels.direct(f"127.0.0.1:{first.port}", identity)
        )
        stand = Stand(config, identities, meeting, media, random_room(), [first], stack, services)
        for _ in range(processes - 1):
            await stand.start()
        yield stand
