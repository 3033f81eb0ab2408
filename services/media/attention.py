"""What machines attend to in a room: whose speech is recognised, whose face is read, and what is told of that.

What is wanted no more ends at once, and what was on its way is told no more. In a room that is encrypted end to end
nothing is attended to, for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.ai.v1.ai_pb2 import FaceExpressions

from chassis import telemetry
from services.media import messages
from services.media.analysis import Analysis
from services.media.announcer import Announcer
from services.media.gaze import Gaze
from services.media.mood import Mood, Totals
from services.media.scribe import Scribe, segment
from services.media.tap import NOTHING, Hypothesis, Tap, Wanted
from services.media.track import PublishedTrack
from services.media.translator import Translator

MOOD_SECONDS = 5.0

_captions = telemetry.counter("media_captions", "Captions told, by what they are.", ("kind",))
_unsaid = telemetry.counter(
    "media_captions_unsaid", "Captions that were not final, and not told since signaling is behind."
)
_latency = telemetry.histogram(
    "media_caption_seconds", "From the end of what was said to its final caption."
)


@dataclass(frozen=True, slots=True)
class Senses:
    """What all rooms of a worker hear and see with."""

    ai: ai_pb2_grpc.AiServiceAsyncStub
    hearing: Executor
    seeing: Executor
    scribe: Scribe
    translator: Translator
    finishing: set[Tap] = field(default_factory=set)
    """Taps that get no more sound, and still tell what was said."""


@dataclass(slots=True, eq=False)
class _Heard:
    """A microphone that is listened to; an Ear."""

    track: PublishedTrack
    on_speaking: Callable[[PublishedTrack, bool], None]
    on_caption: Callable[[PublishedTrack, Hypothesis], None]

    def spoke(self, *, speaking: bool) -> None:
        self.on_speaking(self.track, speaking)

    def said(self, hypothesis: Hypothesis) -> None:
        self.on_caption(self.track, hypothesis)


class Attention:
    """A room's, or of the part of it that is here. `on_speaking` hears who begins and ends to speak, `on_mood` what faces show."""

    def __init__(
        self,
        room: str,
        senses: Senses,
        announcer: Announcer,
        on_speaking: Callable[[PublishedTrack, bool], None],
    ) -> None:
        self.on_mood: Callable[[Totals], None] = lambda _totals: None
        self.is_encrypted = False
        self._room = room
        self._senses = senses
        self._announcer = announcer
        self._on_speaking = on_speaking
        self._told: Analysis | None = None
        self._by_ticket = Analysis()
        self._is_over = False
        self._taps: dict[str, tuple[PublishedTrack, Tap]] = {}
        self._leaving: set[Tap] = set()
        self._gazes: dict[str, tuple[PublishedTrack, Gaze]] = {}
        self._mood = Mood()
        self._mood_at = 0.0

    @property
    def analysis(self) -> Analysis:
        """What is to be analysed: as the meeting service has said, and before it has, as join tickets do."""
        return self._told or self._by_ticket

    def go_by_ticket(self, *, voice_activity: bool) -> None:
        """Take what a join ticket says, for as long as nothing better is known."""
        self._by_ticket = Analysis(voice_activity=voice_activity)
        self._refresh()

    def follow(self, analysis: Analysis) -> None:
        """Take what the meeting service says, unless something newer is known."""
        if self._told is None or analysis.revision >= self._told.revision:
            self._told = analysis
            self._refresh()

    def encrypt(self) -> None:
        """Attend to nothing from here on; there is no way back."""
        self.is_encrypted = True
        self._let_go()

    def end(self, *, tells: bool) -> None:
        """Attend to nothing any more, since the room is another worker's; tell what was being said, or not that either."""
        self._is_over = True
        if tells:
            for _, tap in self._taps.values():
                self._finish(tap)
            self._taps.clear()
            self._leaving.clear()
        self._let_go()

    def hears(self, track: PublishedTrack) -> bool:
        """Tell whether a microphone is listened to."""
        analysis = self.analysis
        is_wanted = analysis.voice_activity or track.participant in analysis.captions
        is_deaf = self.is_encrypted or self._is_over or track.forwarder.muted
        return is_wanted and not is_deaf

    def hear(self, track: PublishedTrack, packet: bytes) -> None:
        """An Opus packet came."""
        if not self.hears(track):
            return
        if (known := self._taps.get(track.id)) is None:
            known = self._taps[track.id] = track, self._tap(track)
        known[1].feed(packet)

    @property
    def is_looking(self) -> bool:
        """Tell whether anybody is looked at."""
        return bool(self.analysis.emotions) and not self.is_encrypted and not self._is_over

    def sees(self, track: PublishedTrack) -> bool:
        """Tell whether a camera is looked at."""
        is_camera = track.source == "camera" and not track.node
        return is_camera and self.is_looking and track.participant in self.analysis.emotions

    def see(self, track: PublishedTrack, now: float) -> None:
        """Look at a camera, if that is wanted; call some twenty times a second."""
        if not self.sees(track):
            return
        if (known := self._gazes.get(track.id)) is None:
            gaze = Gaze(
                self._senses.ai,
                self._senses.seeing,
                track,
                lambda shown: self._looked(track, shown),
            )
            known = self._gazes[track.id] = track, gaze
        known[1].tick(now)

    def changed(self, track: PublishedTrack) -> None:
        """A track was muted or unmuted. What was being said before is still told: no more comes of it, see `hears`."""
        if track.id in self._gazes and track.forwarder.muted:
            self._mood.forget(track.participant)

    def forget(self, track: PublishedTrack) -> None:
        """A track is gone. What was being said is still told, if that is soon."""
        if (heard := self._taps.pop(track.id, None)) is not None:
            self._finish(heard[1])
        if (seen := self._gazes.pop(track.id, None)) is not None:
            seen[1].close()
            self._mood.forget(track.participant)

    def take_mood(self, node: str, totals: Totals) -> None:
        """Take what faces at another worker show."""
        self._mood.note_elsewhere(node, totals, time.monotonic())

    def tell_mood(self, hosts: Sequence[str], now: float) -> None:
        """Tell those of `hosts` who are here what the faces in the room show, if it is time."""
        if now - self._mood_at < MOOD_SECONDS or not self.analysis.emotions or self._is_over:
            return
        self._mood_at = now
        self.on_mood(self._mood.here(now))
        if (average := self._mood.shares(now)) is not None:
            for host in hosts:
                self._announcer.tell(self._room, messages.room_mood(average), host)

    def _wanted(self, track: PublishedTrack) -> Wanted:
        analysis = self.analysis
        if self.is_encrypted or self._is_over:
            return NOTHING
        is_recognised = track.participant in analysis.captions
        return Wanted(analysis.voice_activity, analysis.recognition if is_recognised else None)

    def _refresh(self) -> None:
        for track, tap in self._taps.values():
            tap.want(self._wanted(track))
        if not self.analysis.captions:
            self._drop_leaving()
        for track, _ in tuple(self._gazes.values()):
            if not self.sees(track):
                _, gaze = self._gazes.pop(track.id)
                gaze.close()
                self._mood.forget(track.participant)

    def _finish(self, tap: Tap) -> None:
        """Have a tap tell what was being said, and then be gone."""
        finishing, leaving = self._senses.finishing, self._leaving
        finishing.add(tap)
        leaving.add(tap)

        def over() -> None:
            finishing.discard(tap)
            leaving.discard(tap)

        tap.finish(over)

    def _drop_leaving(self) -> None:
        for tap in tuple(self._leaving):
            tap.close()

    def _let_go(self) -> None:
        self._drop_leaving()
        for _, tap in self._taps.values():
            tap.close()
        for _, gaze in self._gazes.values():
            gaze.close()
        self._taps.clear()
        self._gazes.clear()
        self._mood.clear()

    def _tap(self, track: PublishedTrack) -> Tap:
        ear = _Heard(track, self._spoke, self._said)
        senses = self._senses
        tap = Tap(senses.ai, senses.hearing, track.participant, track.id, ear)
        tap.want(self._wanted(track))
        return tap

    def _spoke(self, track: PublishedTrack, speaking: bool) -> None:  # as an Ear hears it
        if track.id in self._taps:
            self._on_speaking(track, speaking)

    def _said(self, track: PublishedTrack, hypothesis: Hypothesis) -> None:
        speech = hypothesis.speech
        if not speech.final:
            if self._announcer.is_behind:
                _unsaid.inc()
            else:
                self._announcer.tell(self._room, messages.caption(track, speech))
                _captions.labels("partial").inc()
            return
        self._announcer.tell(self._room, messages.caption(track, speech))
        _captions.labels("final").inc()
        _latency.observe(max(0.0, time.time() - hypothesis.end))
        if speech.text:
            self._keep(track, hypothesis)

    def _keep(self, track: PublishedTrack, hypothesis: Hypothesis) -> None:
        """Have what somebody has said recorded, and translated, where that is wanted."""
        speech, analysis = hypothesis.speech, self.analysis
        if analysis.is_recorded:
            self._senses.scribe.put(self._room, segment(self._room, track, hypothesis))

        def then(translations: Mapping[str, str]) -> None:
            if track.participant in self.analysis.captions and not self._is_over:
                self._announcer.tell(self._room, messages.caption(track, speech, translations))

        self._senses.translator.translate(speech, analysis.languages, then)

    def _looked(self, track: PublishedTrack, shown: FaceExpressions) -> None:
        """Take what a picture shows; the largest face is the participant's."""
        if not shown.faces or track.forwarder.muted:
            return
        face: ai_pb2.Face = shown.faces[0]
        self._mood.note(track.participant, dict(face.scores), time.monotonic())
        self._announcer.tell(self._room, messages.emotion_detected(face), track.participant)


__all__ = ["Attention", "Senses"]
