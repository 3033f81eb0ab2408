"""When speech begins and ends, by probabilities that are given: no network, no sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from services.ai.vad import CHUNK, SAMPLE_RATE, Change, Samples, VoiceActivity

CHUNK_SECONDS = CHUNK / SAMPLE_RATE


class Script:
    """A network that answers what it is told, and keeps what it was asked."""

    def __init__(self, *probabilities: float) -> None:
        self._answers: Iterator[float] = iter(probabilities)
        self.asked: list[Samples] = []
        self.states: list[float] = []

    def judge(self, samples: Samples, state: Samples) -> tuple[float, Samples]:
        self.asked.append(samples)
        self.states.append(float(state[0, 0, 0]))
        return next(self._answers), state + 1


def heard(*probabilities: float) -> list[Change]:
    voice = VoiceActivity(Script(*probabilities))
    return list(voice.receive(bytes(2 * CHUNK * len(probabilities)), 0.0))


def test_one_likely_chunk_is_not_speech_and_two_are() -> None:
    assert heard(0.9, 0.1, 0.9, 0.1) == []
    changes = heard(0.1, 0.9, 0.8, 0.9)
    assert [(change.speaking, change.probability) for change in changes] == [(True, 0.8)]
    assert changes[0].offset == pytest.approx(3 * CHUNK_SECONDS)


def test_speech_ends_after_half_a_second_without_a_likely_chunk() -> None:
    assert [change.speaking for change in heard(0.9, 0.9, *[0.1] * 15)] == [True]
    assert [change.speaking for change in heard(0.9, 0.9, *[0.1] * 16)] == [True, False]


def test_a_breath_in_between_does_not_end_speech() -> None:
    assert len(heard(0.9, 0.9, *[0.1] * 15, 0.4, *[0.1] * 15)) == 1


def test_what_goes_on_as_speech_does_not_begin_as_speech() -> None:
    assert heard(*[0.4] * 20) == []
    assert len(heard(0.9, 0.9, *[0.4] * 20)) == 1


def test_pieces_of_any_size_are_judged_as_the_whole_is() -> None:
    sound = np.arange(4 * CHUNK, dtype="<i2").tobytes()
    whole, pieces = Script(*[0.0] * 4), Script(*[0.0] * 4)
    list(VoiceActivity(whole).receive(sound, 0.0))
    voice = VoiceActivity(pieces)
    for start in range(0, len(sound), 602):
        list(voice.receive(sound[start : start + 602], start / 2 / SAMPLE_RATE))
    assert len(whole.asked) == 4
    np.testing.assert_array_equal(whole.asked, pieces.asked)


def test_each_chunk_brings_the_end_of_the_one_before_and_its_state() -> None:
    script = Script(0.0, 0.0)
    list(VoiceActivity(script).receive(np.arange(2 * CHUNK, dtype="<i2").tobytes(), 0.0))
    first, second = script.asked
    assert not first[:64].any()
    np.testing.assert_array_equal(second[:64], first[-64:])
    assert script.states == [0.0, 1.0]


def test_a_jump_ends_speech_and_forgets_what_was_before() -> None:
    script = Script(0.9, 0.9, 0.9)
    voice = VoiceActivity(script)
    list(voice.receive(bytes(range(256)) * 8, 0.0))
    changes = list(voice.receive(bytes(2 * CHUNK), 10.0))
    assert changes == [Change(speaking=False, offset=10.0, probability=0.0)]
    assert script.states == [0.0, 1.0, 0.0]
    assert not script.asked[-1].any()


def test_a_small_gap_is_no_jump() -> None:
    script = Script(0.9, 0.9)
    voice = VoiceActivity(script)
    list(voice.receive(bytes(2 * CHUNK), 0.0))
    list(voice.receive(bytes(2 * CHUNK), 0.4))
    assert script.states == [0.0, 1.0]
