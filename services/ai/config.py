"""What the ai service needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`models` is the folder of model files; limits are per process."""

    models: Path
    max_streams: int = 500
    inference_threads: int = 1
