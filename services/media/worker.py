"""The worker: its rooms, how hard it has it, and the beat that keeps them.

A process that has slept does nothing for its rooms before it has asked which are still its own: what arrives is
dropped, nothing ticks, no call is served from memory. A Redis that is away changes nothing: while nobody can take a
room over, everybody keeps what they have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import redis.exceptions
from parley.ai.v1 import ai_pb2_grpc
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import logs, telemetry
from services.media.analysis import Analysis
from services.media.announcer import Announcer
from services.media.attention import Senses
from services.media.cascade import Cascade, Open
from services.media.domain import NodeFull, PeerNotFound, RoomFull, RoomNotFound
from services.media.inquiry import Inquiry
from services.media.metrics import Figures
from services.media.placement import FULL, LEASE_SECONDS, PERSON_COST, Orphans, Placement, Shared
from services.media.port import Port
from services.media.room import Room, tick_all
from services.media.scribe import Scribe
from services.media.stress import Limits, Sample, Stress
from services.media.translator import Translator
from services.media.voices import Voices

TICK_SECONDS = 0.05
MEASURE_SECONDS = 1.0
BEAT_SECONDS = 0.3
SLEEP_SECONDS = LEASE_SECONDS - 2 * BEAT_SECONDS
"""Who has not come round for so long may have lost the lease."""
FULL_RETRY_SECONDS = 5.0

log = logs.get("media.worker")

_rooms = telemetry.gauge("media_rooms", "Rooms on this worker.")
_peers = telemetry.gauge("media_peers", "Peers on this worker.")
_stress = telemetry.gauge("media_stress", "How busy this worker is, 0 to 1; full from 0.9 on.")
_refused = telemetry.counter(
    "media_joins_refused", "People refused because the worker, or the room, was full."
)
_missed = telemetry.counter("media_beats_missed", "Beats that Redis did not take in time.")
_slept = telemetry.counter("media_slept", "Times that the process did not come round in time.")
moved = telemetry.counter("media_rooms_moved", "Rooms that left a worker, and why.", ("why",))


class Worker:
    """The rooms that are placed on this process, and those that have moved on but whose old paths are still up."""

    def __init__(
        self,
        port: Port,
        placement: Placement,
        announcer: Announcer,
        mesh: grpc.aio.Channel,
        limits: Limits,
        max_peers_per_room: int,
        last_n: int,
        open_channel: Open,
        relay_advertise: Sequence[str] = (),
    ) -> None:
        self.rooms: dict[str, Room] = {}
        self.leaving: dict[str, Room] = {}
        self.announcer = announcer
        announcer.is_held = lambda: self.is_asleep
        self.placement = placement
        self.cascade = Cascade(port, placement, self.rooms, open_channel, relay_advertise)
        self.stress = Stress(limits, PERSON_COST)
        self._voices: dict[str, Voices] = {}
        self._port = port
        self.scribe = Scribe(mesh)
        self._inquiry = Inquiry(mesh)
        self._hearing, self._seeing = ThreadPoolExecutor(1, "opus"), ThreadPoolExecutor(1, "video")
        self._senses = Senses(
            ai_pb2_grpc.AiServiceStub(mesh),
            self._hearing,
            self._seeing,
            self.scribe,
            Translator(mesh),
        )
        self._limits = limits
        self.max_peers_per_room = max_peers_per_room
        self._last_n = last_n
        self._branches: set[str] = set()
        self._lateness: list[float] = []
        self._figures = Figures()
        self._hurry = asyncio.Event()
        self._beaten_at = -LEASE_SECONDS
        self._has_rejoined = False
        self._has_lapsed = False

    @property
    def peers(self) -> int:
        """How many people are in the rooms."""
        return sum(len(room.peers) for room in self.rooms.values())

    @property
    def is_asleep(self) -> bool:
        """Tell whether this process has slept, and does not know yet which rooms are still its own."""
        return time.monotonic() > self._port.asleep_after

    def room(self, name: str) -> Room:
        """Find a room. Raises PeerNotFound."""
        if (room := self.rooms.get(name)) is None:
            raise PeerNotFound(meeting=name)
        return room

    def is_home(self, name: str) -> bool:
        """Tell whether this worker is at a room's head, if it has it: others may have parts of it."""
        return name not in self._branches

    def take_role(self, name: str, *, is_home: bool) -> None:
        """Be at a room's head from now on, or have but a part of it."""
        (self._branches.discard if is_home else self._branches.add)(name)
        if (voices := self._voices.get(name)) is not None:
            voices.lead(is_home=is_home)

    async def admit(self, name: str, participant: str) -> None:
        """Let somebody into a room here: who is in it always, who was in it if the room has a place, others unless full.

        Raises NodeFull, RoomFull.
        """
        room = self.rooms.get(name)
        if room is None or participant not in room.peers:
            has_place = room is None or not room.is_full
            if not has_place or (
                self._is_full(room) and not await self.placement.knows(name, participant)
            ):
                raise await self.turn_away(name, participant)
            self.stress.came(time.monotonic())
        await self.placement.admit(name, participant)

    async def turn_away(self, name: str, participant: str) -> NodeFull | RoomFull:
        """Have somebody placed anew when they ask again; returns what they are refused with."""
        _refused.inc()
        if name not in self.rooms:
            await self.placement.decline(name)
        await self.placement.unseat(name, participant)
        people = await self.placement.people_at_most(name, self.max_peers_per_room)
        if people is None:
            return NodeFull(retry_after=FULL_RETRY_SECONDS)
        return RoomFull(limit=str(people))

    def open_room(
        self, name: str, *, voice_activity: bool, end_to_end_encrypted: bool = False
    ) -> Room:
        """Find a room or begin it; one that is encrypted end to end stays so."""
        if name not in self.rooms:
            voices = Voices(name, self.announcer, self._senses)
            self._voices[name] = voices
            limits = self.max_peers_per_room, self._last_n
            room = Room(name, self._port, voices, *limits)
            self.rooms[name], voices.on_speaking = room, room.links.speak
            voices.attention.on_mood = room.links.share_mood
            self._inquiry.begin(name, voices.attention.follow)
            voices.lead(is_home=self.is_home(name))
            if not self.is_home(name):
                self._hurry.set()  # the beat tells who has the other parts
        self._voices[name].attention.go_by_ticket(voice_activity=voice_activity)
        if end_to_end_encrypted:
            self._voices[name].encrypt()
        return self.rooms[name]

    def analyse(self, name: str, analysis: Analysis) -> None:
        """Change what is analysed in a room. Raises RoomNotFound, MeetingEncrypted."""
        if name not in self.rooms:
            raise RoomNotFound(meeting=name)
        self._voices[name].follow(analysis)

    async def close_room(self, name: str) -> None:
        """End a room, if it is here."""
        if (room := self.rooms.pop(name, None)) is None:
            return
        is_shared = bool(room.links)
        room.close()
        self._inquiry.end(name)
        self._voices.pop(name).retire()
        self._branches.discard(name)
        await self.placement.release(name)
        if name in self.rooms:  # somebody came meanwhile, before the room was given up
            self._give_up(await self.placement.reclaim({name: is_shared}))

    def depart(self, name: str) -> None:
        """Keep the paths of a room that is another worker's from now on; it tells of tracks that end, no more."""
        self._branches.discard(name)
        self._inquiry.end(name)
        self.leaving[name] = self.rooms.pop(name)
        self._voices.pop(name).retire()

    def abandon(self, name: str) -> None:
        """Have nothing to do with a room any more: it is another worker's, and its clients know."""
        self._branches.discard(name)
        self._inquiry.end(name)
        self._voices.pop(name).silence()
        self.rooms.pop(name).close()
        self.announcer.forget(name)

    def tell_reset(self, name: str, participant: str = "") -> None:
        """Tell a room, or one participant of it, to build the media path anew."""
        message = ServerMessage(media_reset=signaling_pb2.MediaReset())
        self.announcer.tell(name, message, participant)

    def hurry(self) -> None:
        """Beat now."""
        self._hurry.set()

    async def run(self) -> None:
        """Tick, measure and beat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.announcer.run())
            group.create_task(self.scribe.run())
            group.create_task(self._tick())
            group.create_task(self._measure())
            group.create_task(self._beat())

    async def close(self) -> None:
        """End what decodes, asks and translates."""
        await self._inquiry.close()
        await self._senses.translator.close()
        for tap in tuple(self._senses.finishing):
            tap.close()
        for each in (self._hearing, self._seeing):
            each.shutdown(wait=False, cancel_futures=True)

    def _is_full(self, room: Room | None) -> bool:
        """Tell whether one person more is one too many, in a room or in a new one."""
        if room is None and len(self.rooms) >= self._limits.rooms:
            return True
        return self.stress.admission(self.peers) >= FULL

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._lateness.append(now - began - TICK_SECONDS)
            if now > self._port.asleep_after:
                self._hurry.set()
                continue
            self._port.asleep_after = now + SLEEP_SECONDS
            self.cascade.tick(now)
            await tick_all((*self.rooms.values(), *self.leaving.values()), now)

    async def _measure(self) -> None:
        wall, cpu = time.monotonic(), time.thread_time()
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            now, used = time.monotonic(), time.thread_time()
            late, self._lateness = self._lateness, []
            lateness = sum(late) / max(1, len(late))
            packets = self._port.flush_counters()
            self.stress.measure(Sample(now - wall, used - cpu, lateness, packets))
            wall, cpu = now, used
            for room in self.rooms.values():
                room.pressure = self.stress.load
            self._figures.show(self.rooms.values(), now)
            self.cascade.flush_counters()
            _rooms.set(len(self.rooms))
            _peers.set(self.peers)
            _stress.set(self.stress.placement(now, self.peers, len(self.rooms)))

    async def _beat(self) -> None:
        while True:
            self._hurry.clear()
            try:
                async with asyncio.timeout(LEASE_SECONDS):
                    if not self.placement.has_left:
                        await self._beat_once()
            except (redis.exceptions.RedisError, OSError) as error:  # TimeoutError is an OSError
                _missed.inc()
                log.warning("beat missed", error=type(error).__name__)
                await asyncio.sleep(TICK_SECONDS)
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _beat_once(self) -> None:
        """Renew the lease; if it had run out, ask for the rooms first. Tell the rooms of the dead to begin anew.

        Others are judged by those alone whose own last beat was in time: after a Redis that was away, all are late.
        """
        if not self._has_rejoined:
            self._tell_orphans(await self.placement.rejoin())
            self._has_rejoined = True
        sent = time.monotonic()
        if self.is_asleep:
            _slept.inc()
            log.warning("slept", seconds=round(sent - self._beaten_at, 1))
        stress = self.stress.placement(sent, self.peers, len(self.rooms))
        judge = sent - self._beaten_at < LEASE_SECONDS / 2
        beat = await self.placement.beat(stress, len(self.rooms), self.peers, judge=judge)
        self._has_lapsed = self._has_lapsed or beat.lapsed
        self._tell_orphans(beat.orphans)
        if self._has_lapsed:
            held = {name: bool(room.links) for name, room in self.rooms.items()}
            self._give_up(await self.placement.reclaim(held))
            self._has_lapsed = False
        await self._rejoin_parts(beat.cut_off)
        self._take_roles(beat.shared)
        self._beaten_at = sent
        self._port.asleep_after = time.monotonic() + SLEEP_SECONDS

    async def _rejoin_parts(self, names: list[str]) -> None:
        """Be a part again of rooms that others go on with; where that can't be, have the people here begin anew there."""
        for name in set(names) - set(self.rooms):
            await self.placement.release(name)
        people = {name: tuple(self.rooms[name].peers) for name in names if name in self.rooms}
        lost = await self.placement.reclaim(dict.fromkeys(people, True))
        self._give_up(lost)
        for name in lost:
            for participant in people[name]:
                self.tell_reset(name, participant)
        if people:
            self.hurry()

    def _give_up(self, names: list[str]) -> None:
        for name in names:
            if name in self.rooms:
                log.warning("room lost to another worker", room=name)
                moved.labels("lost").inc()
                self.abandon(name)

    def _take_roles(self, shared: list[Shared]) -> None:
        roles = {each.room: each.is_home for each in shared}
        self._branches &= set(self.rooms)
        for name in self.rooms:
            self.take_role(name, is_home=roles.get(name, True))
        self.cascade.share(shared)

    def _tell_orphans(self, orphans: list[Orphans]) -> None:
        """Tell whoever was at a dead worker, unless they are here by now: the others' paths are whole."""
        for each in orphans:
            room = self.rooms.get(each.room)
            if each.people or room is None:
                moved.labels("orphaned").inc()
            if not each.people and room is None:
                self.tell_reset(each.room)
            for participant in each.people:
                if room is None or participant not in room.peers:
                    self.tell_reset(each.room, participant)


__all__ = ["FULL_RETRY_SECONDS", "Worker", "moved"]
