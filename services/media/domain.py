"""What the media service refuses. Pure."""

from __future__ import annotations

from chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)

MAX_TRACKS_PER_PEER = 8


class SdpInvalid(InvalidArgument):
    """The session description can't be read, or offers nothing that this server speaks (Opus; VP8 or H.264)."""

    reason = "SDP_INVALID"
    message = "The session description can't be used."


class PeerNotFound(NotFound):
    """The participant has no place on a media node. Send `start_media`, then offer again."""

    reason = "PEER_NOT_FOUND"
    message = "There is no such peer: start media first."


class TrackNotFound(NotFound):
    """The participant publishes no such track."""

    reason = "TRACK_NOT_FOUND"
    message = "There is no such track."


class RoomNotFound(NotFound):
    """No media node holds this room."""

    reason = "ROOM_NOT_FOUND"
    message = "No media node holds this room."


class NotGranted(PermissionDenied):
    """The join ticket does not let the participant publish this source."""

    reason = "NOT_GRANTED"
    message = "Your ticket does not allow this."


class TooManyTracks(ResourceExhausted):
    """A participant may publish eight tracks at once."""

    reason = "TOO_MANY_TRACKS"
    message = "Too many tracks."


class RoomFull(ResourceExhausted):
    """The room has as many people as all media nodes together take of one. Try again when somebody has left."""

    reason = "ROOM_FULL"
    message = "The room is full."


class NodeFull(ResourceExhausted):
    """All media nodes that could take the room, or more of it, are too busy. Try again after RetryInfo's delay."""

    reason = "NODE_FULL"
    message = "The media nodes are full: try again later."


class NodeNotFound(NotFound):
    """No media node of this name is alive."""

    reason = "NODE_NOT_FOUND"
    message = "There is no such media node."


class MeetingEncrypted(FailedPrecondition):
    """The meeting is encrypted end to end: the server can't hear or see it, so that this can't be had."""

    reason = "MEETING_ENCRYPTED"
    message = "The meeting is encrypted end to end: the server can't hear or see it."


class HelloMissing(InvalidArgument):
    """A media node that joins another begins with `hello`, as long as that is short of ten seconds."""

    reason = "HELLO_MISSING"
    message = "Say hello first."


class RelayExists(AlreadyExists):
    """The two media nodes are joined, or about to be: the one that was called calls as well, and goes first."""

    reason = "RELAY_EXISTS"
    message = "The other way round is on its way."


class LastNode(FailedPrecondition):
    """Nobody else could take the media node's rooms. Start another node first."""

    reason = "LAST_NODE"
    message = "There is no other media node that takes rooms."
