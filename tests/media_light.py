"""Light clients as members of a stand's room: unlike aiortc they follow tracks that come and go, and count what comes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
from parley.signaling.v1 import signaling_pb2

from chassis import channels
from loadtest.media.connection import Certificate
from loadtest.media.downlink import Track, read
from loadtest.media.figures import Figures
from loadtest.media.participant import Participant, Settings
from loadtest.media.uplink import Profile
from services.media.payload import begins_keyframe
from tests.media_room import until
from tests.media_stand import PATIENCE_SECONDS, Member, Stand
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

    @property
    def has_moved(self) -> bool:
        """Whether media flows by a second path, and the first is let go."""
        downlinks = [way.downlink for way in self.ways if way.downlink is not None]
        is_open = [downlink.connection.is_connected for downlink in downlinks]
        return len(is_open) > 1 and is_open[-1] and not any(is_open[:-1])

    async def start(self) -> None:
        figures = Figures()
        settings = Settings(Certificate(), "127.0.0.1", self.profile, figures)
        way = Participant(settings, self.number, publishes=True, subscribes=True)
        self.ways.append(way)
        self.figures.append(figures)
        assert way.uplink is not None
        way.uplink.answered(await self.publish(way.uplink.offer()))
        await way.connected()

    async def answer(self, offer: signaling_pb2.SubscribeOffer) -> None:
        if (downlink := self.way.downlink) is not None:
            await self.say_answer(downlink.answer(offer.sdp), offer.revision)

    async def begin_anew(self) -> None:
        await self.close()
        await self.start()

    async def move(self, moving: signaling_pb2.MediaMoving) -> None:
        old = self.way
        assert old.downlink is not None
        await self.start()
        with contextlib.suppress(TimeoutError):  # not all have moved
            async with asyncio.timeout(moving.notice.ToMilliseconds() / 1000):
                await self.hears_others(old.downlink.tracks)
        old.downlink.close()

    async def close(self) -> None:
        for way in self.ways:
            way.close()

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

    async def hears_others(self, count: int, packets: int = 10) -> None:
        """Wait until so many packets more have come of that many tracks."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                way = self.way
                before = self._received(way)
                await until(lambda way=way, before=before: self._grown(way, before, packets, count))  # type: ignore[misc]
                if way is self.way:
                    return

    def tracks(self) -> dict[str, Track]:
        """What comes by the path that counts, by its publisher's number and its kind."""
        assert self.way.downlink is not None
        marked = [track for track in self.way.downlink.offered if track.first is not None]
        return {f"{track.publisher} {track.kind}": track for track in marked}

    def missed(self, old: Track, new: Track) -> int:
        """Count what this member has sent by its first path, when somebody went over to another way of that source, and missed."""
        assert old.last is not None
        assert new.first is not None
        uplink = self.ways[0].uplink
        assert uplink is not None
        kept = [read(old, body) for body in uplink.kept(old.source)]
        last, until_ns = old.last.counter, new.first.sent_ns
        return sum(mark.counter > last and mark.sent_ns < until_ns for mark in kept)

    def _grown(self, way: Participant, before: dict[int, int], packets: int, count: int) -> bool:
        if way is not self.way:
            return True
        now = self._received(way)
        more = [ssrc for ssrc, received in now.items() if received >= before.get(ssrc, 0) + packets]
        return len(more) >= count

    def _received(self, way: Participant) -> dict[int, int]:
        assert way.downlink is not None
        return {track.ssrc: track.continuity.received for track in way.downlink.offered}


def light_members(
    stand: Stand, count: int, profile: Profile | None = None
) -> AbstractAsyncContextManager[list[LightMember]]:
    """Let light clients into a room, each of whom publishes and receives what the others do: microphones by default."""
    room, used = random_room(), profile or Profile(bitrate_bps=0)
    return stand.seated([LightMember(stand, room, used) for _ in range(count)])


def goes_on(members: Sequence[LightMember], old: Track, new: Track) -> None:
    """Check that nothing is missing between two ways of one source, and that the second begins with a whole picture."""
    (publisher,) = (member for member in members if member.number == old.publisher)
    assert new.source == old.source
    assert publisher.missed(old, new) == 0
    assert new.codec is None or begins_keyframe(new.codec.name.upper(), new.begun)


__all__ = ["LightMember", "goes_on", "light_members"]
