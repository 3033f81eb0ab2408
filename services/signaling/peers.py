"""The other services, as signaling speaks to them: meeting (presence) and media (a client's connections)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import grpc
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.meeting.v1 import meeting_pb2, meeting_pb2_grpc, notes_pb2, notes_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis.channels import relayed
from services.signaling.domain import HOSTS, Session

T = TypeVar("T")

SOURCES = {
    "microphone": signaling_pb2.TRACK_SOURCE_MICROPHONE,
    "camera": signaling_pb2.TRACK_SOURCE_CAMERA,
    "screen": signaling_pb2.TRACK_SOURCE_SCREEN,
    "screen_audio": signaling_pb2.TRACK_SOURCE_SCREEN_AUDIO,
}


class Peers:
    """Every method raises DomainError: the peer's own, or Unavailable."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._presence = meeting_pb2_grpc.PresenceServiceStub(mesh)
        self._notes = notes_pb2_grpc.NotesServiceStub(mesh)
        self._rooms = media_pb2_grpc.RoomServiceStub(mesh)

    async def connected(self, participant: str) -> tuple[meeting_pb2.Participant | None, str]:
        """Tell the meeting that a participant is here; returns it as it is now, if the meeting service tells.

        With it comes `meetings/{code}` where they belong, if it is not here; else nothing.
        """
        answer = await self._report(participant, meeting_pb2.PARTICIPANT_STATE_CONNECTED)
        now = answer.participant if answer.HasField("participant") else None
        return now, answer.assigned_meeting

    async def left(self, participant: str) -> None:
        """Tell the meeting that a participant is gone."""
        await self._report(participant, meeting_pb2.PARTICIPANT_STATE_LEFT)

    async def _report(
        self, participant: str, state: meeting_pb2.ParticipantState.ValueType
    ) -> meeting_pb2.ReportPresenceResponse:
        request = meeting_pb2.ReportPresenceRequest(participant=participant, state=state)
        return await _answer(self._presence.ReportPresence(request))

    async def update_notes(self, participant: str, update: bytes) -> None:
        """Have a change of the shared notes merged and told to the room."""
        request = notes_pb2.ApplyNotesUpdateRequest(participant=participant, update=update)
        await _answer(self._notes.ApplyNotesUpdate(request))

    async def start_peer(self, session: Session) -> None:
        """Make the participant's place on the media node."""
        grants = media_pb2.MediaGrants(
            publish=[SOURCES[name] for name in session.publish if name in SOURCES],
            subscribe=session.subscribe,
            room_mood=session.role in HOSTS,
        )
        request = media_pb2.StartPeerRequest(
            participant=session.participant,
            grants=grants,
            voice_activity=session.voice_activity,
            end_to_end_encrypted=session.end_to_end_encrypted,
        )
        await _answer(self._rooms.StartPeer(request))

    async def publish(
        self, participant: str, offer: signaling_pb2.PublishOffer, *, mutes_microphone: bool
    ) -> signaling_pb2.PublishAnswer:
        """Have the publisher connection's offer answered."""
        request = media_pb2.PublishRequest(
            participant=participant, offer=offer, mutes_microphone=mutes_microphone
        )
        return (await _answer(self._rooms.Publish(request))).answer

    async def answer(self, participant: str, answer: signaling_pb2.SubscribeAnswer) -> None:
        """Pass on the subscriber connection's answer."""
        request = media_pb2.AnswerRequest(participant=participant, answer=answer)
        await _answer(self._rooms.Answer(request))

    async def set_track_muted(self, participant: str, track_id: str, *, muted: bool) -> None:
        """Mute or unmute a track."""
        request = media_pb2.SetTrackMutedRequest(
            participant=participant, track_id=track_id, muted=muted
        )
        await _answer(self._rooms.SetTrackMuted(request))

    async def set_subscriptions(
        self, participant: str, subscriptions: signaling_pb2.SetSubscriptions
    ) -> None:
        """Say which tracks are wanted, how large and how urgently."""
        request = media_pb2.SetSubscriptionsRequest(
            participant=participant, subscriptions=subscriptions
        )
        await _answer(self._rooms.SetSubscriptions(request))

    async def restart_ice(self, participant: str) -> None:
        """Have the subscriber connection offered with new ICE credentials."""
        request = media_pb2.RestartIceRequest(participant=participant)
        await _answer(self._rooms.RestartIce(request))

    async def remove_peer(self, participant: str) -> None:
        """Take the participant off the media node."""
        request = media_pb2.RemovePeerRequest(participant=participant)
        await _answer(self._rooms.RemovePeer(request))


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise relayed(error) from None
