"""A participant's side of a conversation with signaling (docs/protocol.md), without the wire.

`opening` is what to say first on each connection, `heard` takes what the server says, `cut` decides what a broken
connection means. Events are told in the order of the room's sequence, each once, however many connections they came by.
"""

from __future__ import annotations

import enum

import grpc
from parley.client._errors import ParleyError
from parley.client._events import SNAPSHOT, Event, Snapshot
from parley.meeting.v1.meeting_pb2 import Participant
from parley.signaling.v1.signaling_pb2 import ClientMessage, Join, Resume, ServerMessage

OPENING_ID = "open"
_ANEW = frozenset({"TICKET_INVALID", "SESSION_EXPIRED"})
_OVER = frozenset({"TAKEN_OVER", "MEETING_ENDED", "PARTICIPANT_GONE"})
_OVER_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_LAST = frozenset({"meeting_ended", "disconnected"})
_UNTOLD = frozenset({"pong", "resumed", "accepted", "refused"})


class After(enum.Enum):
    """What to do when a connection has broken."""

    AGAIN = enum.auto()
    """Connect again, with `opening`."""
    ANEW = enum.auto()
    """Join the meeting again first, for a new ticket."""
    OVER = enum.auto()
    """Nothing: the conversation is over."""


class Conversation:
    """What one participant knows. `ended` is set by the server's last word."""

    def __init__(self, ticket: str) -> None:
        self.ended = False
        self.participant = Participant()
        self.participants: dict[str, Participant] = {}
        self._ticket = ticket
        self._session_token = ""
        self._cursor = 0
        self._snapshots = 0

    @property
    def has_begun(self) -> bool:
        """Whether the server has ever answered with `joined`."""
        return self._snapshots > 0

    def anew(self, ticket: str) -> None:
        """Take a new ticket: the old session is given up, what is known stays until the next snapshot."""
        self._ticket = ticket
        self._session_token = ""

    def opening(self) -> ClientMessage:
        """Say what begins a connection: `resume` where there is something to take up, else `join`."""
        if self._session_token:
            resume = Resume(session_token=self._session_token, cursor=self._cursor)
            return ClientMessage(id=OPENING_ID, resume=resume)
        return ClientMessage(id=OPENING_ID, join=Join(ticket=self._ticket))

    def heard(self, message: ServerMessage) -> Event | None:
        """Take what the server says; gives the event that it tells, if it is one and is not known yet."""
        kind = message.WhichOneof("message")
        if kind == "joined":
            return self._joined(message)
        if message.sequence:
            if message.sequence <= self._cursor:
                return None
            self._cursor = message.sequence
        if kind is None or kind in _UNTOLD or message.reply_to:
            return None
        self._learn(kind, message)
        self.ended = kind in _LAST
        return Event(kind, message.sequence, message)

    def cut(self, error: ParleyError) -> After:
        """Decide what follows when a connection has ended, otherwise than by the server's last word."""
        if error.reason in _OVER:
            return After.OVER
        if error.reason in _ANEW:
            return After.ANEW
        if error.code in _OVER_CODES or (error.reason == "ROOM_FULL" and not self.has_begun):
            return After.OVER
        return After.AGAIN

    def _joined(self, message: ServerMessage) -> Snapshot:
        joined = message.joined
        self._session_token = joined.session_token
        self._cursor = message.sequence
        self._snapshots += 1
        self.participant = joined.participant
        self.participants = {each.name: each for each in joined.participants}
        return Snapshot(SNAPSHOT, message.sequence, message, again=self._snapshots > 1)

    def _learn(self, kind: str, message: ServerMessage) -> None:
        match kind:
            case "participant_joined" | "participant_updated":
                participant = getattr(message, kind).participant
                self.participants[participant.name] = participant
                if participant.name == self.participant.name:
                    self.participant = participant
            case "participant_left":
                self.participants.pop(message.participant_left.participant, None)


__all__ = ["After", "Conversation"]
