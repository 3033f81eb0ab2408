"""A room's figures, as the contract shows them."""

from __future__ import annotations

import time

from google.protobuf.duration_pb2 import Duration
from parley.media.v1 import media_pb2

from services.media import messages
from services.media.downlink import Downlink
from services.media.encoding import Encoding
from services.media.link import Link
from services.media.peer import Peer
from services.media.room import Room
from services.media.track import PublishedTrack


def room_stats(room: Room, node_id: str) -> media_pb2.RoomStats:
    """Show what the connections of a room carry, or of the part of it that is here."""
    stats = media_pb2.RoomStats(meeting=room.name, node=node_id)
    stats.create_time.FromDatetime(room.create_time)
    now = time.monotonic()
    stats.published_tracks.extend(_published(track, node_id, now) for track in room.own_tracks())
    stats.links.extend(_link(link, node_id) for link in room.links)
    for peer in room.peers.values():
        stats.peers.append(_peer(peer, node_id))
        stats.subscribed_tracks.extend(
            _subscribed(peer, track, downlink) for track, downlink in peer.subscriber.downlinks()
        )
    return stats


def _link(link: Link, node_id: str) -> media_pb2.LinkStats:
    encodings = [encoding for track in link.tracks for encoding in track.forwarder.encodings]
    return media_pb2.LinkStats(
        node=node_id,
        peer_node=link.node,
        tracks_in=len(link.tracks),
        tracks_out=link.tracks_out,
        packets_in=sum(each.stream.packets for each in encodings),
        packets_out=link.packets_out,
        packets_lost=sum(each.reception.lost for each in encodings),
        packets_recovered=sum(each.recovered for each in encodings),
    )


def _published(track: PublishedTrack, node_id: str, now: float) -> media_pb2.PublishedTrackStats:
    encodings = track.forwarder.encodings
    return media_pb2.PublishedTrackStats(
        track=messages.track(track),
        packets=sum(each.stream.packets for each in encodings),
        bytes=sum(each.stream.octets for each in encodings),
        packets_lost=sum(each.reception.lost for each in encodings),
        keyframe_requests=sum(each.keyframe_requests for each in encodings),
        codec=track.forwarder.codec.name,
        encodings=[_encoding(each, now) for each in encodings],
        node=node_id,
    )


def _encoding(encoding: Encoding, now: float) -> media_pb2.EncodingStats:
    reception = encoding.reception
    return media_pb2.EncodingStats(
        rid=encoding.rid,
        active=encoding.is_active(now),
        bitrate_bps=encoding.bitrate_bps,
        packets=encoding.stream.packets,
        packets_lost=reception.lost,
        packets_recovered=encoding.recovered,
        fraction_lost=reception.fraction_lost,
        jitter=_duration(reception.jitter_seconds),
        frames=encoding.stream.frames,
        height=encoding.height,
        keyframe_requests=encoding.keyframe_requests,
    )


def _subscribed(
    peer: Peer, track: PublishedTrack, downlink: Downlink
) -> media_pb2.SubscribedTrackStats:
    quota, report = peer.subscriber.quota, downlink.report
    stats = media_pb2.SubscribedTrackStats(
        track_id=track.id,
        participant=peer.participant,
        packets=downlink.lane.packets,
        bytes=downlink.lane.octets,
        packets_retransmitted=downlink.retransmitted,
        keyframe_requests=downlink.keyframe_requests,
        state=messages.DELIVERIES[quota.delivery(track.id)],
        layer_switches=downlink.switches,
        freezes=quota.starvations.get(track.id, 0),
    )
    if downlink.current is not None:
        stats.rid, stats.bitrate_bps = downlink.current.rid, downlink.current.bitrate_bps
    if report is not None:
        stats.fraction_lost, stats.packets_lost = report.fraction_lost, report.lost
        stats.jitter.CopyFrom(_duration(report.jitter / track.forwarder.codec.clock_rate))
    if downlink.rtt_seconds:
        stats.round_trip_time.CopyFrom(_duration(downlink.rtt_seconds))
    return stats


def _peer(peer: Peer, node_id: str) -> media_pb2.PeerStats:
    estimator = peer.subscriber.quota.estimator
    stats = media_pb2.PeerStats(
        participant=peer.participant,
        node=node_id,
        quality=messages.QUALITIES[peer.verdict.quality],
        estimate_bps=int(estimator.estimate_bps or 0),
        acknowledged_bps=int(estimator.acknowledged_bps),
        fraction_lost=estimator.losses.fraction,
    )
    if rtt := peer.subscriber.rtt_seconds:
        stats.round_trip_time.CopyFrom(_duration(rtt))
    return stats


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


__all__ = ["room_stats"]
