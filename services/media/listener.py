"""What a room tells, to whoever listens."""

from __future__ import annotations

from collections.abc import Sequence

from services.media.mood import Totals
from services.media.quality import Quality
from services.media.quota import Delivery
from services.media.subscriber import Offer
from services.media.track import PublishedTrack


class Listener:
    """What a room tells: override what is of interest. Of tracks that come from other workers nothing is told."""

    def offer(self, participant: str, offer: Offer) -> None:
        """A subscriber's offer must reach its client."""

    def published(self, track: PublishedTrack) -> None:
        """A track is there."""

    def updated(self, track: PublishedTrack) -> None:
        """A track was muted or unmuted."""

    def unpublished(self, track: PublishedTrack) -> None:
        """A track is gone."""

    def hears(self, _track: PublishedTrack) -> bool:
        """Tell whether the sound of a microphone of this worker's is listened to, and `audio` wants its packets."""
        return False

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        """An Opus packet came, whole."""

    @property
    def is_looking(self) -> bool:
        """Tell whether any camera of this worker's is looked at."""
        return False

    def sees(self, _track: PublishedTrack) -> bool:
        """Tell whether a camera of this worker's is looked at, so that its smallest layer is to be sent."""
        return False

    def look(self, track: PublishedTrack, now: float) -> None:
        """It is time to look at a track of this worker's, if it is a camera that is looked at; some twenty times a second."""

    def reviewed(self, hosts: Sequence[str], now: float) -> None:
        """About a second has gone by; `hosts` are those here who are told what faces show."""

    def delivered(self, participant: str, track: PublishedTrack, how: Delivery, rid: str) -> None:
        """Whether a track comes to a participant, or which of its layers, is another now."""

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        """These layers of a track are watched; the others need not be sent."""

    def quality(self, participant: str, quality: Quality) -> None:
        """How good somebody's connection is has changed."""

    def loud(self, participants: list[str]) -> None:
        """Who speaks, by their audio levels, has changed."""

    def elsewhere(self, node: str, speakers: list[str]) -> None:
        """Who speaks at another worker, as that hears it, has changed."""

    def mood(self, node: str, totals: Totals) -> None:
        """The faces at another worker show this."""


__all__ = ["Listener"]
