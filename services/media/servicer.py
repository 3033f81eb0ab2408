"""RoomService: a call is done here if the room lives here, else passed on to the worker that has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis.channels import relayed
from chassis.errors import Unavailable
from services.media import messages
from services.media.domain import PeerNotFound, RoomNotFound
from services.media.peers import FORWARDED_METADATA, Workers
from services.media.placement import Placement
from services.media.publisher import Wanted
from services.media.quota import Want
from services.media.room import Grants, Room
from services.media.stats import room_stats
from services.media.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])
SOURCE_NAMES = {value: name for name, value in messages.SOURCES.items()}


def where_the_room_lives(method: F) -> F:
    """Pass a call on to the worker that holds its room, unless that is this one, or nobody."""

    @wraps(method)
    async def serve(self: RoomServicer, request: Any, context: Any) -> Any:
        name = getattr(request, "meeting", "") or "/".join(request.participant.split("/")[:2])
        if name in self.worker.rooms:
            return await method(self, request, context)
        placing = isinstance(request, media_pb2.StartPeerRequest)
        node = await (self.placement.place(name) if placing else self.placement.holder(name))
        if node is None or node.id == self.placement.node_id:
            return await method(self, request, context)
        if any(key == FORWARDED_METADATA for key, _ in context.invocation_metadata() or ()):
            raise Unavailable(text="The room is moving: try again.", retry_after=0.5)
        stub = await self.workers.stub(node.address)
        try:
            return await getattr(stub, method.__name__)(
                request, metadata=((FORWARDED_METADATA, self.placement.node_id),)
            )
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from None

    return serve  # type: ignore[return-value]  # the same signature


class RoomServicer(media_pb2_grpc.RoomServiceServicer):
    """Participants' places on the media nodes."""

    def __init__(self, worker: Worker, placement: Placement, workers: Workers) -> None:
        self.worker = worker
        self.placement = placement
        self.workers = workers

    @where_the_room_lives
    async def StartPeer(
        self, request: media_pb2.StartPeerRequest, context: Any
    ) -> media_pb2.StartPeerResponse:
        """Make a participant's place in a room."""
        name = "/".join(request.participant.split("/")[:2])
        if await self.placement.place(name) is None:
            raise Unavailable(text="No media node is ready: try again.")
        await self.placement.hold(name)
        room = self.worker.open_room(
            name,
            voice_activity=request.voice_activity,
            end_to_end_encrypted=request.end_to_end_encrypted,
        )
        room.start_peer(request.participant, _grants(request.grants))
        return media_pb2.StartPeerResponse()

    @where_the_room_lives
    async def Publish(
        self, request: media_pb2.PublishRequest, context: Any
    ) -> media_pb2.PublishResponse:
        """Answer an offer of the publisher connection."""
        wanted = {
            track.mid: Wanted(SOURCE_NAMES.get(track.source, ""), track.muted)
            for track in request.offer.tracks
        }
        room = self._room(request.participant)
        published = room.publish(request.participant, request.offer.sdp, wanted)
        tracks = [
            signaling_pb2.PublishedTrack(mid=track.mid, track_id=track.id)
            for track in room.peer(request.participant).publisher.tracks.values()
        ]
        answer = signaling_pb2.PublishAnswer(sdp=published.answer, tracks=tracks)
        return media_pb2.PublishResponse(answer=answer)

    @where_the_room_lives
    async def Answer(
        self, request: media_pb2.AnswerRequest, context: Any
    ) -> media_pb2.AnswerResponse:
        """Take the answer of the subscriber connection."""
        peer = self._room(request.participant).peer(request.participant)
        peer.subscriber.answer(request.answer.sdp, request.answer.revision)
        return media_pb2.AnswerResponse()

    @where_the_room_lives
    async def SetTrackMuted(
        self, request: media_pb2.SetTrackMutedRequest, context: Any
    ) -> media_pb2.SetTrackMutedResponse:
        """Mute or unmute a track of the participant's own."""
        room = self._room(request.participant)
        room.set_muted(request.participant, request.track_id, muted=request.muted)
        return media_pb2.SetTrackMutedResponse()

    @where_the_room_lives
    async def SetSubscriptions(
        self, request: media_pb2.SetSubscriptionsRequest, context: Any
    ) -> media_pb2.SetSubscriptionsResponse:
        """Say which tracks a participant wants, how large and how urgently."""
        wants = {
            each.track_id: Want(each.paused, each.width, each.height, each.priority)
            for each in request.subscriptions.subscriptions
        }
        self._room(request.participant).set_subscriptions(request.participant, wants)
        return media_pb2.SetSubscriptionsResponse()

    @where_the_room_lives
    async def SetGrants(
        self, request: media_pb2.SetGrantsRequest, context: Any
    ) -> media_pb2.SetGrantsResponse:
        """Change what a participant may do; tracks that are no longer granted end at once."""
        room = self._room(request.participant)
        room.set_grants(request.participant, _grants(request.grants))
        return media_pb2.SetGrantsResponse()

    @where_the_room_lives
    async def RestartIce(
        self, request: media_pb2.RestartIceRequest, context: Any
    ) -> media_pb2.RestartIceResponse:
        """Give the subscriber connection new ICE credentials."""
        self._room(request.participant).peer(request.participant).subscriber.restart_ice()
        return media_pb2.RestartIceResponse()

    @where_the_room_lives
    async def RemovePeer(
        self, request: media_pb2.RemovePeerRequest, context: Any
    ) -> media_pb2.RemovePeerResponse:
        """Take a participant out; a room ends when it is empty."""
        name = "/".join(request.participant.split("/")[:2])
        if (room := self.worker.rooms.get(name)) is not None:
            room.remove_peer(request.participant)
            if not room.peers:
                await self.worker.close_room(name)
        return media_pb2.RemovePeerResponse()

    @where_the_room_lives
    async def CloseRoom(
        self, request: media_pb2.CloseRoomRequest, context: Any
    ) -> media_pb2.CloseRoomResponse:
        """End a room."""
        await self.worker.close_room(request.meeting)
        return media_pb2.CloseRoomResponse()

    @where_the_room_lives
    async def GetRoomStats(
        self, request: media_pb2.GetRoomStatsRequest, context: Any
    ) -> media_pb2.RoomStats:
        """Tell what a room's connections carry."""
        if (room := self.worker.rooms.get(request.meeting)) is None:
            raise RoomNotFound(meeting=request.meeting)
        return room_stats(room, self.placement.node_id)

    def _room(self, participant: str) -> Room:
        name = "/".join(participant.split("/")[:2])
        if (room := self.worker.rooms.get(name)) is None:
            raise PeerNotFound(participant=participant)
        return room


def _grants(grants: media_pb2.MediaGrants) -> Grants:
    return Grants(
        frozenset(SOURCE_NAMES[source] for source in grants.publish if source), grants.subscribe
    )
