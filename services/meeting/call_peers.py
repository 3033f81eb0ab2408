"""Signaling and media, as they are told of who may do what in a call. Each call is one attempt."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import grpc
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.meeting.v1 import meeting_pb2
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc

from chassis.channels import relayed
from services.meeting.domain import Meeting, Participant, ParticipantRole
from services.meeting.roles import granted
from services.meeting.shown import meeting_proto, participant_proto

TIMEOUT_SECONDS = 2.0
SOURCES = {
    "microphone": signaling_pb2.TRACK_SOURCE_MICROPHONE,
    "camera": signaling_pb2.TRACK_SOURCE_CAMERA,
    "screen": signaling_pb2.TRACK_SOURCE_SCREEN,
    "screen_audio": signaling_pb2.TRACK_SOURCE_SCREEN_AUDIO,
}
RUNNING = (ParticipantRole.HOST, ParticipantRole.COHOST)


class CallPeers:
    """Every method raises DomainError: the peer's own, or Unavailable."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._events = signaling_pb2_grpc.EventServiceStub(mesh)
        self._rooms = media_pb2_grpc.RoomServiceStub(mesh)

    async def people_changed(self, meeting: Meeting, people: Iterable[Participant]) -> None:
        """Tell a room of others' roles and grants, and those who were taken out that they are; signaling obeys both."""
        await self._publish(meeting, [_change(meeting, each) for each in people])

    async def meeting_updated(self, meeting: Meeting, count: int) -> None:
        """Tell a room that the meeting has changed."""
        shown = signaling_pb2.MeetingUpdated(meeting=meeting_proto(meeting, count, None))
        message = signaling_pb2.ServerMessage(meeting_updated=shown)
        await self._publish(meeting, [signaling_pb2.Event(message=message)])

    async def lobby_changed(
        self, meeting: Meeting, waiting: Iterable[Participant], hosts: Iterable[Participant]
    ) -> None:
        """Tell those who run the meeting who waits."""
        shown = [participant_proto(each, meeting) for each in waiting]
        message = signaling_pb2.ServerMessage(
            lobby_changed=signaling_pb2.LobbyChanged(waiting=shown)
        )
        await self._publish(
            meeting, [signaling_pb2.Event(participant=e.name, message=message) for e in hosts]
        )

    async def ask_to_unmute(
        self, meeting: Meeting, participant: str, requester: str, sources: Collection[str]
    ) -> None:
        """Ask somebody to unmute."""
        events = []
        for source in sources:
            asked = signaling_pb2.UnmuteRequested(requester=requester, source=SOURCES[source])
            message = signaling_pb2.ServerMessage(unmute_requested=asked)
            events.append(signaling_pb2.Event(participant=participant, message=message))
        await self._publish(meeting, events)

    async def set_grants(self, meeting: Meeting, participant: Participant) -> None:
        """Have media hold somebody to what they may do; who has no place there gets one with it."""
        grants = granted(participant, meeting)
        request = media_pb2.SetGrantsRequest(
            participant=participant.name,
            grants=media_pb2.MediaGrants(
                publish=[SOURCES[name] for name in grants.sources],
                subscribe=grants.subscribe,
                room_mood=participant.role in RUNNING,
            ),
        )
        try:
            await self._rooms.SetGrants(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise relayed(error) from error

    async def remove(self, participant: str) -> None:
        """Have media forward nothing more of somebody, and to them."""
        request = media_pb2.RemovePeerRequest(participant=participant)
        try:
            await self._rooms.RemovePeer(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def mute(
        self, meeting: Meeting, people: Iterable[Participant], sources: Iterable[str]
    ) -> int:
        """Mute what people send; returns of how many something was not muted before."""
        request = media_pb2.MuteTracksRequest(
            meeting=meeting.name,
            participants=[each.name for each in people],
            sources=[SOURCES[name] for name in sources],
        )
        try:
            return (await self._rooms.MuteTracks(request, timeout=TIMEOUT_SECONDS)).muted_count
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0
            raise relayed(error) from error

    async def _publish(self, meeting: Meeting, events: list[signaling_pb2.Event]) -> None:
        if not events:
            return
        request = signaling_pb2.PublishEventsRequest(meeting=meeting.name, events=events)
        try:
            await self._events.PublishEvents(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error


def _change(meeting: Meeting, participant: Participant) -> signaling_pb2.Event:
    if participant.is_removed:
        reason = signaling_pb2.DISCONNECT_REASON_REMOVED
        out = signaling_pb2.Disconnected(reason=reason)
        message = signaling_pb2.ServerMessage(disconnected=out)
        return signaling_pb2.Event(participant=participant.name, message=message)
    shown: meeting_pb2.Participant = participant_proto(participant, meeting)
    updated = signaling_pb2.ParticipantUpdated(participant=shown)
    return signaling_pb2.Event(message=signaling_pb2.ServerMessage(participant_updated=updated))


__all__ = ["CallPeers"]
