"""The media service's figures for Prometheus, gathered once a second. Labels are bounded: kinds, layers, states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chassis import telemetry
from services.media.encoding import Encoding
from services.media.quality import Quality
from services.media.quota import Delivery
from services.media.room import Room

SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
BITRATES = (100e3, 300e3, 600e3, 1e6, 2e6, 4e6, 8e6, 16e6)

_encodings = telemetry.gauge(
    "media_encodings", "Encodings that are received, by kind and rank.", ("kind", "rank")
)
_bitrate = telemetry.gauge(
    "media_published_bits_per_second", "What is received, by kind and rank.", ("kind", "rank")
)
_downlinks = telemetry.gauge(
    "media_downlinks",
    "Tracks on their way to subscribers, by kind and delivery.",
    ("kind", "delivery"),
)
_quality = telemetry.gauge(
    "media_peers_by_quality", "Peers by how good their connections are.", ("quality",)
)
_loss = telemetry.histogram(
    "media_loss", "Share of packets lost by peer and second, by direction.", ("direction",), SHARES
)
_jitter = telemetry.histogram("media_jitter_seconds", "Jitter of what is received, by second.")
_rtt = telemetry.histogram("media_round_trip_seconds", "Round trips to subscribers, by second.")
_estimate = telemetry.histogram(
    "media_estimate_bits_per_second",
    "What subscribers' ways are estimated to carry, by second.",
    (),
    BITRATES,
)
_events = telemetry.counter(
    "media_events",
    "Keyframe requests, NACKs, packets sent again, switches, by kind of event.",
    ("event",),
)


class Figures:
    """Remembers what counters of rooms stood at, so that what they gain is counted once."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()

    def show(self, rooms: Iterable[Room], now: float) -> None:
        """Set the gauges to what the rooms are like now, and count what has happened since the last time."""
        for gauge in (_encodings, _bitrate, _downlinks, _quality):
            gauge.clear()
        happened: Counter[str] = Counter()
        for room in rooms:
            for track in room.own_tracks():
                for encoding in track.forwarder.encodings:
                    _show_encoding(track.kind, encoding, now, happened)
            _show_peers(room, now, happened)
        for event, count in happened.items():
            if (more := count - self._counted[event]) > 0:  # who has left takes its counts along
                _events.labels(event).inc(more)
        self._counted = happened


def _show_encoding(kind: str, encoding: Encoding, now: float, happened: Counter[str]) -> None:
    happened["keyframe_requested"] += encoding.keyframe_requests
    happened["nack_sent"] += encoding.nacks
    happened["packet_recovered"] += encoding.recovered
    if encoding.is_active(now):
        _encodings.labels(kind, encoding.rank).inc()
        _bitrate.labels(kind, encoding.rank).inc(encoding.bitrate_bps)
        _jitter.observe(encoding.reception.jitter_seconds)


def _show_peers(room: Room, now: float, happened: Counter[str]) -> None:
    for peer in room.peers.values():
        signs, quota = peer.signs(now), peer.subscriber.quota
        _quality.labels(Quality(peer.verdict.quality).name.lower()).inc()
        _loss.labels("up").observe(signs.loss_up)
        _loss.labels("down").observe(signs.loss_down)
        if signs.rtt_seconds:
            _rtt.observe(signs.rtt_seconds)
        if quota.estimator.estimate_bps is not None:
            _estimate.observe(quota.estimator.estimate_bps)
        happened["picture_starved"] += sum(quota.starvations.values())
        for track, downlink in peer.subscriber.downlinks():
            delivery = quota.delivery(track.id) if track.kind == "video" else Delivery.ACTIVE
            _downlinks.labels(track.kind, delivery.value).inc()
            happened["keyframe_asked_for"] += downlink.keyframe_requests
            happened["packet_sent_again"] += downlink.retransmitted
            happened["layer_switched"] += downlink.switches


__all__ = ["Figures"]
