"""What goes wrong on request, for integrators' own tests; only where the operator allows it.

The failures are real: the connection is broken by the process that holds it, the place on the media node is taken away.
"""

from __future__ import annotations

from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.signaling.domain import Session
from services.signaling.log import Event, RoomLog
from services.signaling.peers import Peers
from services.signaling.rooms import BREAKS, count_of
from services.signaling.sessions import Sessions

LOSES_MEDIA = frozenset({signaling_pb2.SCENARIO_MEDIA_RESET, signaling_pb2.SCENARIO_FULL_RECONNECT})
REFUSES_RESUME = frozenset(
    {signaling_pb2.SCENARIO_DISCONNECT_ON_RESUME, signaling_pb2.SCENARIO_FULL_RECONNECT}
)
BREAKS_OFF = REFUSES_RESUME | {signaling_pb2.SCENARIO_DISCONNECT}


class Simulation:
    """Makes things go wrong with one's own session."""

    def __init__(self, sessions: Sessions, room_log: RoomLog, peers: Peers) -> None:
        self._sessions = sessions
        self._log = room_log
        self._peers = peers

    async def make(
        self, session: Session, scenario: signaling_pb2.Scenario.ValueType, answer: ServerMessage
    ) -> None:
        """Make a scenario happen, and answer just before. Raises what the media node answers."""
        events = [Event(answer, f"session:{session.id}")]
        if scenario in LOSES_MEDIA:
            await self._peers.remove_peer(session.participant)
            reset = ServerMessage(media_reset=signaling_pb2.MediaReset())
            events.append(Event(reset, session.participant))
        if scenario in REFUSES_RESUME:
            await self._sessions.refuse(session)
        if scenario in BREAKS_OFF:
            live = count_of(await self._sessions.live(session))
            events.append(Event(ServerMessage(), f"session:{session.id}/{live}{BREAKS}"))
        await self._log.append(session.meeting, events)


__all__ = ["Simulation"]
