"""Light clients as members of a stand's room: unlike aiortc they follow tracks that come and go, and count what comes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from parley.media.v1 import media_pb2
from parley.signaling.v1 import signaling_pb2

from chassis import channels
from loadtest.media.connection import Certificate
from loadtest.media.figures import Figures
from loadtest.media.participant import Participant, Settings
from loadtest.media.uplink import Profile
from tests.media_room import until
from tests.media_stand import ALL, PATIENCE_SECONDS, Member, Stand
from tests.signaling_stand import random_room

_numbers = itertools.count(1)


class LightMember(Member):
    """A member with light clients for paths: the last is the one that counts."""

    def __init__(self, stand: Stand, room: str, profile: Profile) -> None:
        super().__init__(stand, room)
        self.number = next(_numbers)
        self.profile = profile
        self.ways: list[Participant] = []
        self.figures: list[Figures] = []

    @property
    def way(self) -> Participant:
        return self.ways[-1]

    async def start(self) -> None:
        """Build a path."""
        figures = Figures()
        settings = Settings(Certificate(), "127.0.0.1", self.profile, figures)
        way = Participant(settings, self.number, publishes=True, subscribes=True)
        self.ways.append(way)
        self.figures.append(figures)
        await self.call("StartPeer", media_pb2.StartPeerRequest(participant=self.name, grants=ALL))
        assert way.uplink is not None
        offer = signaling_pb2.PublishOffer(sdp=way.uplink.offer())
        request = media_pb2.PublishRequest(participant=self.name, offer=offer)
        answer = await self.call("Publish", request)
        way.uplink.answered(answer.answer.sdp)
        await way.connected()

    async def call(self, method: str, request: Any) -> Any:
        """Ask the workers; again after a while, when they say that they are too busy."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await super().call(method, request)
                except grpc.aio.AioRpcError as error:
                    if channels.reason(error) != "NODE_FULL":
                        raise
                    await asyncio.sleep(1.0)

    async def run(self) -> None:
        """Listen, and do what is asked; until cancelled."""
        async with asyncio.TaskGroup() as self.group:
            while True:
                message = await self.heard.get()
                kind = str(message.WhichOneof("message"))
                self.kinds.append(kind)
                if kind == "subscribe_offer":
                    self.group.create_task(self._take(self.way, message.subscribe_offer))
                elif kind == "media_reset":
                    for way in self.ways:
                        way.close()
                    self.group.create_task(self.start())
                elif kind == "media_moving":
                    self.group.create_task(self._go_over(message.media_moving))

    async def _take(self, way: Participant, offer: signaling_pb2.SubscribeOffer) -> None:
        if way is not self.way or way.downlink is None:
            return
        answer = signaling_pb2.SubscribeAnswer(
            sdp=way.downlink.answer(offer.sdp), revision=offer.revision
        )
        await self.call("Answer", media_pb2.AnswerRequest(participant=self.name, answer=answer))

    async def _go_over(self, moving: signaling_pb2.MediaMoving) -> None:
        """Build a second path, and let the first go when media flows by it."""
        old = self.way
        await self.start()
        await self.hears_others(1)
        assert old.downlink is not None
        old.downlink.close()

    async def hears_others(self, count: int, packets: int = 10) -> None:
        """Wait until so many packets more have come of that many tracks, and of no others."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                way = self.way
                before = self._received(way)
                await until(lambda way=way, before=before: self._grown(way, before, packets, count))  # type: ignore[misc]
                if way is self.way:
                    return

    def _grown(self, way: Participant, before: dict[int, int], packets: int, count: int) -> bool:
        if way is not self.way:
            return True
        now = self._received(way)
        more = [ssrc for ssrc, received in now.items() if received >= before.get(ssrc, 0) + packets]
        return len(more) >= count

    def _received(self, way: Participant) -> dict[int, int]:
        assert way.downlink is not None
        return {ssrc: it.continuity.received for ssrc, it in way.downlink._tracks.items()}


@asynccontextmanager
async def light_members(
    stand: Stand, count: int, profile: Profile | None = None
) -> AsyncIterator[list[LightMember]]:
    """Let light clients into a room, each of whom publishes a microphone and hears the others'."""
    room = random_room()
    used = profile or Profile(bitrate_bps=0)
    members = [LightMember(stand, room, used) for _ in range(count)]
    stand.events.members += members
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
            stand.events.members.remove(member)
            for way in member.ways:
                way.close()


__all__ = ["LightMember", "light_members"]
