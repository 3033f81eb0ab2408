"""What the ai service needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`models` is the folder of model files; limits are per process.

    A stream costs a thread about 80 to 120 µs each 32 ms, so one thread keeps up with 250.
    """

    models: Path
    max_streams: int = 250
    inference_threads: int = 1
