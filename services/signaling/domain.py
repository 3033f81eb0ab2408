"""What signaling refuses, and the shape of a session. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from parley.meeting.v1 import meeting_pb2

from chassis.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

MESSAGES_PER_SECOND = 20.0
MESSAGE_BURST = 100.0
FAULTS_PER_SECOND = 0.1
FAULT_BURST = 10.0
"""Malformed or surplus messages that are answered; one more ends the connection."""
ROLES = {
    "host": meeting_pb2.PARTICIPANT_ROLE_HOST,
    "cohost": meeting_pb2.PARTICIPANT_ROLE_COHOST,
    "presenter": meeting_pb2.PARTICIPANT_ROLE_PRESENTER,
    "participant": meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT,
}
ROLE_NAMES = {value: name for name, value in ROLES.items()}
HOSTS = frozenset({"host", "cohost"})
"""Roles that may lower others' hands, and are told the room's mood."""


class TicketInvalid(Unauthenticated):
    """The join ticket is malformed, expired, or not the meeting service's. Join again for a new one."""

    reason = "TICKET_INVALID"
    message = "The ticket is not valid: join again."


class SessionExpired(Unauthenticated):
    """The conversation was away for too long, or is over. Join again for a new ticket."""

    reason = "SESSION_EXPIRED"
    message = "The session is over: join again."


class JoinFirst(InvalidArgument):
    """The first message of a conversation must be `join` or `resume`, and only the first."""

    reason = "JOIN_FIRST"
    message = "A conversation begins with join or resume, once."


class MessageMalformed(InvalidArgument):
    """The text is not a ClientMessage in proto3 JSON."""

    reason = "MESSAGE_MALFORMED"
    message = "This is not a ClientMessage."


class RateLimited(ResourceExhausted):
    """The client says more than 20 messages a second. Slow down; who goes on is cut off."""

    reason = "RATE_LIMITED"
    message = "Too many messages: slow down."


class TooSlow(ResourceExhausted):
    """The client reads more slowly than the room speaks. Resume to get what was missed."""

    reason = "TOO_SLOW"
    message = "You read more slowly than the room speaks: resume."


class StateLost(Unavailable):
    """What you know of the room may be wrong. Resume at once: `joined` answers, and all is built anew from it."""

    reason = "STATE_LOST"
    message = "What you know of the room may be wrong: resume, and build it anew."


class Silent(Unavailable):
    """You have sent `ping` before, and then nothing for as long as it said, or have hung up. Resume at once, if you are there."""

    reason = "SILENT"
    message = "Nothing was heard of you for too long: resume."


class Simulated(Unavailable):
    """You have asked for this failure by `simulate_scenario`. Resume at once."""

    reason = "SIMULATED"
    message = "The connection breaks, as you have asked: resume."


class SimulationOff(FailedPrecondition):
    """The operator allows no simulated failures. Test against a server that allows them."""

    reason = "SIMULATION_OFF"
    message = "This server simulates no failures."


class RoomFull(ResourceExhausted):
    """The room holds as many participants as signaling carries in one. Try again when somebody has left."""

    reason = "ROOM_FULL"
    message = "The room is full."


class TakenOver(FailedPrecondition):
    """Another connection has resumed this session: this one is of no use any more, and should not be resumed."""

    reason = "TAKEN_OVER"
    message = "The conversation goes on over another connection."


class NotHost(PermissionDenied):
    """Only hosts and co-hosts may do this to others."""

    reason = "NOT_HOST"
    message = "Only hosts may do this."


class TooManyHands(ResourceExhausted):
    """As many hands are raised in the room as it shows. Try again when some are lowered."""

    reason = "TOO_MANY_HANDS"
    message = "Too many hands are raised."


class ConnectionTooOld(Unavailable):
    """The connection has reached the age at which every connection is cut. Resume at once."""

    reason = "CONNECTION_TOO_OLD"
    message = "The connection is old: resume."


class TooManyConnections(ResourceExhausted):
    """The process holds as many connections as it takes. Try again; another may have room."""

    reason = "TOO_MANY_CONNECTIONS"
    message = "This server holds as many connections as it takes."


class Draining(Unavailable):
    """The process is being stopped. Resume at once: another takes over."""

    reason = "DRAINING"
    message = "This server is being stopped: resume."


@dataclass(frozen=True, slots=True)
class Session:
    """A participant's conversation, whatever connection carries it. `publish` and the rest are the ticket's.

    The last two may be absent in what a process of before has kept, and in tickets of such a service.
    """

    id: str
    secret_hash: str
    participant: str
    user: str
    display_name: str
    role: str
    publish: tuple[str, ...]
    subscribe: bool
    voice_activity: bool
    end_to_end_encrypted: bool = False
    begins_muted: bool = False

    def allowed(self, participant: meeting_pb2.Participant) -> Session:
        """Go by what a participant may do now, whatever its ticket says."""
        grants = participant.grants
        publish = (
            *(("microphone",) if grants.publish_audio else ()),
            *(("camera",) if grants.publish_video else ()),
            *(("screen", "screen_audio") if grants.publish_screen else ()),
        )
        role = ROLE_NAMES.get(participant.role, self.role)
        return replace(self, role=role, publish=publish, subscribe=grants.subscribe)

    @property
    def meeting(self) -> str:
        """The resource name of its meeting."""
        return meeting_of(self.participant)

    def is_opened_by(self, secret: str) -> bool:
        """Tell whether a secret is this session's."""
        return hmac.compare_digest(_hash(secret), self.secret_hash)

    def to_json(self) -> str:
        """Write it for keeping."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Session:
        """Read what was kept."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "publish": tuple(values["publish"])})


def new_session(claims: Mapping[str, Any]) -> tuple[Session, str]:
    """Begin a session by a ticket's claims; returns it and its token, `<id>.<secret>`."""
    identifier, secret = secrets.token_hex(16), secrets.token_urlsafe(32)
    session = Session(
        id=identifier,
        secret_hash=_hash(secret),
        participant=str(claims["sub"]),
        user=str(claims["user"]),
        display_name=str(claims["display_name"]),
        role=str(claims["role"]),
        publish=tuple(claims["grants"]["publish"]),
        subscribe=bool(claims["grants"]["subscribe"]),
        voice_activity=bool(claims["voice_activity"]),
        end_to_end_encrypted=bool(claims.get("e2ee", False)),
        begins_muted=bool(claims.get("begins_muted", False)),
    )
    return session, f"{identifier}.{secret}"


def meeting_of(participant: str) -> str:
    """`meetings/{code}` of `meetings/{code}/participants/{id}`."""
    return "/".join(participant.split("/")[:2])


class TokenBucket:
    """Lets `rate` through per second, and `burst` at once. RFC 2697 without colours."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one at `now` (seconds, monotonic); False when there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
