"""Whisper's two networks as ONNX graphs, in 32-bit floats. `{l}` counts the decoder's layers from 0.

- **encoder**: `mel` [1, 80, 2 T] → `cross_keys_{l}` [heads, width, T] and `cross_values_{l}` [heads, T, width], which is
  what the decoder's cross attention looks at.
- **decoder**: `tokens` [n] after `past_keys_{l}` [heads, width, p] and `past_values_{l}` [heads, p, width] →
  `logits` [n - skipped, vocabulary] of all tokens but the first `skipped` [1], `keys_{l}` and `values_{l}` with n more
  positions, and `attention` [heads that align, n, T], by which words are timed.

Each layer has inputs and outputs of its own: cutting them out of one tensor would copy 20 MB for each token. Names of
weights are CTranslate2's; its scores are scaled by width^-0.5, its blocks normalise first.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.ai.whisper.weights import Weights

OPSET = 20
IR_VERSION = 10
HEAD_WIDTH = 64


class _Graph:
    """A graph in the making. Values are known by their names."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._names = (f"v{number}" for number in itertools.count())

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant(f"ints_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or next(self._names)
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def linear(
        self, value: str, name: str, *, rows: slice = slice(None), scale: float = 1.0
    ) -> str:
        """Multiply by (the rows of) a weight, and add its bias if it has one."""
        part = f"{name}.{rows.start}.{rows.stop}"
        matrix = self.constant(
            f"{part}.matrix", self.weights[f"{name}/weight"][rows].T * np.float32(scale)
        )
        product = self.add("MatMul", value, matrix)
        bias = self.weights.get(f"{name}/bias")
        if bias is None:
            return product
        return self.add(
            "Add", product, self.constant(f"{part}.bias", bias[rows] * np.float32(scale))
        )

    def normalised(self, value: str, name: str) -> str:
        gamma, beta = self.weight(f"{name}/gamma"), self.weight(f"{name}/beta")
        return self.add("LayerNormalization", value, gamma, beta, axis=-1, epsilon=1e-5)

    def heads(self, value: str, count: int, order: Sequence[int], output: str = "") -> str:
        """Split [n, d] into heads [n, h, w] and put the axes in order."""
        split = self.add("Reshape", value, self.ints(-1, count, HEAD_WIDTH))
        return self.add("Transpose", split, perm=order, output=output)

    def joined(self, value: str, width: int) -> str:
        """Put [h, n, w] together again, [n, d]."""
        return self.add(
            "Reshape", self.add("Transpose", value, perm=(1, 0, 2)), self.ints(-1, width)
        )

    def feed_forward(self, value: str, name: str) -> str:
        inner = self.linear(self.normalised(value, f"{name}/layer_norm"), f"{name}/linear_0")
        return self.add("Add", value, self.linear(self.add("Gelu", inner), f"{name}/linear_1"))

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        return model


def encoder(weights: Weights) -> onnx.ModelProto:
    """Make the encoder's graph."""
    graph = _Graph(weights)
    width = weights["encoder/layer_norm/gamma"].shape[0]
    heads = width // HEAD_WIDTH
    value = "mel"
    for name, stride in (("encoder/conv1", 1), ("encoder/conv2", 2)):
        kernel, bias = graph.weight(f"{name}/weight"), graph.weight(f"{name}/bias")
        value = graph.add(
            "Conv", value, kernel, bias, strides=[stride], pads=[1, 1], kernel_shape=[3]
        )
        value = graph.add("Gelu", value)
    value = graph.add("Transpose", graph.add("Squeeze", value, graph.ints(0)), perm=(1, 0))
    length = graph.add("Shape", value, start=0, end=1)
    positions = graph.constant("positions", weights["encoder/position_encodings/encodings"])
    value = graph.add(
        "Add", value, graph.add("Slice", positions, graph.ints(0), length, graph.ints(0))
    )
    for layer in range(_layers(weights, "encoder")):
        value = _encoder_layer(graph, value, f"encoder/layer_{layer}", width, heads)
    value = graph.normalised(value, "encoder/layer_norm")
    layers = _layers(weights, "decoder")
    for layer in range(layers):
        name = f"decoder/layer_{layer}/attention/linear_1"
        keys = graph.linear(value, name, rows=slice(0, width))
        graph.heads(keys, heads, (1, 2, 0), output=f"cross_keys_{layer}")
        values = graph.linear(value, name, rows=slice(width, 2 * width))
        graph.heads(values, heads, (1, 0, 2), output=f"cross_values_{layer}")
    inputs = [_floats("mel", [1, 80, "frames"])]
    return graph.model("whisper-encoder", inputs, _remembered("cross_", layers, heads, "positions"))


def _encoder_layer(graph: _Graph, value: str, name: str, width: int, heads: int) -> str:
    seen = graph.normalised(value, f"{name}/self_attention/layer_norm")
    scale = HEAD_WIDTH**-0.5
    fused = f"{name}/self_attention/linear_0"
    query = graph.heads(
        graph.linear(seen, fused, rows=slice(0, width), scale=scale), heads, (1, 0, 2)
    )
    key = graph.heads(graph.linear(seen, fused, rows=slice(width, 2 * width)), heads, (1, 2, 0))
    content = graph.heads(
        graph.linear(seen, fused, rows=slice(2 * width, 3 * width)), heads, (1, 0, 2)
    )
    scores = graph.add("Softmax", graph.add("MatMul", query, key), axis=-1)
    mixed = graph.joined(graph.add("MatMul", scores, content), width)
    value = graph.add("Add", value, graph.linear(mixed, f"{name}/self_attention/linear_1"))
    return graph.feed_forward(value, f"{name}/ffn")


def decoder(weights: Weights, aligning: Sequence[tuple[int, int]]) -> onnx.ModelProto:
    """Make the decoder's graph. `aligning`: the (layer, head)s of cross attention that tell when words are said."""
    graph = _Graph(weights)
    width = weights["decoder/layer_norm/gamma"].shape[0]
    heads, layers = width // HEAD_WIDTH, _layers(weights, "decoder")
    past = graph.add("Shape", "past_keys_0", start=2, end=3)
    count = graph.add("Shape", "tokens", start=0, end=1)
    total = graph.add("Add", past, count)
    halves = weights["decoder/embeddings/weight"].astype(np.float16)  # as they were published
    embedded = graph.add("Gather", graph.constant("embeddings", halves), "tokens", axis=0)
    embedded = graph.add("Cast", embedded, to=TensorProto.FLOAT)
    positions = graph.weight("decoder/position_encodings/encodings")
    value = graph.add("Add", embedded, graph.add("Slice", positions, past, total, graph.ints(0)))
    mask = _causal_mask(graph, past, total)
    attention = []
    for layer in range(layers):
        name = f"decoder/layer_{layer}"
        value = _self_attention(graph, value, f"{name}/self_attention", layer, mask, width, heads)
        value, weight = _cross_attention(graph, value, f"{name}/attention", layer, width, heads)
        picked = [head for at, head in aligning if at == layer]
        if picked:
            attention.append(graph.add("Gather", weight, graph.ints(*picked), axis=0))
        value = graph.feed_forward(value, f"{name}/ffn")
    wanted = graph.add("Slice", value, "skipped", count, graph.ints(0))
    value = graph.normalised(wanted, "decoder/layer_norm")
    projection = graph.constant("projection.matrix", weights["decoder/projection/weight"].T)
    graph.add("MatMul", value, projection, output="logits")
    graph.add("Concat", *attention, output="attention", axis=0)
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("skipped", TensorProto.INT64, [1]),
        *_remembered("past_", layers, heads, "past"),
        *_remembered("cross_", layers, heads, "positions"),
    ]
    outputs = [
        _floats("logits", ["wanted", weights["decoder/projection/weight"].shape[0]]),
        _floats("attention", ["aligning", "n", "positions"]),
        *_remembered("", layers, heads, "total"),
    ]
    return graph.model("whisper-decoder", inputs, outputs)


