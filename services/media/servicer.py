"""RoomService: a call is done here if the room lives here, else passed on to the worker that has it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
import redis.exceptions
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.signaling.v1 import signaling_pb2

from chassis.channels import relayed
from chassis.errors import DomainError, NotFound, Unavailable
from services.media import messages
from services.media.analysis import analysis
from services.media.domain import NodeFull, PeerNotFound, RoomFull, RoomNotFound
from services.media.old_paths import OldPaths
from services.media.peer import Grants
from services.media.peers import (
    FORWARDED_METADATA,
    OLD_PATH_METADATA,
    PART_METADATA,
    Workers,
)
from services.media.placement import Place, Placement
from services.media.publisher import Wanted
from services.media.quota import Want
from services.media.room import Room
from services.media.stats import room_stats
from services.media.worker import FULL_RETRY_SECONDS, Worker

F = TypeVar("F", bound=Callable[..., Any])
SOURCE_NAMES = {value: name for name, value in messages.SOURCES.items()}


def where_the_room_lives(method: F) -> F:
    """Pass a call on to the worker where its participant is, or to its room's home, unless that is this one, or nobody."""

    @wraps(method)
    async def serve(self: RoomServicer, request: Any, context: Any) -> Any:
        if _is_marked(context, OLD_PATH_METADATA):
            return self.end_on_old_path(request)
        if _is_marked(context, PART_METADATA):
            return await method(self, request, context)
        name = _room_name(request)
        if self.is_here(request, name):
            return await method(self, request, context)
        place = await self.find(request, name)
        if place is None or place.node.id == self.placement.node_id:
            if place is not None:
                self.worker.take_role(name, is_home=place.is_home)
                self.old_paths.note(name, place.old_addresses)
            return await method(self, request, context)
        if _is_marked(context, FORWARDED_METADATA):
            raise Unavailable(text="The room is moving: try again.", retry_after=0.5)
        stub = await self.workers.rooms(place.node.address)
        return await _passed_on(stub, method.__name__, request, FORWARDED_METADATA)

    return serve  # type: ignore[return-value]  # the same signature


def also_on_the_old_path(method: F) -> F:
    """Have what takes something away done also by the worker that the room comes from, while its paths are up."""

    @wraps(method)
    async def serve(self: RoomServicer, request: Any, context: Any) -> Any:
        if not (addresses := self.old_paths.addresses(_room_name(request))):
            return await method(self, request, context)
        answer: Any = None
        missing: DomainError | None = None
        try:
            answer = await method(self, request, context)
        except NotFound as error:
            missing = error
        for address in addresses:
            with contextlib.suppress(DomainError):  # it has gone already: so have its paths
                stub = await self.workers.rooms(address)
                done = await _passed_on(stub, method.__name__, request, OLD_PATH_METADATA)
                answer = done if answer is None else answer
        if answer is None and missing is not None:
            raise missing
        return answer

    return serve  # type: ignore[return-value]  # the same signature


