"""How long the models of a cache take: one thread, CPU time, the median of many times. Speech has `./parley bench ai`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from services.ai.faces.detector import BlazeFace
from services.ai.faces.expressions import ExpressionNetwork
from services.ai.faces.geometry import Box, Found
from services.ai.faces.pictures import Picture
from services.ai.silero import SileroVad
from services.ai.vad import CHUNK, CONTEXT, STATE_SHAPE

TIMES = 100
FRAME = (640, 360)


def voice_activity(folder: Path) -> float:
    """Measure a chunk of 32 ms, in milliseconds."""
    network = SileroVad(folder)
    samples = np.random.default_rng(1).normal(0, 0.1, CONTEXT + CHUNK).astype(np.float32)
    state = np.zeros(STATE_SHAPE, np.float32)
    return median_ms(lambda: network.judge(samples, state))


def face_detection(folder: Path) -> float:
    """Measure a frame of 640 x 360, in milliseconds."""
    detector, picture = BlazeFace(folder), _noise()
    return median_ms(lambda: detector.find(picture))


def expression(folder: Path) -> float:
    """Measure a face in such a frame, in milliseconds."""
    network, picture = ExpressionNetwork(folder), _noise()
    face = Found(Box(0.3, 0.2, 0.2, 0.4), 0.9, 0.1)
    return median_ms(lambda: network.read(picture, face))


def median_ms(work: Callable[[], object], times: int = TIMES) -> float:
    """Measure the CPU time of a piece of work, in milliseconds."""
    work()
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


def _noise() -> Picture:
    pixels = np.random.default_rng(1).integers(0, 256, (FRAME[1], FRAME[0], 3), np.uint8)
    return Picture(Image.fromarray(pixels))


MEASURES: Mapping[str, tuple[Callable[[Path], float], str]] = {
    "voice-activity": (voice_activity, "32 ms of sound"),
    "face-detection": (face_detection, f"a frame of {FRAME[0]} x {FRAME[1]}"),
    "expression": (expression, "a face"),
}
"""How the models of a task are measured, and with what."""

__all__ = ["MEASURES", "median_ms"]
