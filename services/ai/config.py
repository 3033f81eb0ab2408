"""What the ai service needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`models` is the folder of models as they are built; limits are per process.

    `model_manifests` is the operator's folder of manifests. `model_tasks` are what models are wanted for; all, when
    empty. `emotions` is the operator's policy: whether expressions of faces may be read at all.

    `providers` are onnxruntime's, by preference, for speech: `CUDAExecutionProvider,CPUExecutionProvider` where its
    GPU package is installed.

    A stream costs a thread about 80 to 120 µs each 32 ms, so one thread keeps up with 250.
    """

    models: Path
    model_manifests: Path | None = None
    model_tasks: tuple[str, ...] = ()
    emotions: bool = False
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    max_streams: int = 250
    inference_threads: int = 1
