"""When words are said: the path through where the decoder looked in the sound while it wrote them.

Some heads of its cross attention follow the sound; their weights, normalised and smoothed as OpenAI's whisper does
(timing.py), are a map of tokens and time whose cheapest monotonic path (dynamic time warping) tells when each token was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ai.whisper.model import POSITION_SECONDS, Heard, Whisper
from services.ai.whisper.vocabulary import Vocabulary

SMOOTHING = 7
"""Positions, whose median each is given."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and when it is said, in seconds from the beginning of the sound."""

    text: str
    start: float
    end: float


def timed(
    whisper: Whisper, heard: Heard, prompt: Sequence[int], tokens: Sequence[int]
) -> tuple[Word, ...]:
    """Tell when each word of a text was said."""
    attention = whisper.attention(heard, prompt, tokens)
    if attention.shape[2] == 0:
        return ()
    spread = attention.std(axis=1, keepdims=True)
    attention = (attention - attention.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-6)
    times = _path(-_smoothed(attention).mean(axis=0)) * POSITION_SECONDS
    return tuple(_words(whisper.vocabulary, tokens, times))


def _words(vocabulary: Vocabulary, tokens: Sequence[int], times: NDArray[np.float64]) -> list[Word]:
    """Put tokens together to words. `times` [tokens + 1]: when each begins."""
    starts = [0, *(at for at in range(1, len(tokens)) if vocabulary.starts_word(tokens[at]))]
    ends = [*starts[1:], len(tokens)]
    words = (
        Word(vocabulary.decode(tokens[start:end]).strip(), float(times[start]), float(times[end]))
        for start, end in zip(starts, ends, strict=True)
    )
    return [word for word in words if word.text]


def _smoothed(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    half = SMOOTHING // 2
    padded = np.pad(attention, ((0, 0), (0, 0), (half, half)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHING, axis=2)
    smooth: NDArray[np.float32] = np.median(windows, axis=3)
    return smooth


def _path(cost: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find the cheapest way through [tokens, positions], one step down or right at a time; tells where each row begins."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for row in range(rows):
        for column in range(columns):
            best = min(total[row, column], total[row, column + 1], total[row + 1, column])
            total[row + 1, column + 1] = cost[row, column] + best
    begins = np.zeros(rows)
    row, column = rows, columns
    while row > 0 and column > 0:
        begins[row - 1] = column - 1
        steps = (total[row - 1, column - 1], total[row - 1, column], total[row, column - 1])
        down, right = ((1, 1), (1, 0), (0, 1))[int(np.argmin(steps))]
        row, column = row - down, column - right
    return begins


__all__ = ["Word", "timed"]
