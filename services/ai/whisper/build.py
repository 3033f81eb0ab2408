"""The recipe "whisper": from published weights to two ONNX files with 8-bit weights, and what goes with them.

What flows through the encoder is quantised by one scale for all of it, which is fast, but for what comes out of GELU in
the second half of its layers: a few values there are forty times as large as the rest, and would cost it its precision.
That, and the whole decoder's, is quantised in blocks: it decides between words that are close, and a draft of many tokens
is to give what single ones would.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from services.ai.whisper import graphs, weights

BLOCK = 128
INT8_ACTIVATIONS = 4
"""MatMulNBits' accuracy_level."""
AFTER_GELU = "ffn/linear_1"


def build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    """Make encoder.onnx and decoder.onnx of model.bin, config.json and tokenizer.json. `progress`: 0 to 1.

    Raises WeightsInvalid, KeyError for a source or weight that is missing.
    """
    with _hushed():
        _build(sources, into, progress)


def _build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    settings = json.loads(sources["config.json"].read_text())
    read = weights.read(sources["model.bin"])
    progress(0.1)
    aligning = [(int(layer), int(head)) for layer, head in settings["alignment_heads"]]
    _quantise_encoder(graphs.encoder(read), into / "encoder.onnx")
    progress(0.5)
    onnx.save(_in_blocks(graphs.decoder(read, aligning)), into / "decoder.onnx")
    progress(0.95)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(sources[name], into / name)
    progress(1.0)


def _quantise_encoder(model: onnx.ModelProto, path: Path) -> None:
    model = _in_blocks(model, but=_narrow(model))
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


def _in_blocks(model: onnx.ModelProto, but: Sequence[str] = ()) -> onnx.ModelProto:
    """Quantise what is multiplied by weights, but for some nodes, in blocks. Changes `model`."""
    quantiser = MatMulNBitsQuantizer(
        model,
        bits=8,
        block_size=BLOCK,
        is_symmetric=True,
        accuracy_level=INT8_ACTIVATIONS,
        nodes_to_exclude=list(but),
    )
    quantiser.process()
    quantised: onnx.ModelProto = quantiser.model.model
    return quantised


def _narrow(model: onnx.ModelProto) -> list[str]:
    """Name the multiplications, but for those of what comes out of the later layers' GELU."""
    every = [node for node in model.graph.node if node.op_type == "MatMul"]
    after = [node.name for node in every if any(AFTER_GELU in each for each in node.input)]
    wide = set(after[len(after) // 2 :])
    return [node.name for node in every if node.name not in wide]


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the quantisers from telling of each node."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


__all__ = ["build"]
