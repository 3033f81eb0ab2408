"""Silero VAD on onnxruntime: one session, one thread per inference, shared by all streams (it keeps no state)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from services.ai.sessions import session
from services.ai.vad import SAMPLE_RATE, Samples

FILE = "silero_vad.onnx"


class SileroVad:
    """The network in the model's folder."""

    def __init__(self, folder: Path) -> None:
        self._session = session(folder / FILE)
        self._rate = np.array(SAMPLE_RATE, np.int64)

    def judge(self, samples: Samples, state: Samples) -> tuple[float, Samples]:
        """Judge 576 samples; returns the speech probability and the next state."""
        feed = {"input": samples[None, :], "state": state, "sr": self._rate}
        output, following = self._session.run(None, feed)
        return float(output[0, 0]), following


__all__ = ["SileroVad"]
