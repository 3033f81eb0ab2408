"""What the ai service needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chassis.config import ConfigError, ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`models` is the folder of models as they are built; limits are per process.

    `model_manifests` is the operator's folder of manifests. `model_tasks` are what models are wanted for; all, when
    empty. `emotions` is the operator's policy: whether expressions of faces may be read at all.

    `providers` are onnxruntime's, by preference, for speech: `CUDAExecutionProvider,CPUExecutionProvider` where its
    GPU package is installed.

    `llm_url` and `llm_model` name a language model behind an OpenAI-compatible endpoint, such as
    `http://127.0.0.1:11434/v1`, for summaries and translations; `llm_key` is its key, if it wants one. It is given
    `llm_prompt_bytes` of talk at a time, and may take `llm_seconds`.

    A stream costs a thread about 80 to 120 µs each 32 ms, so one thread keeps up with 250.
    """

    models: Path
    model_manifests: Path | None = None
    model_tasks: tuple[str, ...] = ()
    emotions: bool = False
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    max_streams: int = 250
    inference_threads: int = 1
    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = field(default="", repr=False)
    llm_prompt_bytes: int = 24_000
    llm_seconds: float = 25.0

    def __post_init__(self) -> None:
        if bool(self.llm_url) != bool(self.llm_model):
            raise ConfigError("PARLEY_LLM_URL and PARLEY_LLM_MODEL need each other.")
        if self.llm_url and not self.llm_url.startswith(("http://", "https://")):
            raise ConfigError(f"PARLEY_LLM_URL is {self.llm_url!r}, which is no http URL.")
