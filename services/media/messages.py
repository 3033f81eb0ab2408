"""What clients are told of media, as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from parley.ai.v1.ai_pb2 import Face, SpeechHypothesis
from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.media.mood import Totals
from services.media.quality import Quality
from services.media.quota import Delivery
from services.media.subscriber import Offer
from services.media.track import PublishedTrack

KINDS = {"audio": signaling_pb2.TRACK_KIND_AUDIO, "video": signaling_pb2.TRACK_KIND_VIDEO}
SOURCES = {
    "microphone": signaling_pb2.TRACK_SOURCE_MICROPHONE,
    "camera": signaling_pb2.TRACK_SOURCE_CAMERA,
    "screen": signaling_pb2.TRACK_SOURCE_SCREEN,
    "screen_audio": signaling_pb2.TRACK_SOURCE_SCREEN_AUDIO,
}
DELIVERIES = {
    Delivery.ACTIVE: signaling_pb2.SUBSCRIPTION_STATE_ACTIVE,
    Delivery.PAUSED: signaling_pb2.SUBSCRIPTION_STATE_PAUSED,
    Delivery.STARVED: signaling_pb2.SUBSCRIPTION_STATE_STARVED,
    Delivery.OUTSIDE_LAST_N: signaling_pb2.SUBSCRIPTION_STATE_OUTSIDE_LAST_N,
}
QUALITIES = {
    Quality.LOST: signaling_pb2.CONNECTION_QUALITY_LOST,
    Quality.POOR: signaling_pb2.CONNECTION_QUALITY_POOR,
    Quality.GOOD: signaling_pb2.CONNECTION_QUALITY_GOOD,
    Quality.EXCELLENT: signaling_pb2.CONNECTION_QUALITY_EXCELLENT,
}


def track(published: PublishedTrack) -> signaling_pb2.Track:
    """Show a track."""
    return signaling_pb2.Track(
        id=published.id,
        participant=published.participant,
        kind=KINDS[published.kind],
        source=SOURCES[published.source],
        muted=published.forwarder.muted,
    )


def subscribe_offer(offer: Offer) -> ServerMessage:
    """Carry a subscriber's offer."""
    tracks = [
        signaling_pb2.SubscribedTrack(mid=mid, track_id=track_id) for mid, track_id in offer.tracks
    ]
    message = signaling_pb2.SubscribeOffer(sdp=offer.sdp, revision=offer.revision, tracks=tracks)
    return ServerMessage(subscribe_offer=message)


def subscription_changed(track_id: str, how: Delivery, rid: str) -> ServerMessage:
    """Tell a subscriber how a track comes."""
    message = signaling_pb2.SubscriptionChanged(track_id=track_id, state=DELIVERIES[how], rid=rid)
    return ServerMessage(subscription_changed=message)


def layers_wanted(track_id: str, rids: list[str]) -> ServerMessage:
    """Tell a publisher which layers are watched."""
    return ServerMessage(layers_wanted=signaling_pb2.LayersWanted(track_id=track_id, rids=rids))


def quality_changed(participant: str, quality: Quality) -> ServerMessage:
    """Tell how good somebody's connection is."""
    message = signaling_pb2.QualityChanged(participant=participant, quality=QUALITIES[quality])
    return ServerMessage(quality_changed=message)


def caption(
    published: PublishedTrack,
    speech: SpeechHypothesis,
    translations: Mapping[str, str] | None = None,
) -> ServerMessage:
    """Tell what somebody says."""
    message = signaling_pb2.Caption(
        participant=published.participant,
        track_id=published.id,
        speech=speech,
        translations=translations,
    )
    return ServerMessage(caption=message)


def emotion_detected(face: Face) -> ServerMessage:
    """Tell somebody what their own face shows."""
    message = signaling_pb2.EmotionDetected(emotion=face.emotion, confidence=face.confidence)
    return ServerMessage(emotion_detected=message)


def room_mood(average: Totals) -> ServerMessage:
    """Tell what the faces in a room show, on average."""
    message = signaling_pb2.RoomMood(shares=average.scores, participant_count=average.people)
    return ServerMessage(room_mood=message)


def speakers_changed(speakers: list[str]) -> ServerMessage:
    """Tell who speaks."""
    return ServerMessage(speakers_changed=signaling_pb2.SpeakersChanged(speakers=speakers))
