"""What each client message does: a table from its kind to what asks the media node, and the answer to the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ClientMessage, ServerMessage

from chassis.errors import Unimplemented
from services.signaling.domain import Session
from services.signaling.gestures import Gestures
from services.signaling.peers import Peers
from services.signaling.sessions import Sessions

Handler = Callable[[Session, ClientMessage], Awaitable[ServerMessage]]


class Answers:
    """Answers what clients ask once they are in."""

    def __init__(self, peers: Peers, gestures: Gestures, sessions: Sessions) -> None:
        self._peers = peers
        self._sessions = sessions
        self._gestures = gestures
        self._handlers: dict[str, Handler] = {
            "start_media": self._start_media,
            "publish_offer": self._publish_offer,
            "subscribe_answer": self._subscribe_answer,
            "ice_candidate": self._ice_candidate,
            "set_track_muted": self._set_track_muted,
            "restart_ice": self._restart_ice,
            "set_subscriptions": self._set_subscriptions,
            "send_reaction": self._send_reaction,
            "set_hand_raised": self._set_hand_raised,
            "update_notes": self._update_notes,
        }

    async def answer(self, session: Session, message: ClientMessage) -> ServerMessage:
        """Do what a message asks. Raises Unimplemented, or what the media node answers."""
        kind = str(message.WhichOneof("message"))
        if (handler := self._handlers.get(kind)) is None:
            raise Unimplemented(text=f"This server does not know what to do with {kind}.")
        return await handler(session, message)

    async def _start_media(self, session: Session, _message: ClientMessage) -> ServerMessage:
        await self._peers.start_peer(session)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _publish_offer(self, session: Session, message: ClientMessage) -> ServerMessage:
        mutes = session.begins_muted and not await self._sessions.has_published(session)
        answer = await self._peers.publish(
            session.participant, message.publish_offer, mutes_microphone=mutes
        )
        if mutes:
            await self._sessions.note_published(session)
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

    async def _set_subscriptions(self, session: Session, message: ClientMessage) -> ServerMessage:
        await self._peers.set_subscriptions(session.participant, message.set_subscriptions)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _send_reaction(self, session: Session, message: ClientMessage) -> ServerMessage:
        await self._gestures.react(session, message.send_reaction.emoji)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _set_hand_raised(self, session: Session, message: ClientMessage) -> ServerMessage:
        wanted = message.set_hand_raised
        await self._gestures.set_hand(session, wanted.participant, raised=wanted.raised)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _update_notes(self, session: Session, message: ClientMessage) -> ServerMessage:
        await self._peers.update_notes(session.participant, message.update_notes.update)
        return ServerMessage(accepted=signaling_pb2.Accepted())

    async def _restart_ice(self, session: Session, _message: ClientMessage) -> ServerMessage:
        await self._peers.restart_ice(session.participant)
        return ServerMessage(accepted=signaling_pb2.Accepted())


__all__ = ["Answers"]
