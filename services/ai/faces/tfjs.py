"""The recipe "tfjs": a graph model of TensorFlow.js (model.json and its weights) as model.onnx.

What comes in and flows through the graph is NCHW, as onnxruntime likes it; TensorFlow.js has NHWC. Height and width are
left open. Only the operations that the face models use are known; another raises ValueError.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)

Array = NDArray[Any]


def build(sources: Mapping[str, Path], into: Path, progress: Callable[[float], None]) -> None:
    """Make model.onnx of model.json and the weights that it names. Raises ValueError, KeyError."""
    described = json.loads(sources["model.json"].read_text())
    weights: dict[str, Array] = {}
    for group in described["weightsManifest"]:
        data = b"".join(sources[Path(path).name].read_bytes() for path in group["paths"])
        weights |= read_weights(group["weights"], data)
    progress(0.3)
    graph = _Graph(weights).convert(described["modelTopology"]["node"])
    model = onnx.shape_inference.infer_shapes(graph)
    onnx.checker.check_model(model)
    onnx.save(model, into / "model.onnx")
    progress(1.0)


def read_weights(described: Sequence[Mapping[str, Any]], data: bytes) -> dict[str, Array]:
    """Read weights by name; those of 8 bits with a scale are made 32-bit floats. Raises ValueError."""
    found: dict[str, Array] = {}
    at = 0
    for each in described:
        scale = each.get("quantization")
        kind = np.dtype(scale["dtype"] if scale else each["dtype"])
        count = int(np.prod(each["shape"], dtype=np.int64))
        values = np.frombuffer(data, kind.newbyteorder("<"), count, at).reshape(each["shape"])
        at += values.nbytes
        found[each["name"]] = (
            (values * scale["scale"] + scale["min"]).astype(np.float32) if scale else values
        )
    if at != len(data):
        raise ValueError(f"the weights have {len(data)} bytes, not {at}")
    return found


class _Graph:
    """A graph as it is converted, node by node."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def convert(self, nodes: Sequence[Mapping[str, Any]]) -> onnx.ModelProto:
        """Convert all nodes, which come in any order, into a model."""
        waiting = {node["name"]: node for node in nodes if node["op"] != "Const"}
        used = {name for node in waiting.values() for name in node.get("input", ())}
        while waiting:
            able = [
                node
                for node in waiting.values()
                if not any(name in waiting for name in node.get("input", ()))
            ]
            if not able:
                raise ValueError("the graph goes in a circle")
            for node in able:
                self._node(node)
                if node["name"] not in used:
                    self._outputs.append(_value(node["name"]))
                del waiting[node["name"]]
        graph = helper.make_graph(
            self._nodes, "tfjs", self._inputs, self._outputs, list(self._constants.values())
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def _node(self, node: Mapping[str, Any]) -> None:
        handler = _OPERATIONS.get(node["op"])
        if handler is None:
            raise ValueError(f"the operation {node['op']} is not known")
        handler(self, node["name"], node.get("input", ()), node.get("attr", {}))

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output."""
        self._nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: Array) -> str:
        """Add a constant; returns its name."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def weight(self, name: str) -> Array:
        """Get a weight."""
        return self._weights[name]

    def placeholder(self, name: str, _inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        channels = int(attributes["shape"]["shape"]["dim"][3]["size"])
        shape: list[int | str | None] = ["batch", channels, "height", "width"]
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def convolution(self, name: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Convolve; the bias and the rectifier that are fused with it follow in order."""
        kernel = self.constant(f"{name}/kernel", self.weight(inputs[1]).transpose(3, 2, 0, 1))
        fused = [_text(each) for each in attributes["fused_ops"]["list"]["s"]]
        if fused not in (["BiasAdd"], ["BiasAdd", "Relu"]):
            raise ValueError(f"{name} is fused with {fused}")
        bias = self.constant(f"{name}/bias", self.weight(inputs[2]))
        last = f"{name}/sum" if "Relu" in fused else name
        self.add("Conv", [inputs[0], kernel, bias], last, **_window(attributes))
        if "Relu" in fused:
            self.add("Relu", [last], name)

    def depthwise(self, name: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        weight = self.weight(inputs[1])
        height, width, channels, times = weight.shape
        kernel = weight.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)
        kernel_name = self.constant(f"{name}/kernel", kernel)
        self.add("Conv", [inputs[0], kernel_name], name, group=channels, **_window(attributes))

    def largest(self, name: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        size = _numbers(attributes, "ksize")[1:3]
        self.add("MaxPool", inputs, name, kernel_shape=size, **_window(attributes))

    def pad(self, name: str, inputs: Sequence[str], _attributes: Mapping[str, Any]) -> None:
        around = self.weight(inputs[1])[list(NHWC_TO_NCHW)].astype(np.int64)
        self.add("Pad", [inputs[0], self.constant(f"{name}/around", around.T.ravel())], name)

    def mean(self, name: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Average over height and width, the only mean there is in these models."""
        if sorted(self.weight(inputs[1]).ravel().tolist()) != [1, 2]:
            raise ValueError(f"{name} is not over height and width")
        keep = int(attributes["keep_dims"]["b"])
        self.add("ReduceMean", [inputs[0]], name, axes=[2, 3], keepdims=keep)

    def reshape(self, name: str, inputs: Sequence[str], _attributes: Mapping[str, Any]) -> None:
        """Reshape what is NHWC for that; the first axis stays the batch, the second takes what there is."""
        wanted = self.weight(inputs[1]).ravel().astype(np.int64)
        shape = np.concatenate([np.array([0, -1]), wanted[2:]])
        moved = self.add("Transpose", [inputs[0]], f"{name}/moved", perm=NCHW_TO_NHWC)
        self.add("Reshape", [moved, self.constant(f"{name}/shape", shape)], name)


def _same(operation: str) -> Callable[[_Graph, str, Sequence[str], Mapping[str, Any]], None]:
    """Make a handler for what ONNX has just so."""

    def handler(
        graph: _Graph, name: str, inputs: Sequence[str], _attributes: Mapping[str, Any]
    ) -> None:
        graph.add(operation, inputs, name)

    return handler


_OPERATIONS: Mapping[str, Callable[[_Graph, str, Sequence[str], Mapping[str, Any]], None]] = {
    "Placeholder": _Graph.placeholder,
    "_FusedConv2D": _Graph.convolution,
    "DepthwiseConv2dNative": _Graph.depthwise,
    "MaxPool": _Graph.largest,
    "Pad": _Graph.pad,
    "Mean": _Graph.mean,
    "Reshape": _Graph.reshape,
    "AddV2": _same("Add"),
    "Relu": _same("Relu"),
    "Softmax": _same("Softmax"),
    "Identity": _same("Identity"),
}


def _window(attributes: Mapping[str, Any]) -> dict[str, Any]:
    padding = {"SAME": "SAME_UPPER", "VALID": "VALID"}[_text(attributes["padding"]["s"])]
    return {"strides": _numbers(attributes, "strides")[1:3], "auto_pad": padding}


def _numbers(attributes: Mapping[str, Any], name: str) -> list[int]:
    return [int(each) for each in attributes[name]["list"]["i"]]


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


__all__ = ["build", "read_weights"]
