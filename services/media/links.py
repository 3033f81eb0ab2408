"""All links of a room: what is published here goes by each of them, what is published elsewhere comes by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.media.link import NONE, Link
from services.media.mood import Totals
from services.media.outlet import Outlet
from services.media.track import PublishedTrack

OVERLAP_SECONDS = 3.0
"""How long the track of who has moved is waited for where the old one still goes."""


class Links:
    """A room's links, by the other worker's node id. `speaking` is who was last said to speak here."""

    def __init__(self) -> None:
        self.speaking: list[str] = []
        self._links: dict[str, Link] = {}
        self._replaced: set[str] = set()
        self._newer: dict[str, float] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links.values()))

    def __bool__(self) -> bool:
        return bool(self._links)

    def attach(self, link: Link) -> None:
        """Have one more."""
        self._links[link.node] = link

    def detach(self, link: Link) -> None:
        """Have one less."""
        if self._links.get(link.node) is link:
            del self._links[link.node]

    def tracks(self) -> list[PublishedTrack]:
        """List what is published elsewhere."""
        return [track for link in self._links.values() for track in link.tracks]

    def publish(self, tracks: Sequence[PublishedTrack]) -> None:
        """Tracks are published here."""
        for link in self:
            for track in tracks:
                link.publish(track)

    def update(self, track: PublishedTrack) -> None:
        """A track that is published here was muted or unmuted."""
        for link in self:
            link.update(track)

    def unpublish(self, track: PublishedTrack) -> None:
        """A track that was published here is gone."""
        for link in self:
            link.unpublish(track)

    def send_data(self, label: str, message: bytes) -> None:
        """Pass on what somebody here has sent on a data channel."""
        for link in self:
            if link.is_met:
                link.send_data(label, message)

    def speak(self, participants: list[str]) -> None:
        """Tell who speaks here."""
        self.speaking = participants
        for link in self:
            if link.is_met:
                link.speak(participants)

    def share_mood(self, totals: Totals) -> None:
        """Tell what faces here show."""
        for link in self:
            if link.is_met:
                link.share_mood(totals)

    def watched(self, track_id: str) -> int:
        """Tell the highest rank of a track of this worker's that is watched elsewhere, -1 for none."""
        return max((link.watched(track_id) for link in self._links.values()), default=NONE)

    def want(self, track: PublishedTrack, rank: int) -> None:
        """Ask for a track that is published elsewhere up to a rank."""
        if (link := self._links.get(track.node)) is not None:
            link.want(track.id, rank)

    def tick(self, own: Sequence[PublishedTrack], now: float) -> None:
        """Do what is due; call some twenty times a second. `own` is what is published here."""
        for track in self.tracks():
            track.forwarder.tick(now)
        self.settle(own, now)

    def settle(self, own: Sequence[PublishedTrack], now: float) -> None:
        """Drop what comes of somebody who has moved, once their new place sends the same source and that has come through.

        Whoever moves sends from both places for a while; only one of the two must be heard. What was sent before, by the
        old place, may come a tick later.
        """
        latest: dict[tuple[str, str], PublishedTrack] = {}
        elsewhere = self.tracks()
        for track in (*own, *elsewhere):
            key = track.participant, track.source
            if any(each.stream.packets for each in track.forwarder.encodings) and (
                key not in latest or track.since > latest[key].since
            ):
                latest[key] = track
        before, self._replaced = self._replaced, set()
        since, self._newer = self._newer, {}
        for track in elsewhere:
            newest = latest.get((track.participant, track.source), track)
            if newest.node == track.node or newest.since <= track.since:
                continue
            came = self._newer[newest.id] = since.get(newest.id, now)
            if now - came > OVERLAP_SECONDS or _outlets(track) <= _outlets(newest):
                self._replaced.add(track.id)
        for track in elsewhere:
            if track.id in self._replaced & before:
                self._links[track.node].drop(track)

    def leave(self) -> None:
        """The room ends here."""
        for link in self:
            link.leave()


def _outlets(track: PublishedTrack) -> set[Outlet]:
    """Tell to whom a track goes: a picture does from its next keyframe on."""
    return {each.outlet for each in track.forwarder.downlinks if each.current is not None}


__all__ = ["Links"]
