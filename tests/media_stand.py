"""Media workers for tests, on real Valkey: in this process, or apart as processes that can be killed or put to sleep.

Beside them stands what carries events to clients, in place of signaling, and clients that do what the protocol asks:
build the path anew after `media_reset`, and a second one after `media_moving`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import signal
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import grpc
from aiortc.mediastreams import MediaStreamError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.ai.v1 import ai_pb2_grpc
from parley.media.v1 import media_pb2, media_pb2_grpc, node_pb2, node_pb2_grpc
from parley.meeting.v1 import transcript_pb2_grpc
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.user.v1 import user_pb2_grpc

from chassis import bus
from chassis.auth import ServiceIdentity
from chassis.config import ServiceConfig
from chassis.server import serving
from services.media.app import running
from services.media.config import Config
from services.media.stress import Stress
from tests.analyses_stand import Analyses, Minutes
from tests.identities import as_callers, make_identities
from tests.media_room import until
from tests.rtc import RtcClient, on_loopback
from tests.servers import free_port
from tests.signaling_stand import random_room, until_well
from tests.user_keys import Keys, credentials

ALL = media_pb2.MediaGrants(
    publish=[signaling_pb2.TRACK_SOURCE_MICROPHONE, signaling_pb2.TRACK_SOURCE_CAMERA],
    subscribe=True,
)
RETRY_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

M = TypeVar("M", bound="Member")


class Events(signaling_pb2_grpc.EventServiceServicer):
    """Takes what workers say, keeps it, and gives it to the clients that it is for, in order."""

    def __init__(self) -> None:
        self.said: list[signaling_pb2.Event] = []
        self.members: list[Member] = []

    async def PublishEvents(
        self, request: signaling_pb2.PublishEventsRequest, context: Any
    ) -> signaling_pb2.PublishEventsResponse:
        for event in request.events:
            self.said.append(event)
            for member in self.members:
                if member.room == request.meeting and event.participant in ("", member.name):
                    member.heard.put_nowait(event.message)
        return signaling_pb2.PublishEventsResponse(sequence=len(self.said))

    def count(self, kind: str) -> int:
        return sum(event.message.WhichOneof("message") == kind for event in self.said)


@dataclass
class MediaPath:
    """A client's two connections to one worker, and when each frame of sound came by it (monotonic)."""

    rtc: RtcClient = field(default_factory=RtcClient)
    frames: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        """Note every frame that comes."""
        with contextlib.suppress(MediaStreamError):  # it was closed
            while True:
                await self.rtc.frame("audio")
                self.frames.append(time.monotonic())


