"""The intelligence, measured: recognition beside faster-whisper, live talkers on one thread, faces, and what a tap costs.

Each part can be run by itself: `./parley bench wer`, `vad`, `ai_tap`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loadtest import bench_ai_tap, bench_wer
from stack.bench import Figure
from stack.errors import StackError

SECONDS = 60
TALKERS = {"base": 8, "tiny.en": 12}
"""Who talk at once, on one thread."""
COST_BARS = {"base": 0.12, "tiny.en": 0.08}
"""CPU seconds per second of sound, a partial text every second included."""
FINAL_BAR_SECONDS, FIRST_BAR_SECONDS = 1.5, 1.2
MEMORY_BAR_BYTES = 800_000_000


def main() -> list[Figure]:
    """Measure everything. Raises StackError."""
    live = [figure for model in TALKERS for figure in _live(model)]
    return [*live, *bench_wer.main(), *bench_ai_tap.main()]


def _live(model: str) -> list[Figure]:
    command = [sys.executable, "-m", "loadtest.ai_live", model, str(TALKERS[model]), str(SECONDS)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"loadtest.ai_live failed: {done.stderr.strip().splitlines()[-1:]}")
    found: Mapping[str, Any] = json.loads(done.stdout)
    name = f"{model}, {TALKERS[model]} talkers"
    return [
        _at_most(f"{name}: CPU per second of sound", found["cpu"], "s", COST_BARS[model]),
        _at_most(f"{name}: final text, p95", _p95(found["final"]), "s", FINAL_BAR_SECONDS),
        _at_most(f"{name}: first partial text, p95", _p95(found["first"]), "s", FIRST_BAR_SECONDS),
        Figure(f"{name}: first partial text, p50", float(np.median(found["first"])), "s"),
        _at_most(f"{name}: memory", found["rss"] / 1e6, "MB", MEMORY_BAR_BYTES / 1e6),
    ]


def _p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))


def _at_most(name: str, value: float, unit: str, bar: float) -> Figure:
    return Figure(name, value, unit, f"<= {bar:g}", value <= bar)


__all__ = ["main"]
