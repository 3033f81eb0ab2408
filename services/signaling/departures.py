"""How a participant leaves: the room, the meeting and the media node are told, in an order that can be gone through again.

Whoever's lease has run out is gone for the room at once, and for the meeting only when the session can no longer be taken
up: until then their seat is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from chassis import logs
from chassis.errors import DomainError
from services.signaling.conversation import REDIS_AWAY
from services.signaling.domain import Session
from services.signaling.gestures import lowered
from services.signaling.log import Event, RoomLog
from services.signaling.peers import Peers
from services.signaling.sessions import Sessions

ALREADY_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
SWEEP_SECONDS = 1.0
SWEPT_AT_ONCE = 32

log = logs.get("signaling.departures")


class Departures:
    """Those who leave, by their own wish, another's, or because they do not come back."""

    def __init__(self, sessions: Sessions, room_log: RoomLog, peers: Peers) -> None:
        self._sessions = sessions
        self._log = room_log
        self._peers = peers
        self._group = asyncio.TaskGroup()

    async def depart(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> None:
        """Take a participant out: its connection, the room, the meeting, the media node; then forget its session.

        It goes on when the caller is cancelled. What can't be done now is left to a later sweep.
        """
        departure = self._group.create_task(self._unless_away(self._depart(session, reason)))
        await asyncio.shield(departure)

    async def run(self) -> None:
        """Say goodbye for those whose leases have run out, until cancelled."""
        async with self._group:
            while True:
                farewells = await self._sweep()
                if len(farewells) == SWEPT_AT_ONCE:  # there may be more: as soon as these are gone
                    await asyncio.wait(farewells, timeout=SWEEP_SECONDS)
                else:
                    await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> list[asyncio.Task[None]]:
        """Begin to say goodbye for some."""
        try:
            claimed = await self._sessions.claim_run_out(SWEPT_AT_ONCE)
        except REDIS_AWAY as error:
            log.warning("sweep failed", error=type(error).__name__)
            return []
        return [
            self._group.create_task(
                self._unless_away(
                    self._lapse(session, until) if until else self._depart(session, None)
                )
            )
            for session, until in claimed
        ]

    async def _unless_away(self, work: Awaitable[None]) -> None:
        try:
            await work
        except REDIS_AWAY as error:
            log.warning("departure not finished", error=type(error).__name__)

    async def _depart(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> None:
        """Depart; all of it can be repeated, until the session is forgotten."""
        if not await self._sessions.claim(session):
            return  # it is over, or the participant has joined again
        await self._log.append(session.meeting, await self._farewell(session, reason))
        told = [
            await self._tell(tell, session) for tell in (self._peers.left, self._peers.remove_peer)
        ]
        if all(told):
            await self._sessions.forget(session)

    async def _lapse(self, session: Session, until: str) -> None:
        """Tell the room that a participant is gone, once for each time that it can be taken up `until`."""
        farewell = await self._farewell(session, None)
        await self._log.append(session.meeting, farewell, f"gone:{session.id}:{until}")
        await self._tell(self._peers.remove_peer, session)
        await self._sessions.say_gone(session)

    async def _farewell(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> list[Event]:
        events = []
        if reason is not None:
            out = ServerMessage(disconnected=signaling_pb2.Disconnected(reason=reason))
            events.append(Event(out, f"session:{session.id}"))
        for track_id in await self._log.tracks_of(session.meeting, session.participant):
            gone = signaling_pb2.TrackUnpublished(
                track_id=track_id, participant=session.participant
            )
            events.append(Event(ServerMessage(track_unpublished=gone)))
        events.append(lowered(session.participant))
        left = signaling_pb2.ParticipantLeft(participant=session.participant)
        events.append(Event(ServerMessage(participant_left=left)))
        return events

    async def _tell(self, tell: Callable[[str], Awaitable[None]], session: Session) -> bool:
        """Tell another service of a departure; False when it has to be told again."""
        try:
            await tell(session.participant)
        except DomainError as error:
            if error.code not in ALREADY_GONE:
                log.warning("departure not told", code=error.code.name, reason=error.reason)
                return False
        return True


__all__ = ["Departures"]