class RoomServicer(media_pb2_grpc.RoomServiceServicer):
    """Participants' places on the media nodes."""

    def __init__(self, worker: Worker, placement: Placement, workers: Workers) -> None:
        self.worker = worker
        self.placement = placement
        self.workers = workers
        self.old_paths = OldPaths()

    def is_here(self, request: Any, name: str) -> bool:
        """Tell whether a call is for this worker, as far as it knows by itself."""
        room = self.worker.rooms.get(name)
        if room is None or self.worker.is_asleep:
            return False
        participant = getattr(request, "participant", "")
        return participant in room.peers if participant else self.worker.is_home(name)

    async def find(self, request: Any, name: str) -> Place | None:
        """Find where a call is to be done; whoever starts is given a place. Raises NodeFull, Unavailable."""
        if not isinstance(request, media_pb2.StartPeerRequest):
            return await self.placement.holder(name, getattr(request, "participant", ""))
        place = await self.placement.place(
            name, request.participant, self.worker.max_peers_per_room
        )
        if isinstance(place, Place):
            return place
        if place.able:
            raise NodeFull(retry_after=FULL_RETRY_SECONDS)
        raise Unavailable(text="No media node is ready: try again.")

    @where_the_room_lives
    async def StartPeer(
        self, request: media_pb2.StartPeerRequest, context: Any
    ) -> media_pb2.StartPeerResponse:
        """Make a participant's place in a room."""
        name = _room_name(request)
        await self.worker.admit(name, request.participant)
        room = self.worker.open_room(
            name,
            voice_activity=request.voice_activity,
            end_to_end_encrypted=request.end_to_end_encrypted,
        )
        try:
            room.start_peer(request.participant, _grants(request.grants))
        except RoomFull:  # others came while it was noted that they do
            await self.placement.dismiss(name, request.participant)
            raise await self.worker.turn_away(name, request.participant) from None
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
        published = room.publish(
            request.participant,
            request.offer.sdp,
            wanted,
            mutes_microphone=request.mutes_microphone,
        )
        tracks = [
            signaling_pb2.PublishedTrack(
                mid=track.mid, track_id=track.id, muted=track.forwarder.muted
            )
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
    @also_on_the_old_path
    async def SetTrackMuted(
        self, request: media_pb2.SetTrackMutedRequest, context: Any
    ) -> media_pb2.SetTrackMutedResponse:
        """Mute or unmute a track of the participant's own."""
        room = self._room(request.participant)
        room.set_muted(request.participant, request.track_id, muted=request.muted)
        return media_pb2.SetTrackMutedResponse()

    @where_the_room_lives
    @also_on_the_old_path
    async def MuteTracks(
        self, request: media_pb2.MuteTracksRequest, context: Any
    ) -> media_pb2.MuteTracksResponse:
        """Mute tracks of several participants, in all parts of the room. Whoever asks must know if one was not told."""
        count = _mute(self.worker.room(request.meeting), request)
        if not _is_marked(context, PART_METADATA):
            others = await self._at_other_parts("MuteTracks", request, is_needed=True)
            count += sum(each.muted_count for each in others)
        return media_pb2.MuteTracksResponse(muted_count=count)

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
    @also_on_the_old_path
    async def SetGrants(
        self, request: media_pb2.SetGrantsRequest, context: Any
    ) -> media_pb2.SetGrantsResponse:
        """Change what a participant may do; tracks that are no longer granted end at once."""
        room = self._room(request.participant)
        room.set_grants(request.participant, _grants(request.grants))
        return media_pb2.SetGrantsResponse()

    @where_the_room_lives
    async def SetAnalysis(
        self, request: media_pb2.SetAnalysisRequest, context: Any
    ) -> media_pb2.SetAnalysisResponse:
        """Change what is analysed in a room, in all parts of it. Whoever asks must know if one was not told."""
        self.worker.analyse(request.meeting, analysis(request))
        if not _is_marked(context, PART_METADATA):
            await self._at_other_parts("SetAnalysis", request, is_needed=True)
        return media_pb2.SetAnalysisResponse()

    @where_the_room_lives
    async def RestartIce(
        self, request: media_pb2.RestartIceRequest, context: Any
    ) -> media_pb2.RestartIceResponse:
        """Give the subscriber connection new ICE credentials."""
        self._room(request.participant).peer(request.participant).subscriber.restart_ice()
        return media_pb2.RestartIceResponse()

    @where_the_room_lives
    @also_on_the_old_path
    async def RemovePeer(
        self, request: media_pb2.RemovePeerRequest, context: Any
    ) -> media_pb2.RemovePeerResponse:
        """Take a participant out; a room ends when it is empty."""
        name = _room_name(request)
        if (room := self.worker.rooms.get(name)) is not None:
            room.remove_peer(request.participant)
            if not room.peers:
                await self.worker.close_room(name)
        await self.placement.dismiss(name, request.participant)
        return media_pb2.RemovePeerResponse()

    @where_the_room_lives
    @also_on_the_old_path
    async def CloseRoom(
        self, request: media_pb2.CloseRoomRequest, context: Any
    ) -> media_pb2.CloseRoomResponse:
        """End a room, all parts of it."""
        await self.worker.close_room(request.meeting)
        if not _is_marked(context, PART_METADATA):
            await self._at_other_parts("CloseRoom", request)
        return media_pb2.CloseRoomResponse()

    @where_the_room_lives
    async def GetRoomStats(
        self, request: media_pb2.GetRoomStatsRequest, context: Any
    ) -> media_pb2.RoomStats:
        """Tell what a room's connections carry."""
        if (room := self.worker.rooms.get(request.meeting)) is None:
            raise RoomNotFound(meeting=request.meeting)
        stats = room_stats(room, self.placement.node_id)
        if not _is_marked(context, PART_METADATA):
            for part in await self._at_other_parts("GetRoomStats", request):
                for rows in ("published_tracks", "subscribed_tracks", "peers", "links"):
                    getattr(stats, rows).extend(getattr(part, rows))
        return stats

    async def _at_other_parts(
        self, method: str, request: Any, *, is_needed: bool = False
    ) -> list[Any]:
        """Have a call done by all other workers that hold a part of its room.

        Who is gone, or not to be found, is passed over, unless all are needed. Raises Unavailable then.
        """
        answers: list[Any] = []
        try:
            others = await self.placement.others(request.meeting)
        except (redis.exceptions.RedisError, OSError):
            others, is_missing = [], True
        else:
            is_missing = False
        for node in others:
            try:
                stub = await self.workers.rooms(node.address)
                answers.append(await _passed_on(stub, method, request, PART_METADATA))
            except DomainError as error:
                is_missing = is_missing or error.code != grpc.StatusCode.NOT_FOUND
        if is_missing and is_needed:
            raise Unavailable(text="A part of the room could not be told: try again.")
        return answers

    def end_on_old_path(self, request: Any) -> Any:
        """Take something away from the paths that a room has left here. Raises TrackNotFound, PeerNotFound."""
        room = self.worker.leaving.get(_room_name(request))
        if room is None:
            raise PeerNotFound(meeting=_room_name(request))
        if isinstance(request, media_pb2.SetTrackMutedRequest):
            room.set_muted(request.participant, request.track_id, muted=request.muted)
            return media_pb2.SetTrackMutedResponse()
        if isinstance(request, media_pb2.MuteTracksRequest):
            return media_pb2.MuteTracksResponse(muted_count=_mute(room, request))
        if isinstance(request, media_pb2.SetGrantsRequest):
            room.set_grants(request.participant, _grants(request.grants))
            return media_pb2.SetGrantsResponse()
        if isinstance(request, media_pb2.RemovePeerRequest):
            room.remove_peer(request.participant)
            return media_pb2.RemovePeerResponse()
        room.close()
        return media_pb2.CloseRoomResponse()

    def _room(self, participant: str) -> Room:
        return self.worker.room("/".join(participant.split("/")[:2]))


def _room_name(request: Any) -> str:
    """Name the room that a call is for."""
    return getattr(request, "meeting", "") or "/".join(request.participant.split("/")[:2])


def _mute(room: Room, request: media_pb2.MuteTracksRequest) -> int:
    sources = {SOURCE_NAMES[source] for source in request.sources if source}
    return room.mute(request.participants, sources)


def _is_marked(context: Any, key: str) -> bool:
    return any(each == key for each, _ in context.invocation_metadata() or ())


async def _passed_on(stub: Any, method: str, request: Any, mark: str) -> Any:
    """Have another worker do a call. Raises what it answers."""
    try:
        return await getattr(stub, method)(request, metadata=((mark, "1"),))
    except grpc.aio.AioRpcError as error:
        raise relayed(error) from None


def _grants(grants: media_pb2.MediaGrants) -> Grants:
    return Grants(
        frozenset(SOURCE_NAMES[source] for source in grants.publish if source),
        grants.subscribe,
        grants.room_mood,
    )
