"""Speech with pauses between, over noise, and the truth about when somebody speaks in it.

The truth comes from the loudness of the clean recordings, frame by frame, never from a detector: spoken is what is
within SPOKEN_DB of a recording's loud frames. What is neither surely spoken nor surely silent is in neither and is not
counted: the breath before a word, pauses between words, and the time after speech that a detector is to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.corpus.clips import SAMPLE_RATE, Clip, Samples, clipped

FRAME = 160
"""Samples that the truth is told of at a time: 10 ms."""
SPOKEN_DB = 30.0
LOUD_PERCENTILE = 95
LEVEL = 2_000.0
"""What the spoken parts of every recording are made as loud as (root mean square): -24 dB of full scale."""
PAUSE_SECONDS = (1.0, 4.0)
BEFORE_SECONDS = 0.2

Truth = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scene:
    """A track; `spoken` and `silent` tell of each frame, `spans` are the frames from and to which each clip lies."""

    samples: Samples
    spoken: Truth
    silent: Truth
    spans: tuple[tuple[int, int], ...]

    def over(self, noise: Samples, snr_db: float) -> Samples:
        """Mix the track with noise, repeated, so much weaker than speech on average."""
        repeated = np.resize(noise, len(self.samples)).astype(np.float64)
        gain = LEVEL / 10 ** (snr_db / 20) / _rms(repeated)
        return clipped(np.rint(self.samples + gain * repeated))


def scene(clips: Sequence[Clip], after_seconds: float) -> Scene:
    """Put recordings one after the other, with pauses that are always the same; silence begins so long after speech."""
    chance = np.random.default_rng(0)
    parts: list[Samples] = []
    truths: list[Truth] = []
    spans = []
    at = 0
    for clip in clips:
        pause = int(chance.uniform(*PAUSE_SECONDS) * SAMPLE_RATE) // FRAME
        samples, truth = _levelled(clip.samples)
        parts += [np.zeros(pause * FRAME, np.int16), samples]
        truths += [np.zeros(pause, np.bool_), truth]
        spans.append((at + pause, at + pause + len(truth)))
        at = spans[-1][1]
    spoken = np.concatenate(truths)
    return Scene(np.concatenate(parts), spoken, _silent(spoken, after_seconds), tuple(spans))


def spoken_frames(samples: Samples) -> Truth:
    """Tell of each whole frame of a clean recording whether it is spoken."""
    frames = samples[: len(samples) // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)
    loudness = np.sqrt(np.mean(frames**2, axis=1))
    least = np.percentile(loudness, LOUD_PERCENTILE) / 10 ** (SPOKEN_DB / 20)
    spoken: Truth = loudness > max(least, 1.0)
    return spoken


def _levelled(samples: Samples) -> tuple[Samples, Truth]:
    truth = spoken_frames(samples)
    whole = samples[: len(truth) * FRAME].astype(np.float64)
    loud = _rms(whole.reshape(-1, FRAME)[truth])
    return clipped(np.rint(whole * (LEVEL / loud))), truth


def _silent(spoken: Truth, after_seconds: float) -> Truth:
    """Take off what is near speech."""
    before = int(BEFORE_SECONDS * SAMPLE_RATE / FRAME)
    after = int(after_seconds * SAMPLE_RATE / FRAME)
    silent = np.ones(len(spoken), np.bool_)
    for frame in np.flatnonzero(spoken):
        silent[max(frame - before, 0) : frame + after + 1] = False
    return silent


def _rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


__all__ = ["FRAME", "Scene", "Truth", "scene", "spoken_frames"]
