"""Whisper's front end: a log-mel spectrogram of 80 bands, 100 frames a second (Radford et al. 2022, §2.2).

25 ms windows every 10 ms, Slaney's mel scale up to 8 kHz, the loudest 8 decades, about -1 to 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
BANDS = 80
FLOOR = 1e-10
DECADES = 8.0

Samples = NDArray[np.float32]


def log_mel(samples: Samples, frames: int = 0) -> NDArray[np.float32]:
    """Turn [n] samples of 16 kHz, -1 to 1, into a spectrogram [BANDS, n // HOP], longer by silence if `frames` says so."""
    if frames > len(samples) // HOP:
        samples = np.pad(samples, (0, 2 * HOP))[
            : frames * HOP
        ]  # the last windows reach into the silence
    mirrored = np.pad(
        samples, WINDOW // 2, mode="reflect" if len(samples) > WINDOW // 2 else "constant"
    )
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, WINDOW)[:-1:HOP]
    cosine, sine = _transform()
    power = (windows @ cosine) ** 2 + (windows @ sine) ** 2
    mel = np.log10(np.maximum(power @ _filters().T, FLOOR))
    floor = mel.max(initial=np.log10(FLOOR)) - DECADES
    mel = np.pad(mel, ((0, max(0, frames - len(mel))), (0, 0)), constant_values=np.log10(FLOOR))
    mel = np.maximum(mel, floor)
    scaled: NDArray[np.float32] = ((mel.T + 4.0) / 4.0).astype(np.float32)
    return scaled


@cache
def _transform() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The windowed Fourier transform as two matrices [WINDOW, WINDOW // 2 + 1]: three times as fast as numpy's for 400."""
    angles = 2 * np.pi * np.outer(np.arange(WINDOW), np.arange(WINDOW // 2 + 1)) / WINDOW
    hann = np.hanning(WINDOW + 1)[:-1, None]  # periodic
    return (hann * np.cos(angles)).astype(np.float32), (hann * np.sin(angles)).astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Triangles of equal area between neighbouring bands, [BANDS, WINDOW // 2 + 1]."""
    bins = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE / 2), BANDS + 2))
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    scaled: NDArray[np.float32] = (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(
        np.float32
    )
    return scaled


_LINEAR_HERTZ = 200 / 3
_KNEE_HERTZ = 1000.0
_KNEE_MEL = _KNEE_HERTZ / _LINEAR_HERTZ
_LOG_STEP = np.log(6.4) / 27


def _mel(hertz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    if hertz < _KNEE_HERTZ:
        return hertz / _LINEAR_HERTZ
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HERTZ) / _LOG_STEP)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HERTZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HERTZ, above)


__all__ = ["BANDS", "HOP", "SAMPLE_RATE", "Samples", "log_mel"]
