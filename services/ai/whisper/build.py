"""The recipe "whisper": from published weights to two ONNX files with 8-bit weights, and what goes with them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from services.ai.whisper import graphs, weights

VERSION = 1
"""Counts changes of what is built."""


def build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    """Make encoder.onnx and decoder.onnx of model.bin, config.json and tokenizer.json. `progress`: 0 to 1.

    Raises WeightsInvalid, KeyError for a source or weight that is missing.
    """
    settings = json.loads(sources["config.json"].read_text())
    read = weights.read(sources["model.bin"])
    progress(0.1)
    aligning = [(int(layer), int(head)) for layer, head in settings["alignment_heads"]]
    _quantised(graphs.encoder(read), into / "encoder.onnx")
    progress(0.4)
    _quantised(graphs.decoder(read, aligning), into / "decoder.onnx")
    progress(0.95)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(sources[name], into / name)
    progress(1.0)


def _quantised(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph with 8-bit weights, a scale for each column; what flows through it is quantised as it goes."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        plain = Path(scratch) / "plain.onnx"
        add_pre_process_metadata(model)  # there is nothing to prepare: without it a warning says so
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )


__all__ = ["VERSION", "build"]
