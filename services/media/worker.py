"""The worker: its rooms, what they tell, and the beat that keeps them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import redis.exceptions
from parley.ai.v1 import ai_pb2_grpc
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import logs, telemetry
from services.media import messages
from services.media.announcer import Announcer
from services.media.domain import NodeFull, PeerNotFound
from services.media.placement import Placement
from services.media.port import Port
from services.media.quality import Quality
from services.media.quota import Delivery
from services.media.room import Listener, Room
from services.media.subscriber import Offer
from services.media.tap import Tap
from services.media.track import PublishedTrack

TICK_SECONDS = 0.05
BEAT_SECONDS = 1.0

log = logs.get("media.worker")

_rooms = telemetry.gauge("media_rooms", "Rooms on this worker.")
_peers = telemetry.gauge("media_peers", "Peers on this worker.")


class Voices(Listener):
    """Tells a room's clients what happens in it, and the ai service what is said."""

    def __init__(
        self,
        room: str,
        announcer: Announcer,
        ai: ai_pb2_grpc.AiServiceAsyncStub,
        decoding: ThreadPoolExecutor,
    ) -> None:
        self.voice_activity = False
        self._encrypted = False
        self._room = room
        self._announcer = announcer
        self._ai = ai
        self._decoding = decoding
        self._taps: dict[str, Tap] = {}
        self._speaking: dict[str, str] = {}

    def encrypt(self) -> None:
        """The room is encrypted end to end: from here on nothing is analysed, and there is no way back."""
        if self._encrypted:
            return
        self._encrypted = True
        for tap in self._taps.values():
            tap.close()
        self._taps.clear()
        self._speaking.clear()

    def offer(self, participant: str, offer: Offer) -> None:
        """A subscriber's offer must reach its client."""
        self._announcer.tell(self._room, messages.subscribe_offer(offer), participant)

    def published(self, track: PublishedTrack) -> None:
        """A track is there."""
        message = signaling_pb2.TrackPublished(track=messages.track(track))
        self._announcer.tell(self._room, ServerMessage(track_published=message))

    def updated(self, track: PublishedTrack) -> None:
        """A track was muted or unmuted."""
        message = signaling_pb2.TrackUpdated(track=messages.track(track))
        self._announcer.tell(self._room, ServerMessage(track_updated=message))
        if track.forwarder.muted:
            self._hush(track)

    def unpublished(self, track: PublishedTrack) -> None:
        """A track is gone."""
        if (tap := self._taps.pop(track.id, None)) is not None:
            tap.close()
        self._hush(track)
        message = signaling_pb2.TrackUnpublished(track_id=track.id, participant=track.participant)
        self._announcer.tell(self._room, ServerMessage(track_unpublished=message))

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        """An Opus packet came."""
        if self._encrypted or not self.voice_activity:
            return
        if track.forwarder.muted or track.source != "microphone":
            return
        if (tap := self._taps.get(track.id)) is None:
            tap = self._taps[track.id] = Tap(
                self._ai,
                self._decoding,
                track.participant,
                track.id,
                lambda speaking: self._spoke(track, speaking=speaking),
            )
        tap.feed(packet)

    def delivered(self, participant: str, track: PublishedTrack, how: Delivery, rid: str) -> None:
        """Whether a track comes to a participant, or which of its layers, is another now."""
        message = messages.subscription_changed(track.id, how, rid)
        self._announcer.tell(self._room, message, participant)

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        """These layers of a track are watched; the others need not be sent."""
        message = messages.layers_wanted(track.id, rids)
        self._announcer.tell(self._room, message, track.participant)

    def quality(self, participant: str, quality: Quality) -> None:
        """How good somebody's connection is has changed."""
        self._announcer.tell(self._room, messages.quality_changed(participant, quality))

    def loud(self, participants: list[str]) -> None:
        """Who speaks, by their audio levels: all that can be known where sound is encrypted end to end."""
        if self._encrypted and self.voice_activity:
            self._announcer.tell(self._room, messages.speakers_changed(participants))

    def _spoke(self, track: PublishedTrack, *, speaking: bool) -> None:
        if speaking and not track.forwarder.muted:
            self._speaking[track.id] = track.participant
            self._tell_speakers()
        elif not speaking:
            self._hush(track)

    def _hush(self, track: PublishedTrack) -> None:
        if self._speaking.pop(track.id, None) is not None:
            self._tell_speakers()

    def _tell_speakers(self) -> None:
        speakers = sorted(set(self._speaking.values()))
        self._announcer.tell(self._room, messages.speakers_changed(speakers))


