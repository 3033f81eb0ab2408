"""Rooms and peers of this worker: who publishes what, and to whom it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from services.media.data import data_message
from services.media.domain import PeerNotFound, RoomFull, TrackNotFound
from services.media.layers import LayersWanted
from services.media.links import Links
from services.media.listener import Listener
from services.media.peer import Grants, Peer
from services.media.port import Port
from services.media.publisher import Published, Publisher, Wanted
from services.media.quota import ALL, Delivery, Want
from services.media.speakers import Speakers
from services.media.subscriber import Offer, Subscriber
from services.media.track import PublishedTrack

PRESSURE_CAPS = ((0.9, 0), (0.7, 1))
"""From this pressure on, no layer above that rank."""
PRESSURE_LAST_N = 0.8
REVIEW_SECONDS = 1.0
TURN_SECONDS = 0.0005
"""How long media waits for other work, about, at the longest."""


@dataclass(eq=False)
class Room:
    """A room, or the part of it that is here; `name` is `meetings/{code}`, `links` go to the workers with the others.

    `pressure`, 0 to 1, is how hard the worker has it: the higher, the less goes. `last_n` cameras are forwarded at once,
    those of who spoke last. Screens, and what is pinned, always are.
    """

    name: str
    port: Port
    listener: Listener
    max_peers: int
    last_n: int
    pressure: float = 0.0
    peers: dict[str, Peer] = field(default_factory=dict)
    links: Links = field(default_factory=Links)
    create_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    _speakers: Speakers = field(default_factory=Speakers)
    _loud: list[str] = field(default_factory=list)
    _layers: dict[str, LayersWanted] = field(default_factory=dict)
    _reviewed_at: float = 0.0

    @property
    def is_full(self) -> bool:
        """Tell whether there are as many people as are to be here."""
        return len(self.peers) >= self.max_peers

    def start_peer(self, participant: str, grants: Grants) -> Peer:
        """Make a place; one that is there is made anew. Raises RoomFull."""
        self.remove_peer(participant)
        if self.is_full:
            raise RoomFull(limit=str(self.max_peers))
        sending, receiving = self.port.new_transport(), self.port.new_transport()

        def on_offer(offer: Offer) -> None:
            self.listener.offer(participant, offer)

        fanout = self.port.fanout
        publisher = Publisher(
            participant, grants.publish, sending, fanout, lambda: self.port.local(sending)
        )
        subscriber = Subscriber(receiving, fanout, lambda: self.port.local(receiving), on_offer)
        peer = self.peers[participant] = Peer(participant, grants, publisher, subscriber)
        subscriber.quota.on_more_desired = self.review_soon
        subscriber.quota.on_delivery = lambda *delivery: self._delivered(peer, *delivery)
        publisher.data.on_message = lambda label, data: self._relay(participant, label, data)
        subscriber.tick(time.monotonic())
        if grants.subscribe:
            subscriber.add(self._others(participant))
        return peer

    def publish(
        self,
        participant: str,
        sdp: str,
        wanted: Mapping[str, Wanted],
        *,
        mutes_microphone: bool = False,
    ) -> Published:
        """Answer a publisher's offer and pass its tracks on. Raises PeerNotFound, and what Publisher.negotiate does."""
        peer = self.peer(participant)
        published = peer.publisher.negotiate(sdp, wanted)
        for track in published.added:
            track.forwarder.muted |= mutes_microphone and track.source == "microphone"
        for track in published.removed:
            self._unpublish(track)
        for track in published.added:
            self.listener.published(track)
        for other in self.peers.values():
            if other is not peer and other.grants.subscribe:
                other.subscriber.add(published.added)
        self.links.publish(published.added)
        return published

    def set_muted(self, participant: str, track_id: str, *, muted: bool) -> None:
        """Mute or unmute a track. Raises PeerNotFound, TrackNotFound."""
        if (track := self.peer(participant).publisher.find(track_id)) is None:
            raise TrackNotFound(track=track_id)
        if track.forwarder.muted != muted:
            track.forwarder.muted = muted
            self.listener.updated(track)
            self.links.update(track)

    def mute(self, participants: Iterable[str], sources: Collection[str]) -> int:
        """Mute what people send of some sources; returns of how many something was not muted before."""
        count = 0
        for participant in participants:
            peer = self.peers.get(participant)
            tracks = peer.publisher.tracks.values() if peer else ()
            sent = [t for t in tracks if t.source in sources and not t.forwarder.muted]
            for track in sent:
                self.set_muted(participant, track.id, muted=True)
            count += bool(sent)
        return count

    def set_subscriptions(self, participant: str, wants: Mapping[str, Want]) -> None:
        """Say how a participant wants tracks, by their ids; one that is gone is passed over. Raises PeerNotFound."""
        quota = self.peer(participant).subscriber.quota
        known = {track.id for track in self.tracks()}
        for track_id, want in wants.items():
            if track_id in known:
                quota.want(track_id, want)

    def set_grants(self, participant: str, grants: Grants) -> None:
        """Change what a participant may do; what it may no more ends at once. Raises PeerNotFound."""
        peer = self.peer(participant)
        before, peer.grants = peer.grants, grants
        for track in peer.publisher.withdraw(grants.publish):
            self._unpublish(track)
        others = self._others(participant)
        if grants.subscribe and not before.subscribe:
            peer.subscriber.add(others)
        elif before.subscribe and not grants.subscribe:
            for track in others:
                peer.subscriber.remove(track)

    def remove_peer(self, participant: str) -> None:
        """Take a participant out, if it is there."""
        if (peer := self.peers.pop(participant, None)) is None:
            return
        for track in peer.publisher.tracks.values():
            self._unpublish(track)
        peer.subscriber.close()
        peer.publisher.data.close()
        self._speakers.forget(participant)
        for transport in (peer.publisher.transport, peer.subscriber.transport):
            self.port.forget(transport)

    def peer(self, participant: str) -> Peer:
        """Find a peer. Raises PeerNotFound."""
        if (peer := self.peers.get(participant)) is None:
            raise PeerNotFound(participant=participant)
        return peer

    def own_tracks(self) -> list[PublishedTrack]:
        """List everything that is published here."""
        return [track for peer in self.peers.values() for track in peer.publisher.tracks.values()]

    def tracks(self) -> list[PublishedTrack]:
        """List everything that is published, here and elsewhere."""
        return [*self.own_tracks(), *self.links.tracks()]

    def take(self, track: PublishedTrack) -> None:
        """Have a track that is published elsewhere."""
        for peer in self.peers.values():
            if peer.grants.subscribe and peer.participant != track.participant:
                peer.subscriber.add([track])

    def lose(self, track: PublishedTrack) -> None:
        """Have a track no more."""
        for peer in self.peers.values():
            peer.subscriber.remove(track)
            peer.starved.discard(track.id)
        self._layers.pop(track.id, None)

    def pass_on(self, label: str, message: bytes, sender: str = "") -> None:
        """Send a data channel's message to everybody here who has a channel of that label, but its sender."""
        for peer in self.peers.values():
            if peer.participant != sender:
                peer.publisher.data.send(label, message)

    def tick(self, now: float) -> None:
        """Do what is due; call some twenty times a second."""
        for _ in self.turns(now):
            pass

    def turns(self, now: float) -> Iterator[None]:
        """Do what is due, as `tick`, in small pieces: between two of them media may go by."""
        for peer in tuple(self.peers.values()):
            if self.peers.get(peer.participant) is not peer:  # it has left meanwhile
                continue
            peer.tick(now)
            yield
        if self.links:
            self.links.tick(self.own_tracks(), now)
        self._listen(now)
        if now - self._reviewed_at >= REVIEW_SECONDS:
            self._reviewed_at = now
            self._review(now)

    def close(self) -> None:
        """Take everyone out."""
        for participant in tuple(self.peers):
            self.remove_peer(participant)
        self.links.leave()

    def _others(self, participant: str) -> list[PublishedTrack]:
        return [track for track in self.tracks() if track.participant != participant]

    def _listen(self, now: float) -> None:
        """Find out who speaks, and have those heard who are to be: what nobody hears need not leave the fast path."""
        microphones = [track for track in self.tracks() if track.source == "microphone"]
        for track in microphones:
            is_heard = not track.node and self.listener.hears(track)
            if is_heard != (track.forwarder.on_audio is not None):
                track.forwarder.on_audio = partial(self.listener.audio, track) if is_heard else None
        if self.listener.is_looking:
            for track in self.own_tracks():
                self.listener.look(track, now)
        levels = {each.participant: each.forwarder.source_level(now) for each in microphones}
        self._speakers.update(levels, now)
        if (loud := self._speakers.speaking(now)) != self._loud:
            self._loud = loud
            self.listener.loud(loud)

    def review_soon(self) -> None:
        """Review at this tick's end: a layer that somebody waits for must not wait too."""
        self._reviewed_at = -REVIEW_SECONDS

    def _review(self, now: float) -> None:
        """Look at what need not be looked at so often: the last N, the layers that are watched, how good it is."""
        cap = next((rank for above, rank in PRESSURE_CAPS if self.pressure >= above), ALL)
        outside = self._outside_last_n()
        for peer in self.peers.values():
            peer.subscriber.quota.cap = cap
            peer.subscriber.quota.outside = outside
            if peer.verdict.update(peer.signs(now), now):
                self.listener.quality(peer.participant, peer.verdict.quality)
        self.listener.reviewed([p.participant for p in self.peers.values() if p.grants.mood], now)
        for track in self.tracks():
            is_layered = len(track.section.rids) > 1 or (track.node and track.kind == "video")
            if is_layered and track.forwarder.encodings:
                self._review_layers(track, now)

    def _outside_last_n(self) -> frozenset[str]:
        cameras = {t.participant: t.id for t in self.tracks() if t.source == "camera"}
        count = min(self.last_n, len(cameras))
        if self.pressure >= PRESSURE_LAST_N:
            count = max(1, count // 2)
        if len(cameras) <= count:
            return frozenset()
        inside = self._speakers.latest(cameras, count)
        return frozenset(track_id for who, track_id in cameras.items() if who not in inside)

    def _review_layers(self, track: PublishedTrack, now: float) -> None:
        watched = max(
            self.links.watched(track.id),
            0 if self.listener.sees(track) else -1,
            *(peer.subscriber.quota.desired.get(track.id, -1) for peer in self.peers.values()),
        )
        rids = track.section.rids
        count = max(1, len(rids))
        layers = self._layers.setdefault(track.id, LayersWanted(count))
        if not layers.update(min(watched, count - 1), now):
            return
        if track.node:
            self.links.want(track, layers.rank)
        else:
            self.listener.layers_wanted(track, rids[: layers.rank + 1])

    def _relay(self, participant: str, label: str, data: bytes | str) -> None:
        """Pass a data channel's message on to everybody else, here and elsewhere."""
        message = data_message(participant, data)
        self.pass_on(label, message, participant)
        self.links.send_data(label, message)

    def _delivered(self, peer: Peer, track: PublishedTrack, how: Delivery, rid: str) -> None:
        if how is Delivery.STARVED:
            peer.starved.add(track.id)
        else:
            peer.starved.discard(track.id)
        self.listener.delivered(peer.participant, track, how, rid)

    def _unpublish(self, track: PublishedTrack) -> None:
        self.lose(track)
        self.listener.unpublished(track)
        self.links.unpublish(track)


async def tick_all(rooms: Iterable[Room], now: float) -> None:
    """Have rooms do what is due, and let media go by all the while."""
    since = time.monotonic()
    for room in rooms:
        for _ in room.turns(now):
            if time.monotonic() - since > TURN_SECONDS:
                await asyncio.sleep(0)
                since = time.monotonic()


__all__ = ["Room", "tick_all"]
