"""The hall: where conversations begin, and where what is said in them is done.

Nothing here answers a client directly: every answer is appended to the room's log, and the client's connection, in
this process or another, delivers it from there. Only `pong` and `joined` are told by the connection itself; `joined` is the
client's own `participant_joined` entry, seen from the inside: it has that entry's sequence. It also answers a `resume`
that can't be exact: after a loss, after too long, or when the room already believes the participant gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from google.protobuf.duration_pb2 import Duration
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis import logs, telemetry
from chassis.auth import TokenInvalid, Trust
from chassis.calls import check
from chassis.clock import Clock
from chassis.errors import DomainError, Unavailable, to_status
from chassis.stopping import stop
from services.signaling.answers import Answers
from services.signaling.config import Config
from services.signaling.conversation import REDIS_AWAY, Conversation, Frames, heard
from services.signaling.departures import Departures
from services.signaling.domain import (
    ROLES,
    Draining,
    JoinFirst,
    RoomFull,
    Session,
    SessionExpired,
    SimulationOff,
    TicketInvalid,
    TooManyConnections,
    meeting_of,
    new_session,
)
from services.signaling.gestures import Gestures
from services.signaling.keeper import Keeper
from services.signaling.log import Event, RoomLog, Snapshot
from services.signaling.peers import Peers
from services.signaling.rooms import Rooms
from services.signaling.sessions import Sessions, Taken
from services.signaling.simulation import Simulation

TICKET_AUDIENCE = "parley-signaling"
TICKET_ISSUER = "services/meeting"
FRESH = frozenset({"start_media", "send_reaction", "set_hand_raised", "update_notes"})
"""Messages that are done by what a participant may do now: a connection knows what held when it began."""
CUT_SECONDS = 5.0
VANISHED_CUT_SECONDS = 0.5
"""How long a connection that was cut may take to say so to its client; the second where nobody seems to be there."""
DRAIN_SECONDS = 1.0

log = logs.get("signaling.hall")

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
        self._draining = False
        self._keeper = Keeper(sessions, config.max_connection_seconds)
        self._departures = Departures(sessions, room_log, peers)
        self._answers = Answers(peers, Gestures(room_log, sessions), sessions)
        self._simulation = Simulation(sessions, room_log, peers) if config.simulate else None

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
                self._opened(first) as conversation,
                self._kept(conversation, frames),
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
        if message.HasField("ping"):
            await self._rooms.pass_ping(session, message)
        else:
            await self.hear(session, message)

    async def hear(self, session: Session, message: ClientMessage) -> None:
        """Do what a client says and append the answer, or the refusal, to the log."""
        kind = str(message.WhichOneof("message"))
        heard.labels(kind).inc()
        try:
            check(message)
            if kind == "leave":
                await self._departures.depart(session, signaling_pb2.DISCONNECT_REASON_LEFT)
                return
            if kind in ("join", "resume"):
                raise JoinFirst
            if kind == "simulate_scenario":
                await self._simulate(session, message)
                return
            if kind in FRESH:
                session = await self._sessions.find(session.id) or session
            answer = await self._answers.answer(session, message)
        except DomainError as error:
            await self.refuse(session, message.id, error)
            return
        answer.reply_to = message.id
        await self.say(session, answer)

    async def say(self, session: Session, message: ServerMessage, connection: str = "") -> None:
        """Append a message for one session, or one connection of it."""
        to = f"session:{session.id}/{connection}" if connection else f"session:{session.id}"
        await self._log.append(session.meeting, [Event(message, to)])

    async def refuse(self, session: Session, reply_to: str, error: DomainError) -> None:
        """Tell a client that what it said was not done, and why."""
        _refusals.labels(error.reason).inc()
        refused = signaling_pb2.Refused(status=to_status(error))
        await self.say(session, ServerMessage(reply_to=reply_to[:64], refused=refused))

    async def publish(self, meeting: str, events: list[Event], request_id: str) -> int:
        """Append what other services say, once for a request's id; a `disconnected` also takes its participant out.

        By a `participant_updated` its participant's session goes from now on.
        """
        for event in events:
            if event.message.HasField("participant_updated"):
                await self._allow(event.message.participant_updated.participant)
        sequence = await self._log.append(meeting, events, request_id)
        for event in events:
            if event.message.HasField("disconnected") and meeting_of(event.to) == meeting:
                session = await self._sessions.find_by_participant(event.to)
                if session is not None:
                    await self._departures.depart(session, None)
        return sequence

    def work(self) -> tuple[Coroutine[None, None, None], ...]:
        """Give what has to run beside it, each until cancelled: keeping who is here, and saying goodbye for who is not."""
        return self._keeper.run(), self._departures.run()

    async def _allow(self, participant: meeting_pb2.Participant) -> None:
        session = await self._sessions.find_by_participant(participant.name)
        if session is not None:
            await self._sessions.change(session.allowed(participant))

    async def drain(self) -> None:
        """Cut every connection so that its client resumes elsewhere, and wait a little until it has been told."""
        self._draining = True
        self._keeper.send_all_on()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._empty.wait()
        except TimeoutError:
            log.warning("connections left at the end", count=self._open)

    @asynccontextmanager
    async def _opened(self, message: ClientMessage) -> AsyncIterator[Conversation]:
        """Take the session for a new connection; release it at the end."""
        first: ServerMessage | None = None
        match message.WhichOneof("message"):
            case "join":
                session, first = await self._join(message)
                _, connection = await self._take(session)
            case "resume":
                session, connection, first = await self._resume(message)
            case _:
                raise JoinFirst
        has_vanished = False
        try:
            cursor = message.resume.cursor if first is None else first.sequence
            subscription = await self._rooms.attach(session, connection, cursor)
            try:
                if first is None:
                    resumed = signaling_pb2.Resumed()
                    answer = ServerMessage(reply_to=message.id, resumed=resumed)
                    await self.say(session, answer, connection)
                conversation = Conversation(
                    session, connection, subscription, first, self, self._clock
                )
                try:
                    yield conversation
                finally:
                    has_vanished = conversation.has_vanished
            finally:
                self._rooms.detach(subscription)
        finally:
            try:
                await self._sessions.release(session, connection, has_vanished=has_vanished)
            except REDIS_AWAY as error:
                log.warning("lease not released", error=type(error).__name__)

    @asynccontextmanager
    async def _kept(self, conversation: Conversation, frames: Frames | None) -> AsyncIterator[None]:
        """Keep a conversation, and listen to it."""
        loop, carrier = asyncio.get_running_loop(), asyncio.current_task()
        cutting: list[asyncio.TimerHandle] = []
        if carrier is not None:
            cancel = carrier.cancel

            def cut_soon() -> None:
                seconds = VANISHED_CUT_SECONDS if conversation.has_vanished else CUT_SECONDS
                cutting.append(loop.call_later(seconds, cancel))

            conversation.on_cut = cut_soon
        listening = [] if frames is None else [asyncio.create_task(conversation.listen(frames))]
        self._keeper.add(conversation)
        try:
            yield
        finally:
            self._keeper.discard(conversation)
            conversation.on_cut = None
            for handle in cutting:
                handle.cancel()
            await stop(*listening)

    async def _take(self, session: Session) -> tuple[Taken, str]:
        """Take a session. Raises SessionExpired when it is over, Unavailable while the room is told that it is away."""
        taken, connection = await self._sessions.take(session)
        if taken is Taken.OVER:
            raise SessionExpired
        if taken is Taken.GOING:
            raise Unavailable(retry_after=0.5)
        return taken, connection

    async def _simulate(self, session: Session, message: ClientMessage) -> None:
        if self._simulation is None:
            raise SimulationOff
        answer = ServerMessage(reply_to=message.id, accepted=signaling_pb2.Accepted())
        await self._simulation.make(session, message.simulate_scenario.scenario, answer)

    async def _join(self, message: ClientMessage) -> tuple[Session, ServerMessage]:
        try:
            claims = self._trust.verify(message.join.ticket, TICKET_AUDIENCE, TICKET_ISSUER)
            session, token = new_session(claims)
        except (TokenInvalid, KeyError, TypeError):
            raise TicketInvalid from None
        if await self._log.count_people(session.meeting) >= self._config.max_participants:
            raise RoomFull
        now, elsewhere = await self._peers.connected(session.participant)
        session = session.allowed(now) if now is not None else session
        events = []
        if (older := await self._sessions.begin(session)) is not None:
            replaced = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_REPLACED)
            events.append(Event(ServerMessage(disconnected=replaced), f"session:{older}"))
        _openings.labels("join").inc()
        joined = await self._entered(session, now, token, message.id, events)
        await self._send_on(session, elsewhere)
        return session, joined

    async def _resume(self, message: ClientMessage) -> tuple[Session, str, ServerMessage | None]:
        """Take up a session; gives `joined` where all has to be built anew. Raises SessionExpired."""
        resume = message.resume
        try:
            session = await self._sessions.open(resume.session_token)
            taken, connection = await self._take(session)
        except SessionExpired:
            _openings.labels("resume_too_late").inc()
            raise
        if taken is Taken.HELD and await self._log.covers(session.meeting, resume.cursor):
            _openings.labels("resume").inc()
            return session, connection, None
        now, elsewhere = await self._peers.connected(session.participant)
        if now is not None:
            session = session.allowed(now)
            await self._sessions.change(session)
        took = ServerMessage(reply_to=message.id, resumed=signaling_pb2.Resumed())
        taking = [Event(took, f"session:{session.id}/{connection}")]
        joined = await self._entered(session, now, resume.session_token, message.id, taking)
        await self._send_on(session, elsewhere)
        await self._sessions.say_back(session)
        _openings.labels("resume_anew").inc()
        return session, connection, joined

    async def _send_on(self, session: Session, meeting: str) -> None:
        """Tell who belongs in another meeting, `meetings/{code}`, to go there."""
        if meeting:
            moved = signaling_pb2.Moved(meeting=meeting)
            await self.say(session, ServerMessage(moved=moved))

    async def _entered(
        self,
        session: Session,
        now: meeting_pb2.Participant | None,
        token: str,
        reply_to: str,
        before: list[Event],
    ) -> ServerMessage:
        """Tell the room that a participant is here, as it is `now`; gives what the participant is told of the room."""
        person = _participant(session, now)
        came = signaling_pb2.ParticipantJoined(participant=person)
        events = [*before, Event(ServerMessage(participant_joined=came))]
        snapshot = await self._log.append_and_read(session.meeting, events)
        joined = self._joined(snapshot, person, token)
        first = ServerMessage(sequence=snapshot.sequence, reply_to=reply_to, joined=joined)
        first.time.GetCurrentTime()
        return first

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
            hands=[name.decode() for name in snapshot.hands],
        )


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