class Worker:
    """The rooms that are placed on this process."""

    def __init__(
        self,
        port: Port,
        placement: Placement,
        announcer: Announcer,
        mesh: grpc.aio.Channel,
        max_rooms: int,
        max_peers: int,
    ) -> None:
        self.rooms: dict[str, Room] = {}
        self._voices: dict[str, Voices] = {}
        self._port = port
        self._placement = placement
        self._announcer = announcer
        self._ai: ai_pb2_grpc.AiServiceAsyncStub = ai_pb2_grpc.AiServiceStub(mesh)
        self._decoding = ThreadPoolExecutor(1, "opus")
        self._max_rooms = max_rooms
        self._max_peers = max_peers

    def room(self, name: str) -> Room:
        """Find a room. Raises PeerNotFound."""
        if (room := self.rooms.get(name)) is None:
            raise PeerNotFound(meeting=name)
        return room

    def open_room(
        self, name: str, *, voice_activity: bool, end_to_end_encrypted: bool = False
    ) -> Room:
        """Find a room or begin it; one that is encrypted end to end stays so. Raises NodeFull."""
        if name not in self.rooms:
            if len(self.rooms) >= self._max_rooms:
                raise NodeFull(limit=str(self._max_rooms), retry_after=5.0)
            voices = Voices(name, self._announcer, self._ai, self._decoding)
            self._voices[name] = voices
            self.rooms[name] = Room(name, self._port, voices, self._max_peers)
        self._voices[name].voice_activity = voice_activity
        if end_to_end_encrypted:
            self._voices[name].encrypt()
        return self.rooms[name]

    async def close_room(self, name: str) -> None:
        """End a room, if it is here."""
        if (room := self.rooms.pop(name, None)) is not None:
            room.close()
            del self._voices[name]
            await self._placement.release(name)

    async def run(self) -> None:
        """Tick and beat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announcer.run())
            group.create_task(self._tick())
            group.create_task(self._beat())

    async def drain(self) -> None:
        """Give all rooms up: their clients build the path anew, on another worker if there is one."""
        await self._placement.leave()
        for name in tuple(self.rooms):
            await self.close_room(name)
            self._tell_reset(name)
        await self._announcer.flush(2.0)
        self._decoding.shutdown(wait=False, cancel_futures=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for room in tuple(self.rooms.values()):
                room.tick(now)

    async def _beat(self) -> None:
        try:
            for name in await self._placement.rejoin():
                self._tell_reset(name)
        except redis.exceptions.RedisError as error:
            log.warning("not rejoined", error=type(error).__name__)
        while True:
            try:
                await self._beat_once()
            except redis.exceptions.RedisError as error:
                log.warning("beat missed", error=type(error).__name__)
            await asyncio.sleep(BEAT_SECONDS)

    async def _beat_once(self) -> None:
        peers = sum(len(room.peers) for room in self.rooms.values())
        for name in await self._placement.beat(peers, tuple(self.rooms)):
            log.warning("room lost to another worker", room=name)
            await self.close_room(name)
        for name in await self._placement.orphans():
            self._tell_reset(name)
        self._port.flush_counters()
        _rooms.set(len(self.rooms))
        _peers.set(peers)

    def _tell_reset(self, name: str) -> None:
        self._announcer.tell(name, ServerMessage(media_reset=signaling_pb2.MediaReset()))


__all__ = ["Voices", "Worker"]
