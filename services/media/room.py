"""Rooms and peers of this worker: who publishes what, and to whom it goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.media.domain import PeerNotFound, RoomFull, TrackNotFound
from services.media.port import Port
from services.media.publisher import Published, PublishedTrack, Publisher, Wanted
from services.media.subscriber import Offer, Subscriber


@dataclass(frozen=True, slots=True)
class Grants:
    """What a participant may do: sources by name, and whether others may be received."""

    publish: frozenset[str]
    subscribe: bool


class Listener:
    """What a room tells: override what is of interest."""

    def offer(self, participant: str, offer: Offer) -> None:
        """A subscriber's offer must reach its client."""

    def published(self, track: PublishedTrack) -> None:
        """A track is there."""

    def updated(self, track: PublishedTrack) -> None:
        """A track was muted or unmuted."""

    def unpublished(self, track: PublishedTrack) -> None:
        """A track is gone."""

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        """An Opus packet came, whole."""


@dataclass(eq=False)
class Peer:
    """A participant's place: its two connections."""

    participant: str
    grants: Grants
    publisher: Publisher
    subscriber: Subscriber


@dataclass(eq=False)
class Room:
    """A room; `name` is `meetings/{code}`."""

    name: str
    port: Port
    listener: Listener
    max_peers: int
    peers: dict[str, Peer] = field(default_factory=dict)
    create_time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def start_peer(self, participant: str, grants: Grants) -> Peer:
        """Make a place; one that is there is made anew. Raises RoomFull."""
        self.remove_peer(participant)
        if len(self.peers) >= self.max_peers:
            raise RoomFull(limit=str(self.max_peers))
        sending, receiving = self.port.new_transport(), self.port.new_transport()

        def on_offer(offer: Offer) -> None:
            self.listener.offer(participant, offer)

        publisher = Publisher(
            participant, grants.publish, sending, lambda: self.port.local(sending)
        )
        publisher.on_audio = self.listener.audio
        subscriber = Subscriber(receiving, lambda: self.port.local(receiving), on_offer)
        peer = self.peers[participant] = Peer(participant, grants, publisher, subscriber)
        subscriber.tick(time.monotonic())
        if grants.subscribe:
            subscriber.add(self.tracks())
        return peer

    def publish(self, participant: str, sdp: str, wanted: Mapping[str, Wanted]) -> Published:
        """Answer a publisher's offer and pass its tracks on. Raises PeerNotFound, and what Publisher.negotiate does."""
        peer = self.peer(participant)
        published = peer.publisher.negotiate(sdp, wanted)
        for track in published.removed:
            self._unpublish(track)
        for track in published.added:
            self.listener.published(track)
        for other in self.peers.values():
            if other is not peer and other.grants.subscribe:
                other.subscriber.add(published.added)
        return published

    def set_muted(self, participant: str, track_id: str, *, muted: bool) -> None:
        """Mute or unmute a track. Raises PeerNotFound, TrackNotFound."""
        if (track := self.peer(participant).publisher.find(track_id)) is None:
            raise TrackNotFound(track=track_id)
        if track.forwarder.muted != muted:
            track.forwarder.muted = muted
            self.listener.updated(track)
            if not muted:
                track.forwarder.request_keyframe()

    def remove_peer(self, participant: str) -> None:
        """Take a participant out, if it is there."""
        if (peer := self.peers.pop(participant, None)) is None:
            return
        for track in peer.publisher.tracks.values():
            self._unpublish(track)
        peer.subscriber.close()
        for transport in (peer.publisher.transport, peer.subscriber.transport):
            self.port.forget(transport)

    def peer(self, participant: str) -> Peer:
        """Find a peer. Raises PeerNotFound."""
        if (peer := self.peers.get(participant)) is None:
            raise PeerNotFound(participant=participant)
        return peer

    def tracks(self) -> list[PublishedTrack]:
        """List everything that is published."""
        return [track for peer in self.peers.values() for track in peer.publisher.tracks.values()]

    def tick(self, now: float) -> None:
        """Do what is due; call some twenty times a second."""
        for peer in self.peers.values():
            peer.publisher.tick(now)
            peer.subscriber.tick(now)
            peer.publisher.transport.tick(now)
            peer.subscriber.transport.tick(now)

    def close(self) -> None:
        """Take everyone out."""
        for participant in tuple(self.peers):
            self.remove_peer(participant)

    def _unpublish(self, track: PublishedTrack) -> None:
        for other in self.peers.values():
            other.subscriber.remove(track)
        self.listener.unpublished(track)


__all__ = ["Grants", "Listener", "Peer", "Room"]
