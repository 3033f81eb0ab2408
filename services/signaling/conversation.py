"""Conversations: how one begins, what each client message does, and how it ends, whatever transport carries it.

Nothing here answers a client directly: every answer is appended to the room's log, and the client's connection, in
this process or another, delivers it from there. Only `joined` is told by the connection itself, since it is the
client's own `participant_joined` entry, seen from the inside: it has that entry's sequence.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import grpc
from google.protobuf.duration_pb2 import Duration
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import logs, telemetry
from chassis.auth import TokenInvalid, Trust
from chassis.calls import check
from chassis.clock import Clock
from chassis.errors import DomainError, to_status
from services.signaling.domain import (
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    Draining,
    JoinFirst,
    RateLimited,
    Session,
    SessionExpired,
    TicketInvalid,
    TokenBucket,
    TooManyConnections,
    new_session,
)
from services.signaling.log import Event, RoomLog
from services.signaling.peers import Peers
from services.signaling.rooms import Rooms, Subscription
from services.signaling.sessions import RENEW_SECONDS, Sessions

TICKET_AUDIENCE = "parley-signaling"
TICKET_ISSUER = "services/meeting"
ROLES = {
    "host": meeting_pb2.PARTICIPANT_ROLE_HOST,
    "participant": meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT,
}
ALREADY_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
LAST_MESSAGES = frozenset({"meeting_ended", "disconnected"})

log = logs.get("signaling.conversation")

_heard = telemetry.counter("signaling_messages_in", "Client messages, by kind.", ("kind",))
_told = telemetry.counter("signaling_messages_out", "Server messages, by kind.", ("kind",))
_refusals = telemetry.counter("signaling_refused", "Client messages refused.", ("reason",))
_openings = telemetry.counter("signaling_openings", "How conversations began.", ("how",))
_live = telemetry.gauge("signaling_connections", "Live connections.", ("transport",))


class Conversation:
    """One live connection of a session. Iterate `messages`, feed `hear`, and `close` it at the end."""

    def __init__(
        self,
        hall: Hall,
        session: Session,
        subscription: Subscription,
        first: ServerMessage,
        transport: str,
    ) -> None:
        self.session = session
        self._hall = hall
        self._subscription = subscription
        self._first = first
        self._transport = transport
        self._identifier = secrets.token_hex(8)
        self._bucket = TokenBucket(MESSAGES_PER_SECOND, MESSAGE_BURST)
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take the session for this connection."""
        await self._hall.sessions.take(self.session, self._identifier)
        self._renewing = asyncio.create_task(self._renew())
        _live.labels(self._transport).inc()

    async def messages(self) -> AsyncIterator[ServerMessage]:
        """Give what the server says, to the end of the conversation. Raises DomainError when it was cut."""
        if self._first.HasField("joined"):
            yield self._first
        async for message in self._subscription.messages():
            kind = str(message.WhichOneof("message"))
            _told.labels(kind).inc()
            if kind == "participant_joined" and message.sequence == self._first.sequence:
                continue
            yield message
            if kind in LAST_MESSAGES:
                return

    async def hear(self, message: ClientMessage) -> None:
        """Do what a client says. Raises RateLimited when the connection must be closed."""
        if not self._bucket.take(self._hall.clock.monotonic()):
            raise RateLimited
        if message.WhichOneof("message") in ("join", "resume"):
            await self._hall.refuse(self.session, message.id, JoinFirst())
            return
        await self._hall.hear(self.session, message)

    async def refuse(self, reply_to: str, error: DomainError) -> None:
        """Tell the client that something it said could not be used."""
        await self._hall.refuse(self.session, reply_to, error)

    def cut(self, reason: DomainError) -> None:
        """End the connection; the session stays, to be resumed."""
        self._subscription.close(reason)

    async def close(self) -> None:
        """The connection is gone."""
        _live.labels(self._transport).dec()
        if self._renewing is not None:
            self._renewing.cancel()
        self._hall.forget(self, self._subscription)
        with suppress(DomainError, OSError):
            await self._hall.sessions.release(self.session, self._identifier)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                if not await self._hall.sessions.renew(self.session, self._identifier):
                    self.cut(SessionExpired())
                    return
            except Exception as error:  # noqa: BLE001  # Redis away: the lease outlasts two renewals
                log.warning("lease not renewed", error=type(error).__name__)


