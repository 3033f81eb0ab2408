"""The truth about when somebody speaks, which voice activity is measured by."""

from __future__ import annotations

import numpy as np

from loadtest.corpus.clips import SAMPLE_RATE, Clip, Samples
from loadtest.corpus.scene import FRAME, LEVEL, scene, spoken_frames

SECOND = SAMPLE_RATE // FRAME
WAIT_SECONDS = 0.5


def voiced(seconds: float, level: float = 6_000.0) -> Samples:
    """A voice, as far as its loudness goes."""
    samples = np.random.default_rng(1).normal(0, level, int(seconds * SAMPLE_RATE))
    return samples.clip(-32_768, 32_767).astype(np.int16)


def pause(seconds: float) -> Samples:
    return voiced(seconds, level=20.0)


def clip(*parts: Samples) -> Clip:
    return Clip("x", "en", np.concatenate(parts), "", "", "")


def test_what_is_loud_is_spoken_and_the_hiss_between_is_not() -> None:
    truth = spoken_frames(np.concatenate([pause(0.5), voiced(1), pause(0.5), voiced(0.3)]))
    expected = [False] * 50 + [True] * 100 + [False] * 50 + [True] * 30
    assert truth.tolist() == expected


def test_an_empty_recording_has_nothing_spoken() -> None:
    assert not spoken_frames(np.zeros(SAMPLE_RATE, np.int16)).any()


def test_what_is_near_speech_counts_neither_as_spoken_nor_as_silent() -> None:
    made = scene([clip(voiced(1)), clip(voiced(1))], WAIT_SECONDS)
    (_, first_end), (second, _) = made.spans
    assert not (made.spoken & made.silent).any()
    between = slice(first_end, second)
    assert not made.spoken[between].any()
    wait, before = int(WAIT_SECONDS * SECOND), SECOND // 5
    assert made.silent[between].tolist() == (
        [False] * wait + [True] * (second - first_end - wait - before) + [False] * before
    )


def test_noise_is_as_much_weaker_than_speech_as_told_however_loud_both_were() -> None:
    made = scene([clip(voiced(2, level=300.0))], WAIT_SECONDS)
    mixed = made.over(voiced(0.7, level=9_000.0), 10.0)
    noise = mixed.astype(float) - made.samples
    speech = made.samples.reshape(-1, FRAME)[made.spoken].astype(float)
    assert abs(np.sqrt(np.mean(speech**2)) / LEVEL - 1) < 0.01
    assert abs(20 * np.log10(LEVEL / np.sqrt(np.mean(noise**2))) - 10.0) < 0.1
