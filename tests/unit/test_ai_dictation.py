"""How speech is cut into segments, and what their texts become: no network, no models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from services.ai.desk import Urgency
from services.ai.dictation import (
    BACKLOG_SECONDS,
    CHUNK_SECONDS,
    LEAD_CHUNKS,
    MAX_CHUNKS,
    MIN_VOICED_CHUNKS,
    TAIL_CHUNKS,
    Dictation,
    Hypothesis,
    Job,
)
from services.ai.speech import Memory, Understood
from services.ai.vad import CHUNK, Step

SPEECH, PAUSE = 0.9, 0.1


class Talk:
    """A track whose chunks are speech or not, as told."""

    def __init__(self, *, partials: bool = True) -> None:
        self.dictation = Dictation(partials=partials)
        self.chunks = 0

    def say(self, *probabilities: float) -> None:
        for probability in probabilities:
            self.chunks += 1
            samples = np.full(CHUNK, self.chunks, np.float32)
            at = self.chunks * CHUNK_SECONDS
            self.dictation.take(Step(samples, at, probability, probability > 0.35, None))

    def jobs(self) -> list[Job]:
        found = []
        while (job := self.dictation.next()) is not None:
            found.append(job)
        return found

    def finals(self) -> list[Job]:
        return [job for job in self.jobs() if job.is_final]

    def heard(self, job: Job, text: str, tokens: Sequence[int] = ()) -> Hypothesis | None:
        memory = Memory(draft=tuple(tokens))
        return self.dictation.done(job, Understood(text, 0, "en", 0.5, memory))


def numbers(job: Job) -> list[int]:
    """Which chunks of the track a job has."""
    return [int(each) for each in job.samples[::CHUNK]]


def test_silence_gives_nothing_to_do() -> None:
    talk = Talk()
    talk.say(*[PAUSE] * 200)
    assert talk.jobs() == []


def test_a_segment_has_what_was_just_before_and_after_speech() -> None:
    talk = Talk(partials=False)
    talk.say(*[PAUSE] * 20, *[SPEECH] * 30, *[PAUSE] * 16)
    (job,) = talk.finals()
    assert numbers(job) == list(range(21 - LEAD_CHUNKS + 1, 50 + TAIL_CHUNKS + 1))
    assert job.segment.start == pytest.approx(20 * CHUNK_SECONDS)
    assert job.segment.end == pytest.approx(50 * CHUNK_SECONDS)


def test_a_short_pause_ends_a_long_segment_and_not_a_short_one() -> None:
    short, long = Talk(partials=False), Talk(partials=False)
    short.say(*[SPEECH] * 60, *[PAUSE] * 10)
    long.say(*[SPEECH] * 180, *[PAUSE] * 10)
    assert short.finals() == []
    assert len(long.finals()) == 1


def test_endless_speech_is_cut_where_it_is_quietest_and_loses_nothing() -> None:
    talk = Talk(partials=False)
    dip = MAX_CHUNKS - 40
    talk.say(*[SPEECH] * dip, 0.55, *[SPEECH] * 400)
    talk.dictation.finish()
    first, *rest = talk.finals()
    assert numbers(first)[-1] == dip + 1
    assert [n for job in (first, *rest) for n in numbers(job)] == list(range(1, talk.chunks + 1))
    assert all(len(job.samples) <= MAX_CHUNKS * CHUNK for job in (first, *rest))


def test_a_cough_is_not_recognised() -> None:
    talk = Talk()
    talk.say(*[SPEECH] * (MIN_VOICED_CHUNKS - 1), *[PAUSE] * 30)
    assert talk.jobs() == []


def test_while_somebody_speaks_the_text_is_asked_for_about_every_second() -> None:
    talk = Talk()
    asked = []
    for _ in range(200):
        talk.say(SPEECH)
        asked += [talk.chunks * CHUNK_SECONDS for job in talk.jobs() if not job.is_final]
    gaps = np.diff(asked)
    assert asked[0] <= 0.7
    assert len(asked) >= 5
    assert np.all((gaps >= 1.0) & (gaps < 1.1))


def test_what_has_ended_goes_before_what_goes_on() -> None:
    talk = Talk()
    talk.say(*[SPEECH] * 60, *[PAUSE] * 16, *[SPEECH] * 40)
    assert talk.dictation.urgency() == Urgency.FINAL
    first = talk.dictation.next()
    assert talk.dictation.urgency() == Urgency.FIRST
    second = talk.dictation.next()
    assert talk.dictation.urgency() == Urgency.NEXT
    assert first is not None
    assert second is not None
    assert (first.is_final, second.is_final) == (True, False)
    assert first.segment is not second.segment


def test_what_waits_too_long_is_given_up_the_oldest_first() -> None:
    talk = Talk(partials=False)
    for _ in range(20):
        talk.say(*[SPEECH] * 100, *[PAUSE] * 16)
    jobs = talk.finals()
    assert sum(job.segment.seconds for job in jobs) <= BACKLOG_SECONDS
    assert jobs[-1].segment.end == pytest.approx((talk.chunks - 16) * CHUNK_SECONDS)
    assert talk.dictation.given_up_seconds > 30


def test_segments_are_counted_once_they_have_a_text() -> None:
    talk = Talk(partials=False)
    talk.say(*[SPEECH] * 40, *[PAUSE] * 16, *[SPEECH] * 40, *[PAUSE] * 16)
    noise, words = talk.finals()
    assert talk.heard(noise, "") is None
    told = talk.heard(words, "Hello.")
    assert told is not None
    assert (told.number, told.text, told.is_final) == (1, "Hello.", True)


def test_a_text_that_was_shown_is_taken_back_when_it_was_nothing() -> None:
    talk = Talk()
    talk.say(*[SPEECH] * 40)
    (partial,) = talk.jobs()
    assert talk.heard(partial, "Thank") is not None
    talk.say(*[PAUSE] * 16)
    (final,) = talk.finals()
    told = talk.heard(final, "")
    assert told is not None
    assert (told.number, told.text, told.is_final) == (1, "", True)


def test_a_later_job_knows_what_the_one_before_found() -> None:
    talk = Talk()
    talk.say(*[SPEECH] * 40)
    (partial,) = talk.jobs()
    talk.heard(partial, "Hello", tokens=(1, 2, 3))
    talk.say(*[PAUSE] * 16)
    (final,) = talk.finals()
    assert final.segment.memory.draft == (1, 2, 3)


def test_a_jump_of_the_clock_ends_a_segment() -> None:
    talk = Talk(partials=False)
    talk.say(*[SPEECH] * 40)
    nothing = np.zeros(0, np.float32)
    talk.dictation.take(Step(nothing, 90.0, 0.0, False, None, is_new_beginning=True))
    assert len(talk.finals()) == 1