class Hall:
    """Where conversations begin, and what they stand on."""

    def __init__(
        self,
        sessions: Sessions,
        room_log: RoomLog,
        rooms: Rooms,
        peers: Peers,
        trust: Trust,
        clock: Clock,
        max_connections: int,
    ) -> None:
        self.sessions = sessions
        self.clock = clock
        self._log = room_log
        self._rooms = rooms
        self._peers = peers
        self._trust = trust
        self._room_for = max_connections
        self._conversations: set[Conversation] = set()
        self._draining = False
        self._handlers: dict[str, Callable[[Session, ClientMessage], Awaitable[ServerMessage]]] = {
            "ping": self._ping,
            "start_media": self._start_media,
            "publish_offer": self._publish_offer,
            "subscribe_answer": self._subscribe_answer,
            "ice_candidate": self._ice_candidate,
            "set_track_muted": self._set_track_muted,
            "restart_ice": self._restart_ice,
        }

    async def begin(self, message: ClientMessage, transport: str) -> Conversation:
        """Begin a conversation by its first message.

        Raises JoinFirst, TicketInvalid, SessionExpired, TooManyConnections, Draining, or what the meeting service
        answers (MEETING_ENDED, PARTICIPANT_GONE).
        """
        check(message)
        if self._draining:
            raise Draining
        if len(self._conversations) >= self._room_for:
            raise TooManyConnections(retry_after=1.0)
        match message.WhichOneof("message"):
            case "join":
                session, first = await self._join(message)
            case "resume":
                session, first = await self._resume(message)
            case _:
                raise JoinFirst
        subscription = await self._rooms.attach(session, first.sequence)
        conversation = Conversation(self, session, subscription, first, transport)
        self._conversations.add(conversation)
        await conversation.open()
        if first.HasField("resumed"):
            answer = ServerMessage(reply_to=message.id, resumed=signaling_pb2.Resumed())
            await self._log.append(session.meeting, [Event(answer, f"session:{session.id}")])
        return conversation

    async def hear(self, session: Session, message: ClientMessage) -> None:
        """Do what a client says and append the answer, or the refusal, to the log."""
        kind = str(message.WhichOneof("message"))
        _heard.labels(kind).inc()
        if kind == "leave":
            await self.depart(session, signaling_pb2.DISCONNECT_REASON_LEFT)
            return
        try:
            check(message)
            if (handler := self._handlers.get(kind)) is None:
                raise JoinFirst
            answer = await handler(session, message)
        except DomainError as error:
            await self.refuse(session, message.id, error)
            return
        answer.reply_to = message.id
        await self._log.append(session.meeting, [Event(answer, f"session:{session.id}")])

    async def refuse(self, session: Session, reply_to: str, error: DomainError) -> None:
        """Tell a client that what it said was not done, and why."""
        _refusals.labels(error.reason).inc()
        refused = signaling_pb2.Refused(status=to_status(error))
        message = ServerMessage(reply_to=reply_to, refused=refused)
        await self._log.append(session.meeting, [Event(message, f"session:{session.id}")])

    async def depart(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> None:
        """Take a participant out: its connection, the room, the meeting, the media node; then forget its session."""
        events = []
        if reason is not None:
            out = ServerMessage(disconnected=signaling_pb2.Disconnected(reason=reason))
            events.append(Event(out, f"session:{session.id}"))
        if await self._log.has_person(session.meeting, session.participant):
            left = signaling_pb2.ParticipantLeft(participant=session.participant)
            for track_id in await self._log.tracks_of(session.meeting, session.participant):
                gone = signaling_pb2.TrackUnpublished(
                    track_id=track_id, participant=session.participant
                )
                events.append(Event(ServerMessage(track_unpublished=gone)))
            events.append(Event(ServerMessage(participant_left=left)))
        if events:
            await self._log.append(session.meeting, events)
        for tell in (self._peers.left, self._peers.remove_peer):
            try:
                await tell(session.participant)
            except DomainError as error:
                if error.code not in ALREADY_GONE:
                    raise
        await self.sessions.forget(session.id, session.participant)

    async def sweep(self) -> None:
        """Say goodbye for those whose leases have run out, for ever; a failure leaves them to the next sweep."""
        while True:
            try:
                for identifier in await self.sessions.claim_run_out():
                    if (session := await self.sessions.find(identifier)) is None:
                        await self.sessions.forget(identifier)
                    else:
                        await self.depart(session, None)
            except Exception as error:  # noqa: BLE001  # whatever it was, the next sweep comes
                log.warning("sweep failed", error=type(error).__name__)
            await asyncio.sleep(1.0)

    async def drain(self) -> None:
        """Cut every connection so that its client resumes elsewhere."""
        self._draining = True
        for conversation in tuple(self._conversations):
            conversation.cut(Draining(retry_after=0.1))
        await asyncio.sleep(0.2)

    def forget(self, conversation: Conversation, subscription: Subscription) -> None:
        """A connection is gone."""
        self._conversations.discard(conversation)
        self._rooms.detach(subscription)

    async def _join(self, message: ClientMessage) -> tuple[Session, ServerMessage]:
        try:
            claims = self._trust.verify(message.join.ticket, TICKET_AUDIENCE, TICKET_ISSUER)
            session, token = new_session(claims)
        except (TokenInvalid, KeyError, TypeError):
            raise TicketInvalid from None
        await self._peers.connected(session.participant)
        older = await self.sessions.begin(session)
        events = []
        if older is not None:
            replaced = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_REPLACED)
            events.append(Event(ServerMessage(disconnected=replaced), f"session:{older.id}"))
            await self.sessions.forget(older.id)
        person = _participant(session)
        came = signaling_pb2.ParticipantJoined(participant=person)
        events.append(Event(ServerMessage(participant_joined=came)))
        snapshot = await self._log.append_and_read(session.meeting, events)
        people = [meeting_pb2.Participant.FromString(value) for value in snapshot.people]
        joined = signaling_pb2.Joined(
            session_token=token,
            participant=person,
            participants=sorted(people, key=lambda p: (p.join_time.ToNanoseconds(), p.name)),
            tracks=[signaling_pb2.Track.FromString(value) for value in snapshot.tracks],
            speakers=signaling_pb2.SpeakersChanged.FromString(snapshot.speakers).speakers,
            resume_window=Duration(seconds=int(self.sessions.resume_seconds)),
        )
        first = ServerMessage(sequence=snapshot.sequence, reply_to=message.id, joined=joined)
        first.time.GetCurrentTime()
        _openings.labels("join").inc()
        return session, first

    async def _resume(self, message: ClientMessage) -> tuple[Session, ServerMessage]:
        session = await self.sessions.open(message.resume.session_token)
        if not await self._log.covers(session.meeting, message.resume.cursor):
            _openings.labels("resume_too_late").inc()
            raise SessionExpired
        _openings.labels("resume").inc()
        resumed = signaling_pb2.Resumed()
        return session, ServerMessage(sequence=message.resume.cursor, resumed=resumed)

    async def _ping(self, _session: Session, _message: ClientMessage) -> ServerMessage:
        return ServerMessage(pong=signaling_pb2.Pong())

    async def _start_media(self, session: Session, _message: ClientMessage) -> ServerMessage:
        await self._peers.start_peer(session)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _publish_offer(self, session: Session, message: ClientMessage) -> ServerMessage:
        answer = await self._peers.publish(session.participant, message.publish_offer)
        return ServerMessage(publish_answer=answer)

    async def _subscribe_answer(self, session: Session, message: ClientMessage) -> ServerMessage:
        await self._peers.answer(session.participant, message.subscribe_answer)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _ice_candidate(self, _session: Session, _message: ClientMessage) -> ServerMessage:
        """Nothing to do: the media node is ICE-lite (RFC 8445 §2.5) and learns addresses from checks."""
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _set_track_muted(self, session: Session, message: ClientMessage) -> ServerMessage:
        wanted = message.set_track_muted
        await self._peers.set_track_muted(session.participant, wanted.track_id, muted=wanted.muted)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _restart_ice(self, session: Session, _message: ClientMessage) -> ServerMessage:
        await self._peers.restart_ice(session.participant)
        return ServerMessage(accepted=signaling_pb2.Accepted())


def _participant(session: Session) -> meeting_pb2.Participant:
    person = meeting_pb2.Participant(
        name=session.participant,
        user=session.user,
        display_name=session.display_name,
        role=ROLES.get(session.role, meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT),
        state=meeting_pb2.PARTICIPANT_STATE_CONNECTED,
    )
    person.join_time.GetCurrentTime()
    return person