class Member(ABC):
    """A client in a room, as the tests' kinds of clients have it in common: it listens, and does what is asked."""

    def __init__(self, stand: Stand, room: str) -> None:
        self.stand = stand
        self.room = room
        self.name = f"{room}/participants/{uuid.uuid4()}"
        self.heard: asyncio.Queue[signaling_pb2.ServerMessage] = asyncio.Queue()
        self.kinds: list[str] = []
        self.ignores: set[str] = set()
        self.group = asyncio.TaskGroup()

    @abstractmethod
    async def start(self) -> None:
        """Build a path."""

    @abstractmethod
    async def answer(self, offer: signaling_pb2.SubscribeOffer) -> None:
        """Answer an offer of what can be received, by the path that counts."""

    @abstractmethod
    async def begin_anew(self) -> None:
        """Let all paths go and build one."""

    @abstractmethod
    async def move(self, moving: signaling_pb2.MediaMoving) -> None:
        """Build a second path; receive by the first until media flows by it, and send by it for the notice."""

    @abstractmethod
    async def close(self) -> None:
        """Let all paths go."""

    async def run(self) -> None:
        """Listen, and do what is asked; until cancelled."""
        async with self.group:
            while True:
                message = await self.heard.get()
                kind = str(message.WhichOneof("message"))
                self.kinds.append(kind)
                if kind in self.ignores:
                    continue
                if kind == "subscribe_offer":
                    self.group.create_task(self.answer(message.subscribe_offer))
                elif kind == "media_reset":
                    self.group.create_task(self.begin_anew())
                elif kind == "media_moving":
                    self.group.create_task(self.move(message.media_moving))

    async def call(self, method: str, request: Any) -> Any:
        """Ask the workers, as signaling does through the mesh: whichever answers, again while none does."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for stub in self.stand.stubs():
                    try:
                        return await getattr(stub, method)(request, timeout=2)
                    except grpc.aio.AioRpcError as error:
                        if error.code() not in (
                            grpc.StatusCode.UNAVAILABLE,
                            grpc.StatusCode.DEADLINE_EXCEEDED,
                        ):
                            raise
                await asyncio.sleep(RETRY_SECONDS)

    async def say_answer(self, sdp: str, revision: int) -> None:
        answer = signaling_pb2.SubscribeAnswer(sdp=sdp, revision=revision)
        await self.call("Answer", media_pb2.AnswerRequest(participant=self.name, answer=answer))

    async def publish(self, sdp: str) -> str:
        """Take the place in the room and offer what is published; returns the answer."""
        await self.call("StartPeer", self.stand.start_peer(self.name))
        offer = signaling_pb2.PublishOffer(sdp=sdp)
        request = media_pb2.PublishRequest(participant=self.name, offer=offer)
        return str((await self.call("Publish", request)).answer.sdp)

    async def hears(self, kind: str) -> None:
        await until(lambda: kind in self.kinds, PATIENCE_SECONDS)


class RtcMember(Member):
    """A member with aiortc. `paths` are all that it has built; the last is the one that counts."""

    def __init__(self, stand: Stand, room: str, *, video: bool = False) -> None:
        super().__init__(stand, room)
        self.video = video
        self.paths: list[MediaPath] = []
        self.lets_go = True
        """Whether it closes the paths that are of no use any more."""

    @property
    def path(self) -> MediaPath:
        return self.paths[-1]

    async def start(self) -> None:
        path = MediaPath()
        self.paths.append(path)
        await path.rtc.answered(await self.publish(await path.rtc.offer(video=self.video)))
        self.group.create_task(path.watch())

    async def answer(self, offer: signaling_pb2.SubscribeOffer) -> None:
        path = self.path
        if offer.revision > 1:  # aiortc leaves receivers out that come while it is still connecting
            await until(lambda: path.rtc.subscriber.connectionState != "connecting")
        if path is self.path and path.rtc.subscriber.connectionState != "closed":
            await self.say_answer(await path.rtc.answer(offer.sdp), offer.revision)

    async def begin_anew(self) -> None:
        if self.lets_go:
            await self.close()
        await self.start()

    async def move(self, moving: signaling_pb2.MediaMoving) -> None:
        old = self.path
        await self.start()
        new = self.path
        with contextlib.suppress(TimeoutError):  # nobody else has moved
            await until(lambda: len(new.frames) >= 3, moving.notice.ToMilliseconds() / 1000)
        await old.rtc.subscriber.close()

    async def close(self) -> None:
        for path in self.paths:
            await path.rtc.close()

    async def sees(self, frames: int = 3) -> None:
        """Wait until so many more frames have come by the path that counts."""
        path = self.path
        seen = len(path.frames)
        is_seen = lambda: self.path is not path or len(path.frames) >= seen + frames  # noqa: E731
        await until(is_seen, PATIENCE_SECONDS)
        if self.path is not path:
            await self.sees(frames)


@dataclass
class Stand:
    """The workers, by node id."""

    config: Config
    events: Events
    analyses: Analyses
    minutes: Minutes
    key: Ed25519PrivateKey
    identities: Path
    stack: AsyncExitStack
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    running: dict[str, AsyncExitStack] = field(default_factory=dict)
    asleep: set[str] = field(default_factory=set)
    terms: dict[str, bool] = field(default_factory=dict)
    """What people say of a room that they begin: `voice_activity`, `end_to_end_encrypted`."""
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    async def start(self, identifier: str, *, apart: bool = False, **changes: Any) -> None:
        """Start a worker and wait until it is well, and the others know of it."""
        config = dataclasses.replace(
            self.config,
            node_id=identifier,
            listen=f"127.0.0.1:{free_port()}",
            metrics_listen=f"127.0.0.1:{free_port()}",
            **changes,
        )
        if apart:
            self.processes[identifier] = await self._spawn(config)
        else:
            own = self.running[identifier] = await self.stack.enter_async_context(AsyncExitStack())
            await own.enter_async_context(running(config))
        self.channels[identifier] = await self.stack.enter_async_context(
            as_callers(config.listen, self.identities)
        )
        await _until_well(config.listen)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._knows(identifier):  # noqa: ASYNC110  # it tells of no change
                await asyncio.sleep(RETRY_SECONDS)

    async def _knows(self, identifier: str) -> bool:
        with contextlib.suppress(grpc.aio.AioRpcError):
            return identifier in await self.nodes()
        return False

    async def stop(self, identifier: str) -> None:
        """Stop a worker of this process as SIGTERM would."""
        await self.running.pop(identifier).aclose()

    async def _spawn(self, config: Config) -> asyncio.subprocess.Process:
        values = {
            f"PARLEY_{k.upper()}": ",".join(v) if isinstance(v, tuple) else str(v)
            for k, v in dataclasses.asdict(config).items()
        }
        environment = {**os.environ, **values, "PYTHONPATH": os.pathsep.join(sys.path)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.media",
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
        )

    def stubs(self) -> list[Any]:
        """The RoomService of each worker that could answer, beginning with another each time."""
        return [media_pb2_grpc.RoomServiceStub(channel) for channel in self._awake()]

    def node_stubs(self) -> list[Any]:
        """As `stubs`, of NodeService."""
        return [node_pb2_grpc.NodeServiceStub(channel) for channel in self._awake()]

    def _awake(self) -> list[grpc.aio.Channel]:
        alive = [name for name, it in self.processes.items() if it.returncode is None]
        awake = [*self.running, *(name for name in alive if name not in self.asleep)]
        turn = next(self._turn) % max(1, len(awake))
        return [self.channels[name] for name in (*awake[turn:], *awake[:turn])]

    def send(self, identifier: str, number: signal.Signals) -> None:
        self.asleep.discard(identifier)
        if number == signal.SIGSTOP:
            self.asleep.add(identifier)
        self.processes[identifier].send_signal(number)

    def start_peer(self, participant: str) -> media_pb2.StartPeerRequest:
        return media_pb2.StartPeerRequest(participant=participant, grants=ALL, **self.terms)

    async def nodes(self) -> dict[str, node_pb2.Node]:
        """Get the workers that are alive, as they tell an admin, by id."""
        request = node_pb2.ListNodesRequest(page_size=100)
        answer = await self.node_stubs()[0].ListNodes(
            request, metadata=credentials(self.key, "admin")
        )
        return {node.name.removeprefix("nodes/"): node for node in answer.nodes}

    async def stats(self, room: str) -> media_pb2.RoomStats:
        """Get a room's figures, from whichever worker knows them."""
        request = media_pb2.GetRoomStatsRequest(meeting=room)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for stub in self.stubs():
                    with contextlib.suppress(grpc.aio.AioRpcError):
                        found: media_pb2.RoomStats = await stub.GetRoomStats(request, timeout=2)
                        return found
                await asyncio.sleep(RETRY_SECONDS)

    async def places(self, room: str) -> dict[str, str]:
        """Tell at which worker everybody is, by name."""
        return {peer.participant: peer.node for peer in (await self.stats(room)).peers}

    async def holder(self, room: str) -> str:
        """Name the worker that tells a room's figures."""
        for stub in self.stubs():
            try:
                stats = await stub.GetRoomStats(media_pb2.GetRoomStatsRequest(meeting=room))
            except grpc.aio.AioRpcError:
                continue
            return str(stats.node)
        return ""

    def members(
        self, count: int, *, video: bool = False
    ) -> AbstractAsyncContextManager[list[RtcMember]]:
        """Let people into a room, each of whom publishes a microphone, or a camera as well, and receives the others'."""
        room = random_room()
        return self.seated([RtcMember(self, room, video=video) for _ in range(count)])

    @asynccontextmanager
    async def seated(self, members: list[M]) -> AsyncIterator[list[M]]:
        """Let members in, one after the other."""
        self.events.members += members
        listening = [asyncio.create_task(member.run()) for member in members]
        try:
            for member in members:
                await member.start()
            yield members
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            for member in members:
                self.events.members.remove(member)
                await member.close()


