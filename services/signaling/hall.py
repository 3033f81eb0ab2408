"""The hall: where conversations begin, and how a participant leaves.

Nothing here answers a client directly: every answer is appended to the room's log, and the client's connection, in
this process or another, delivers it from there. Only `joined` is told by the connection itself, since it is the
client's own `participant_joined` entry, seen from the inside: it has that entry's sequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import redis.exceptions
from google.protobuf.duration_pb2 import Duration
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import logs, telemetry
from chassis.auth import TokenInvalid, Trust
from chassis.calls import check
from chassis.clock import Clock
from chassis.errors import DomainError, to_status
from chassis.stopping import stop
from services.signaling.answers import Answers
from services.signaling.config import Config
from services.signaling.conversation import Conversation, Frames, new_connection
from services.signaling.domain import (
    ROLES,
    Draining,
    JoinFirst,
    RoomFull,
    Session,
    SessionExpired,
    TicketInvalid,
    TooManyConnections,
    meeting_of,
    new_session,
)
from services.signaling.log import Event, RoomLog, Snapshot
from services.signaling.peers import Peers
from services.signaling.rooms import Rooms
from services.signaling.sessions import Sessions

TICKET_AUDIENCE = "parley-signaling"
TICKET_ISSUER = "services/meeting"
FRESH = frozenset({"start_media", "send_reaction", "set_hand_raised", "update_notes"})
"""Messages that are done by what a participant may do now: a connection knows what held when it began."""
ALREADY_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
CUT_SECONDS = 5.0
"""How long a connection that was cut may take to say so to its client."""
SWEEP_SECONDS = 1.0
SWEPT_AT_ONCE = 32
DRAIN_SECONDS = 1.0

log = logs.get("signaling.hall")

_heard = telemetry.counter("signaling_messages_in", "Client messages, by kind.", ("kind",))
_refusals = telemetry.counter("signaling_refused", "Client messages refused.", ("reason",))
_openings = telemetry.counter("signaling_openings", "How conversations began.", ("how",))
_live = telemetry.gauge("signaling_connections", "Live connections.", ("transport",))


class Hall:
    """One per process; all it knows beyond its live conversations is in Redis."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        room_log: RoomLog,
        rooms: Rooms,
        peers: Peers,
        trust: Trust,
        clock: Clock,
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._log = room_log
        self._rooms = rooms
        self._peers = peers
        self._trust = trust
        self._clock = clock
        self._open = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._conversations: set[Conversation] = set()
        self._draining = False
        self._departures = asyncio.TaskGroup()
        self._answers = Answers(peers)

    @asynccontextmanager
    async def conversation(
        self, first: ClientMessage, frames: Frames | None, transport: str
    ) -> AsyncIterator[Conversation]:
        """Begin a conversation by its first message and hold it, listening to `frames`, while the block lasts.

        Raises JoinFirst, TicketInvalid, SessionExpired, RoomFull, TooManyConnections, Draining, or what the meeting
        service answers (MEETING_ENDED, PARTICIPANT_GONE). A reader who is stuck is cancelled CUT_SECONDS after the cut.
        """
        check(first)
        if self._draining:
            raise Draining
        if self._open >= self._config.max_connections:
            raise TooManyConnections(retry_after=1.0)
        self._open += 1
        self._empty.clear()
        _live.labels(transport).inc()
        try:
            async with (
                self._opened(first) as (conversation, connection),
                self._kept(conversation, connection, frames),
            ):
                yield conversation
        finally:
            self._open -= 1
            if not self._open:
                self._empty.set()
            _live.labels(transport).dec()

    async def take(self, token: str, message: ClientMessage) -> None:
        """Take a message that came by `Send`, of whichever process's client. Raises SessionExpired, RateLimited."""
        session = await self._sessions.open(token)
        await self._sessions.count_said(session)
        await self.hear(session, message)

    async def hear(self, session: Session, message: ClientMessage) -> None:
        """Do what a client says and append the answer, or the refusal, to the log."""
        kind = str(message.WhichOneof("message"))
        _heard.labels(kind).inc()
        try:
            check(message)
            if kind == "leave":
                await self.depart(session, signaling_pb2.DISCONNECT_REASON_LEFT)
                return
            if kind in ("join", "resume"):
                raise JoinFirst
            if kind in FRESH:
                session = await self._sessions.find(session.id) or session
            answer = await self._answers.answer(session, message)
        except DomainError as error:
            await self.refuse(session, message.id, error)
            return
        answer.reply_to = message.id
        await self.say(session, answer)

    async def say(self, session: Session, message: ServerMessage) -> None:
        """Append a message for one session."""
        await self._log.append(session.meeting, [Event(message, f"session:{session.id}")])

    async def refuse(self, session: Session, reply_to: str, error: DomainError) -> None:
        """Tell a client that what it said was not done, and why."""
        _refusals.labels(error.reason).inc()
        refused = signaling_pb2.Refused(status=to_status(error))
        await self.say(session, ServerMessage(reply_to=reply_to[:64], refused=refused))

    async def publish(self, meeting: str, events: list[Event]) -> int:
        """Append what other services say; a `disconnected` also takes its participant out.

        By a `participant_updated` its participant's session goes from now on.
        """
        for event in events:
            if event.message.HasField("participant_updated"):
                await self._allow(event.message.participant_updated.participant)
        sequence = await self._log.append(meeting, events)
        for event in events:
            if event.message.HasField("disconnected") and meeting_of(event.to) == meeting:
                session = await self._sessions.find_by_participant(event.to)
                if session is not None:
                    await self.depart(session, None)
        return sequence

    async def _allow(self, participant: meeting_pb2.Participant) -> None:
        session = await self._sessions.find_by_participant(participant.name)
        if session is not None:
            await self._sessions.change(session.allowed(participant))

    async def depart(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> None:
        """Take a participant out: its connection, the room, the meeting, the media node; then forget its session.

        It goes on when the caller is cancelled. What can't be done now is left to a later sweep.
        """
        departure = self._departures.create_task(self._depart(session, reason))
        await asyncio.shield(departure)

    async def run(self) -> None:
        """Say goodbye for those whose leases have run out, until cancelled."""
        async with self._departures:
            while True:
                try:
                    for session in await self._sessions.claim_run_out(SWEPT_AT_ONCE):
                        self._departures.create_task(self._depart(session, None))
                except (redis.exceptions.RedisError, OSError) as error:
                    log.warning("sweep failed", error=type(error).__name__)
                await asyncio.sleep(SWEEP_SECONDS)

    async def drain(self) -> None:
        """Cut every connection so that its client resumes elsewhere, and wait a little until it has been told."""
        self._draining = True
        for conversation in tuple(self._conversations):
            conversation.cut(Draining(retry_after=0.1))
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._empty.wait()
        except TimeoutError:
            log.warning("connections left at the end", count=self._open)

    @asynccontextmanager
    async def _opened(self, message: ClientMessage) -> AsyncIterator[tuple[Conversation, str]]:
        """Take the session for a new connection; release it at the end."""
        connection = new_connection()
        first: ServerMessage | None = None
        match message.WhichOneof("message"):
            case "join":
                session, first = await self._join(message)
                cursor = first.sequence
            case "resume":
                session = await self._resume(message)
                cursor = message.resume.cursor
            case _:
                raise JoinFirst
        subscription = await self._rooms.attach(
            session, connection, cursor, is_first=first is not None
        )
        try:
            await self._sessions.take(session, connection)
            if first is None:
                answer = ServerMessage(reply_to=message.id, resumed=signaling_pb2.Resumed())
                event = Event(answer, f"session:{session.id}/{connection}")
                await self._log.append(session.meeting, [event])
            yield Conversation(session, subscription, first, self, self._clock), connection
        finally:
            self._rooms.detach(subscription)
            try:
                await self._sessions.release(session, connection)
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("lease not released", error=type(error).__name__)

    @asynccontextmanager
    async def _kept(
        self, conversation: Conversation, connection: str, frames: Frames | None
    ) -> AsyncIterator[None]:
        """Run what runs beside a conversation."""
        loop, carrier = asyncio.get_running_loop(), asyncio.current_task()
        cutting: list[asyncio.TimerHandle] = []
        if carrier is not None:
            cancel = carrier.cancel
            conversation.on_cut = lambda: cutting.append(loop.call_later(CUT_SECONDS, cancel))
        age = self._config.max_connection_seconds
        beside = [asyncio.create_task(conversation.hold(self._sessions, connection, age))]
        if frames is not None:
            beside.append(asyncio.create_task(conversation.listen(frames)))
        self._conversations.add(conversation)
        try:
            yield
        finally:
            self._conversations.discard(conversation)
            conversation.on_cut = None
            for handle in cutting:
                handle.cancel()
            await stop(*beside)

    async def _join(self, message: ClientMessage) -> tuple[Session, ServerMessage]:
        try:
            claims = self._trust.verify(message.join.ticket, TICKET_AUDIENCE, TICKET_ISSUER)
            session, token = new_session(claims)
        except (TokenInvalid, KeyError, TypeError):
            raise TicketInvalid from None
        if await self._log.count_people(session.meeting) >= self._config.max_participants:
            raise RoomFull
        now = await self._peers.connected(session.participant)
        session = session.allowed(now) if now is not None else session
        events = []
        if (older := await self._sessions.begin(session)) is not None:
            replaced = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_REPLACED)
            events.append(Event(ServerMessage(disconnected=replaced), f"session:{older}"))
        person = _participant(session, now)
        came = signaling_pb2.ParticipantJoined(participant=person)
        events.append(Event(ServerMessage(participant_joined=came)))
        snapshot = await self._log.append_and_read(session.meeting, events)
        _openings.labels("join").inc()
        joined = self._joined(snapshot, person, token)
        first = ServerMessage(sequence=snapshot.sequence, reply_to=message.id, joined=joined)
        first.time.GetCurrentTime()
        return session, first

    def _joined(
        self, snapshot: Snapshot, person: meeting_pb2.Participant, token: str
    ) -> signaling_pb2.Joined:
        people = [meeting_pb2.Participant.FromString(value) for value in snapshot.people]
        here = {each.name for each in people}
        speakers = signaling_pb2.SpeakersChanged.FromString(snapshot.speakers).speakers
        return signaling_pb2.Joined(
            session_token=token,
            participant=person,
            participants=sorted(people, key=lambda p: (p.join_time.ToNanoseconds(), p.name)),
            tracks=[signaling_pb2.Track.FromString(value) for value in snapshot.tracks],
            speakers=[name for name in speakers if name in here],
            resume_window=Duration(seconds=int(self._sessions.resume_seconds)),
        )

    async def _resume(self, message: ClientMessage) -> Session:
        try:
            session = await self._sessions.open(message.resume.session_token)
            if not await self._log.covers(session.meeting, message.resume.cursor):
                raise SessionExpired
        except SessionExpired:
            _openings.labels("resume_too_late").inc()
            raise
        _openings.labels("resume").inc()
        return session

    async def _depart(
        self, session: Session, reason: signaling_pb2.DisconnectReason.ValueType | None
    ) -> None:
        """Depart; all of it can be repeated, until the session is forgotten."""
        try:
            if not await self._sessions.claim(session):
                return  # it is over, or the participant has joined again
            await self._log.append(session.meeting, await self._farewell(session, reason))
            told = [
                await self._tell(tell, session)
                for tell in (self._peers.left, self._peers.remove_peer)
            ]
            if all(told):
                await self._sessions.forget(session)
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("departure not finished", error=type(error).__name__)

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


def _participant(session: Session, now: meeting_pb2.Participant | None) -> meeting_pb2.Participant:
    if now is not None:
        return now
    person = meeting_pb2.Participant(
        name=session.participant,
        user=session.user,
        display_name=session.display_name,
        role=ROLES.get(session.role, meeting_pb2.PARTICIPANT_ROLE_PARTICIPANT),
        state=meeting_pb2.PARTICIPANT_STATE_CONNECTED,
    )
    person.join_time.GetCurrentTime()
    return person


__all__ = ["Hall"]
