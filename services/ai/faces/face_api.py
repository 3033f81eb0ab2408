"""The recipe "face-api": face-api.js's expression network as model.onnx. Its weights say no more than their names.

Four dense blocks of separable convolutions, each at half the size of the one before, their average, one layer of scores
(dense layers, `densenet`-like, are summed). The graph takes RGB, 0 to 255, NCHW, and normalises it itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.ai.faces.tfjs import OPSET, read_weights

SIZE = 112
MEAN_RGB = (122.782, 117.001, 104.298)
BLOCKS = 4
LAYERS = 4

Array = NDArray[Any]


def build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    """Make model.onnx of model.json, a weights manifest, and model.bin. Raises ValueError, KeyError."""
    (group,) = json.loads(sources["model.json"].read_text())
    weights = read_weights(group["weights"], sources["model.bin"].read_bytes())
    model = _Network(weights).convert()
    onnx.checker.check_model(model)
    onnx.save(model, into / "model.onnx")
    progress(1.0)


class _Network:
    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def convert(self) -> onnx.ModelProto:
        mean = self._constant("mean", np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1))
        scale = self._constant("scale", np.array(255, np.float32))
        last = self._add("Div", self._add("Sub", "input", mean), scale)
        for number in range(BLOCKS):
            last = self._block(number, last)
        last = self._add("Flatten", self._add("GlobalAveragePool", last))
        layer = [
            self._constant(f"fc/{part}", self._weights[f"fc/{part}"])
            for part in ("weights", "bias")
        ]
        scores = self._add("Softmax", self._add("Gemm", last, *layer))
        self._nodes.append(helper.make_node("Identity", [scores], ["scores"]))
        graph = helper.make_graph(
            self._nodes,
            "expressions",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 7])],
            self._constants,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def _block(self, number: int, given: str) -> str:
        """A dense block: each layer takes the sum of all before it."""
        total = self._add("Relu", self._layer(f"dense{number}/conv0", given, stride=2))
        for layer in range(
            1, LAYERS
        ):  # the first sum is never below zero: its rectifier changes nothing
            added = self._layer(f"dense{number}/conv{layer}", self._add("Relu", total))
            total = self._add("Add", total, added)
        return self._add("Relu", total)

    def _layer(self, name: str, given: str, stride: int = 1) -> str:
        """A convolution, plain in the first layer of all and separable elsewhere."""
        window = {"strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        bias = self._constant(f"{name}/bias", self._weights[f"{name}/bias"])
        if (plain := self._weights.get(f"{name}/filters")) is not None:
            kernel = self._constant(f"{name}/filters", plain.transpose(3, 2, 0, 1))
            return self._add("Conv", given, kernel, bias, **window)
        depth = self._weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)
        point = self._weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1)
        depthwise = self._constant(f"{name}/depthwise", depth)
        pointwise = self._constant(f"{name}/pointwise", point)
        deep = self._add("Conv", given, depthwise, group=len(depth), **window)
        return self._add("Conv", deep, pointwise, bias)

    def _add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operation}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, values: Array) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


__all__ = ["build"]
