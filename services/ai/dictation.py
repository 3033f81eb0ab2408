"""One track's speech, cut into segments: what is to be recognised next, and what its text becomes. Sans I/O.

A segment begins with speech and ends with a pause, the shorter the longer it already is, since time goes with its length;
one that knows no pause is cut where it is quietest. While it goes on, its text is asked for about every second.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from services.ai.desk import Urgency
from services.ai.speech import Memory, Understood, Word
from services.ai.vad import CHUNK, SAMPLE_RATE, Samples, Step

CHUNK_SECONDS = CHUNK / SAMPLE_RATE
LEAD_CHUNKS = 10
"""So much from before speech was noticed: it begins softly."""
TAIL_CHUNKS = 6
PAUSES = ((8.0, 6), (5.0, 10), (0.0, 16))
"""From so many seconds on, a segment ends after so many chunks without speech."""
MAX_CHUNKS = 375
"""12 seconds."""
CUT_CHUNKS = 94
"""The last 3 seconds, in which the quietest chunk is where an endless segment is cut."""
MIN_VOICED_CHUNKS = 6
"""A cough is shorter than a word."""
VOICED = 0.5
FIRST_PARTIAL_SECONDS = 0.6
PARTIAL_SECONDS = 1.0
BACKLOG_SECONDS = 30.0
"""Speech that waits to be recognised; beyond it the oldest is given up."""


@dataclass(slots=True)
class Segment:
    """Speech from pause to pause; `offset`: where its sound begins on the track, in seconds."""

    offset: float
    chunks: list[Samples]
    probabilities: list[float]
    lead: int
    memory: Memory = field(default_factory=Memory)
    asked: float = 0.0
    number: int = 0

    @property
    def seconds(self) -> float:
        """How long it is, with what is before and after speech."""
        return len(self.chunks) * CHUNK_SECONDS

    @property
    def voiced(self) -> int:
        """In how many chunks somebody speaks."""
        return sum(probability >= VOICED for probability in self.probabilities)

    @property
    def start(self) -> float:
        """Where on the track speech begins."""
        return self.offset + self._voiced_at()[0] * CHUNK_SECONDS

    @property
    def end(self) -> float:
        """Where on the track speech ends."""
        return self.offset + (self._voiced_at()[1] + 1) * CHUNK_SECONDS

    def samples(self) -> Samples:
        """Its sound."""
        return np.concatenate(self.chunks)

    def _voiced_at(self) -> tuple[int, int]:
        voiced = [at for at, each in enumerate(self.probabilities) if each >= VOICED]
        return (voiced[0], voiced[-1]) if voiced else (0, len(self.chunks) - 1)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of sound to be understood."""

    segment: Segment
    samples: Samples
    is_final: bool


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is being said: `number` counts the segments of the track from 1, times are seconds on its clock."""

    number: int
    text: str
    stable_length: int
    is_final: bool
    start: float
    end: float
    confidence: float
    language: str
    words: tuple[Word, ...] = ()


class Dictation:
    """Cuts a track's sound into segments: `take` what voice activity made of it, do the `next` job, tell when it is `done`."""

    def __init__(self, *, partials: bool = True) -> None:
        self._partials = partials
        self._lead: deque[Step] = deque(maxlen=LEAD_CHUNKS)
        self._open: Segment | None = None
        self._closed: deque[Segment] = deque()
        self._shown = 0
        self.given_up_seconds = 0.0

    def take(self, step: Step) -> None:
        """Take the next piece of sound."""
        if step.is_new_beginning:
            self.finish()
        elif self._open is None:
            self._lead.append(step)
            if step.speaking and step.probability >= VOICED:
                self._begin()
        else:
            self._continue(self._open, step)

    def finish(self) -> None:
        """No more sound follows for now: what is being said is final."""
        self._lead.clear()
        if self._open is not None:
            self._close(self._open)
            self._open = None

    def urgency(self) -> Urgency:
        """Tell how urgent the next job is."""
        if self._closed:
            return Urgency.FINAL
        return Urgency.NEXT if self._open is not None and self._open.asked else Urgency.FIRST

    def is_due(self) -> bool:
        """Tell whether there is a job."""
        return bool(self._closed) or self._is_partial_due()

    def next(self) -> Job | None:
        """What is to be understood next: the oldest segment that has ended, or the one that goes on, if it is time."""
        if self._closed:
            segment = self._closed.popleft()
        elif self._open is not None and self._is_partial_due():
            segment = self._open
            segment.asked = segment.seconds
        else:
            return None
        return Job(segment, segment.samples(), is_final=segment is not self._open)

    def done(self, job: Job, understood: Understood) -> Hypothesis | None:
        """Take a job's result; gives what is to be told, if anything is."""
        segment = job.segment
        segment.memory = understood.memory
        if not understood.text and segment.number == 0:
            return None
        if segment.number == 0:
            self._shown += 1
            segment.number = self._shown
        return Hypothesis(
            segment.number,
            understood.text,
            understood.stable_length,
            job.is_final,
            segment.start,
            segment.end,
            understood.confidence,
            understood.language,
            tuple(_moved(word, segment.offset) for word in understood.words),
        )

    def _is_partial_due(self) -> bool:
        segment = self._open
        if segment is None or not self._partials or segment.voiced < MIN_VOICED_CHUNKS:
            return False
        if segment.asked:
            return segment.seconds - segment.asked >= PARTIAL_SECONDS
        return segment.seconds - segment.lead * CHUNK_SECONDS >= FIRST_PARTIAL_SECONDS

    def _continue(self, segment: Segment, step: Step) -> None:
        segment.chunks.append(step.samples)
        segment.probabilities.append(step.probability)
        if _quiet(segment) >= _pause(segment.seconds):
            self._open = None
            self._close(segment)
        elif len(segment.chunks) >= MAX_CHUNKS:
            self._cut(segment)

    def _begin(self) -> None:
        steps = list(self._lead)
        self._lead.clear()
        offset = steps[0].end - CHUNK_SECONDS
        lead = next((at for at, step in enumerate(steps) if step.probability >= VOICED), 0)
        self._open = Segment(
            offset, [step.samples for step in steps], [step.probability for step in steps], lead
        )

    def _cut(self, segment: Segment) -> None:
        """End a segment where it is quietest of late, and begin the next there."""
        first = len(segment.chunks) - CUT_CHUNKS
        at = first + int(np.argmin(segment.probabilities[first:])) + 1
        self._open = Segment(
            segment.offset + at * CHUNK_SECONDS,
            segment.chunks[at:],
            segment.probabilities[at:],
            lead=0,
        )
        del segment.chunks[at:], segment.probabilities[at:]
        self._close(segment)

    def _close(self, segment: Segment) -> None:
        keep = len(segment.chunks) - max(0, _quiet(segment) - TAIL_CHUNKS)
        del segment.chunks[keep:], segment.probabilities[keep:]
        if segment.voiced < MIN_VOICED_CHUNKS and segment.number == 0:
            return
        self._closed.append(segment)
        while (
            len(self._closed) > 1 and sum(each.seconds for each in self._closed) > BACKLOG_SECONDS
        ):
            self.given_up_seconds += self._closed.popleft().seconds


def _quiet(segment: Segment) -> int:
    """Count the chunks without speech at a segment's end."""
    backwards = enumerate(reversed(segment.probabilities))
    return next((at for at, each in backwards if each >= VOICED), len(segment.probabilities))


def _pause(seconds: float) -> int:
    return next(chunks for least, chunks in PAUSES if seconds >= least)


def _moved(word: Word, offset: float) -> Word:
    return Word(word.text, word.start + offset, word.end + offset)


__all__ = ["Dictation", "Hypothesis", "Job", "Segment"]
