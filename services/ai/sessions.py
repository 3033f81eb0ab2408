"""onnxruntime's sessions as this service has them: threads are ours to give, one inference takes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

PROCESSORS = ("CPUExecutionProvider",)


def session(path: Path, providers: Sequence[str] = PROCESSORS) -> onnxruntime.InferenceSession:
    """Load a model for this machine's processors, or what else there is. Raises onnxruntime's errors for what is no model.

    Each session's arena would keep as much as its longest sound ever took: of two Whispers 260 MB, and no time is saved.
    """
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))


__all__ = ["PROCESSORS", "session"]