@asynccontextmanager
async def standing(
    valkey: str, folder: Path, *workers: str, apart: bool = False, **changes: Any
) -> AsyncIterator[Stand]:
    """Run workers; `changes` are to their configuration."""
    async with bus.connected(valkey) as redis:
        async for key in redis.scan_iter("{media}:*"):
            await redis.delete(key)
    identities = make_identities(folder / "identities")
    common: dict[str, Any] = {
        "metrics_listen": "127.0.0.1:0",
        "trust": identities / "trust.jwks",
        "drain_seconds": 0.0,
    }
    peers = ServiceConfig(
        listen="127.0.0.1:0", mesh="", service_key=identities / "signaling.key", **common
    )
    identity = ServiceIdentity.load(peers, "signaling")
    events, analyses, minutes = Events(), Analyses(), Minutes()
    key = Ed25519PrivateKey.generate()
    servicers = {
        ai_pb2_grpc.add_AiServiceServicer_to_server: analyses,
        ai_pb2_grpc.add_TextServiceServicer_to_server: analyses,
        transcript_pb2_grpc.add_CaptionServiceServicer_to_server: minutes,
        signaling_pb2_grpc.add_EventServiceServicer_to_server: events,
        user_pb2_grpc.add_AuthServiceServicer_to_server: Keys(key),
    }
    async with AsyncExitStack() as stack:
        # how busy the machine is, tests do not feel
        stack.enter_context(mock.patch.object(Stress, "measure"))
        fakes = await stack.enter_async_context(
            serving(peers, "signaling", identity, None, servicers)
        )
        config = Config(
            listen="",
            mesh=f"127.0.0.1:{fakes.port}",
            service_key=identities / "media.key",
            redis_url=valkey,
            node_id="",
            udp_listen="127.0.0.1:0",
            **{**common, **changes},
        )
        stand = Stand(config, events, analyses, minutes, key, identities, stack)
        stack.push_async_callback(_end, stand)
        for identifier in workers:
            await stand.start(identifier, apart=apart)
        with on_loopback():
            yield stand


async def _until_well(address: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(TimeoutError):
                return await until_well(address)


async def _end(stand: Stand) -> None:
    for process in stand.processes.values():
        if process.returncode is None:
            process.kill()
        await process.wait()


def gap(times: list[float], after: float) -> float:
    """The longest time without a frame, from a moment on, in seconds."""
    moments = [after, *(moment for moment in sorted(times) if moment > after)]
    return max((b - a for a, b in itertools.pairwise(moments)), default=float("inf"))


__all__ = ["ALL", "Events", "Member", "RtcMember", "Stand", "gap", "standing"]
