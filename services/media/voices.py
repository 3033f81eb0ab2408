"""What a room tells: its clients what happens in it, the ai service what is said."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from parley.signaling.v1 import signaling_pb2
from parley.signaling.v1.signaling_pb2 import ServerMessage

from services.media import messages
from services.media.analysis import Analysis
from services.media.announcer import Announcer
from services.media.attention import Attention, Senses
from services.media.domain import MeetingEncrypted
from services.media.listener import Listener
from services.media.mood import Totals
from services.media.quality import Quality
from services.media.quota import Delivery
from services.media.subscriber import Offer
from services.media.track import PublishedTrack


class Voices(Listener):
    """Tells a room's clients what happens in it, and the ai service what is said.

    A room that has moved to another worker tells of tracks that end alone (`retire`), one that was lost of nothing
    (`silence`). Of a room that is spread over workers each hears who speaks there, and the home tells of all of them.
    """

    def __init__(
        self,
        room: str,
        announcer: Announcer,
        senses: Senses,
    ) -> None:
        self.attention = Attention(room, senses, announcer, self._spoke)
        self.on_speaking: Callable[[list[str]], None] = lambda _speakers: None
        self._room = room
        self._announcer = announcer
        self._speaking: dict[str, str] = {}
        self._elsewhere: dict[str, list[str]] = {}
        self._is_home = True
        self._is_retired = False
        self._is_silent = False

    def encrypt(self) -> None:
        """The room is encrypted end to end: from here on nothing is analysed, and there is no way back."""
        if not self.attention.is_encrypted:
            self.attention.encrypt()
            self._speaking.clear()

    def follow(self, analysis: Analysis) -> None:
        """Analyse what the meeting service says. Raises MeetingEncrypted, and then nothing has changed."""
        if self.attention.is_encrypted and (analysis.captions or analysis.emotions):
            raise MeetingEncrypted(meeting=self._room)
        self.attention.follow(analysis)

    def lead(self, *, is_home: bool) -> None:
        """Speak for the whole room, or for those who are here alone."""
        if is_home and not self._is_home:
            self._is_home = True
            if self._speaking or any(self._elsewhere.values()):
                self._tell_speakers()
        self._is_home = is_home

    def elsewhere(self, node: str, speakers: list[str]) -> None:
        """Who speaks at another worker has changed."""
        if speakers != self._elsewhere.get(node, []):
            self._elsewhere[node] = speakers
            self._tell_speakers()

    def retire(self) -> None:
        """Leave the room to another worker's voice, but for the tracks that end here."""
        if self._speaking:
            self._speaking.clear()
            self._tell_speakers()
        self.attention.end(tells=not self._is_silent)
        self._is_retired = True

    def silence(self) -> None:
        """Tell nothing more."""
        self._speaking.clear()
        self._is_silent = True
        self.retire()

    def offer(self, participant: str, offer: Offer) -> None:
        """A subscriber's offer must reach its client."""
        self._tell(messages.subscribe_offer(offer), participant)

    def published(self, track: PublishedTrack) -> None:
        """A track is there."""
        message = signaling_pb2.TrackPublished(track=messages.track(track))
        self._tell(ServerMessage(track_published=message))

    def updated(self, track: PublishedTrack) -> None:
        """A track was muted or unmuted."""
        message = signaling_pb2.TrackUpdated(track=messages.track(track))
        self._tell(ServerMessage(track_updated=message))
        self.attention.changed(track)
        if track.forwarder.muted:
            self._hush(track)

    def unpublished(self, track: PublishedTrack) -> None:
        """A track is gone."""
        self.attention.forget(track)
        self._hush(track)
        message = signaling_pb2.TrackUnpublished(track_id=track.id, participant=track.participant)
        if not self._is_silent:
            self._announcer.tell(self._room, ServerMessage(track_unpublished=message))

    def hears(self, track: PublishedTrack) -> bool:
        """Tell whether a microphone is listened to."""
        return self.attention.hears(track)

    def audio(self, track: PublishedTrack, packet: bytes) -> None:
        """An Opus packet came."""
        self.attention.hear(track, packet)

    @property
    def is_looking(self) -> bool:
        """Tell whether any camera is looked at."""
        return self.attention.is_looking

    def sees(self, track: PublishedTrack) -> bool:
        """Tell whether a camera is looked at."""
        return self.attention.sees(track)

    def look(self, track: PublishedTrack, now: float) -> None:
        """Look at a camera, if that is wanted."""
        self.attention.see(track, now)

    def reviewed(self, hosts: Sequence[str], now: float) -> None:
        """A second has gone by; `hosts` are those here who are told the room's mood."""
        self.attention.tell_mood(hosts, now)

    def mood(self, node: str, totals: Totals) -> None:
        """Faces at another worker show this."""
        self.attention.take_mood(node, totals)

    def delivered(self, participant: str, track: PublishedTrack, how: Delivery, rid: str) -> None:
        """Whether a track comes to a participant, or which of its layers, is another now."""
        message = messages.subscription_changed(track.id, how, rid)
        self._tell(message, participant)

    def layers_wanted(self, track: PublishedTrack, rids: list[str]) -> None:
        """These layers of a track are watched; the others need not be sent."""
        message = messages.layers_wanted(track.id, rids)
        self._tell(message, track.participant)

    def quality(self, participant: str, quality: Quality) -> None:
        """How good somebody's connection is has changed."""
        self._tell(messages.quality_changed(participant, quality))

    def loud(self, participants: list[str]) -> None:
        """Who speaks, by their audio levels: all that can be known where sound is encrypted end to end."""
        is_told = self.attention.is_encrypted and self.attention.analysis.voice_activity
        if is_told and self._is_home:
            self._tell(messages.speakers_changed(participants))

    def _tell(self, message: ServerMessage, participant: str = "") -> None:
        if not self._is_retired:
            self._announcer.tell(self._room, message, participant)

    def _spoke(self, track: PublishedTrack, speaking: bool) -> None:  # as an Ear hears it
        if speaking and not track.forwarder.muted:
            self._speaking[track.id] = track.participant
            self._tell_speakers()
        elif not speaking:
            self._hush(track)

    def _hush(self, track: PublishedTrack) -> None:
        if self._speaking.pop(track.id, None) is not None:
            self._tell_speakers()

    def _tell_speakers(self) -> None:
        here = sorted(set(self._speaking.values()))
        self.on_speaking(here)
        if self._is_home:
            everywhere = sorted({*here, *itertools.chain(*self._elsewhere.values())})
            self._tell(messages.speakers_changed(everywhere))


__all__ = ["Voices"]