def _causal_mask(graph: _Graph, past: str, total: str) -> str:
    """Make [n, total]: 0 where a token may look, far below where it may not."""
    zero, one = graph.constant("zero", np.int64(0)), graph.constant("one", np.int64(1))
    first, last = graph.add("Squeeze", past), graph.add("Squeeze", total)
    rows = graph.add("Unsqueeze", graph.add("Range", first, last, one), graph.ints(1))
    columns = graph.add("Unsqueeze", graph.add("Range", zero, last, one), graph.ints(0))
    hidden = graph.constant("hidden", np.float32(-1e9))
    seen = graph.constant("seen", np.float32(0))
    return graph.add("Where", graph.add("Greater", columns, rows), hidden, seen)


def _self_attention(
    graph: _Graph, value: str, name: str, layer: int, mask: str, width: int, heads: int
) -> str:
    seen = graph.normalised(value, f"{name}/layer_norm")
    fused = f"{name}/linear_0"
    query = graph.heads(
        graph.linear(seen, fused, rows=slice(0, width), scale=HEAD_WIDTH**-0.5), heads, (1, 0, 2)
    )
    key = graph.heads(graph.linear(seen, fused, rows=slice(width, 2 * width)), heads, (1, 2, 0))
    content = graph.heads(
        graph.linear(seen, fused, rows=slice(2 * width, 3 * width)), heads, (1, 0, 2)
    )
    key = graph.add("Concat", f"past_keys_{layer}", key, output=f"keys_{layer}", axis=2)
    content = graph.add("Concat", f"past_values_{layer}", content, output=f"values_{layer}", axis=1)
    scores = graph.add("Softmax", graph.add("Add", graph.add("MatMul", query, key), mask), axis=-1)
    mixed = graph.joined(graph.add("MatMul", scores, content), width)
    return graph.add("Add", value, graph.linear(mixed, f"{name}/linear_1"))


def _cross_attention(
    graph: _Graph, value: str, name: str, layer: int, width: int, heads: int
) -> tuple[str, str]:
    seen = graph.normalised(value, f"{name}/layer_norm")
    query = graph.heads(
        graph.linear(seen, f"{name}/linear_0", scale=HEAD_WIDTH**-0.5), heads, (1, 0, 2)
    )
    scores = graph.add("MatMul", query, f"cross_keys_{layer}")
    weight = graph.add("Softmax", scores, axis=-1)
    mixed = graph.add("MatMul", weight, f"cross_values_{layer}")
    return graph.add(
        "Add", value, graph.linear(graph.joined(mixed, width), f"{name}/linear_2")
    ), weight


def _remembered(prefix: str, layers: int, heads: int, length: str) -> list[onnx.ValueInfoProto]:
    """Describe keys and values of each layer."""
    return [
        each
        for layer in range(layers)
        for each in (
            _floats(f"{prefix}keys_{layer}", [heads, HEAD_WIDTH, length]),
            _floats(f"{prefix}values_{layer}", [heads, length, HEAD_WIDTH]),
        )
    ]


def _layers(weights: Weights, part: str) -> int:
    return next(
        n for n in itertools.count() if f"{part}/layer_{n}/ffn/linear_0/weight" not in weights
    )


def _floats(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


__all__ = ["decoder", "encoder"]
