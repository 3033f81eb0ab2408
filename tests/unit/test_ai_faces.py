"""Faces: pictures that nobody should trust, recipes, rectangles, and what is made of scores; no trained network."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from parley.ai.v1 import ai_pb2
from PIL import Image

from services.ai import messages
from services.ai.domain import ImageInvalid, ImageTooLarge
from services.ai.faces import detector, face_api, pictures, tfjs
from services.ai.faces.expressions import ExpressionNetwork, cut
from services.ai.faces.geometry import Box, Found
from services.ai.faces.reading import EXPRESSIONS, UNCERTAIN, Face, FaceReader, Smoother
from services.ai.watching import Watcher

Array = NDArray[np.floating]
SOMEWHERE = Box(0.4, 0.3, 0.2, 0.3)


def file(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **how: Any) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size).save(content, kind, **how)
    return content.getvalue()


def whole(picture: pictures.Picture) -> Image.Image:
    return picture.small(picture.width, picture.height)


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


HOSTILE: Mapping[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "text": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "gif": file("GIF"),
    "bmp": file("BMP"),
    "tiff": file("TIFF"),
    "icon with a png in it": file("ICO"),
    "half a jpeg": file("JPEG", (640, 480))[:900],
    "half a png": file("PNG", (640, 480))[:200],
    "half a webp": file("WEBP", (640, 480))[:30],
    "jpeg's beginning alone": b"\xff\xd8\xff\xe0",
    "png with a broken sum": file("PNG").replace(b"IDAT", b"IDAX"),
    "too small": file("PNG", (8, 200)),
    "script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(ImageInvalid):
        pictures.decode(content)


@pytest.mark.parametrize(
    "size", [(5001, 5000), (60_000, 60_000), (20_000, 20), (2**31 - 1, 2**31 - 1)]
)
def test_a_picture_that_would_take_too_much_room_is_refused_before_it_is_unpacked(
    size: tuple[int, int],
) -> None:
    with pytest.raises((ImageTooLarge, ImageInvalid)) as caught:
        pictures.decode(png_that_says(*size))
    assert isinstance(caught.value, ImageTooLarge) or max(size) == 2**31 - 1


MODES = {
    "JPEG": ("RGB", "L", "CMYK", "1"),
    "PNG": ("RGB", "L", "RGBA", "P", "1", "I;16", "LA"),
    "WEBP": ("RGB", "L", "RGBA", "P"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes]
)
def test_every_kind_of_pixels_becomes_rgb(kind: str, mode: str) -> None:
    assert whole(pictures.decode(file(kind, mode=mode))).mode == "RGB"


def test_what_is_transparent_lies_on_white() -> None:
    content = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(content, "PNG")
    assert whole(pictures.decode(content.getvalue())).getpixel((5, 5)) == (255, 255, 255)


def test_large_pictures_are_made_smaller_and_keep_their_shape() -> None:
    assert max(whole(pictures.decode(file("PNG", (5000, 2500)))).size) == pictures.LARGE_SIDE
    width, height = whole(pictures.decode(file("JPEG", (5000, 2500)))).size
    assert width == 2 * height


def test_of_a_film_the_first_picture_is_taken() -> None:
    first, second = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    content = io.BytesIO()
    first.save(content, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert whole(pictures.decode(content.getvalue())).getpixel((5, 5)) == (255, 0, 0)


def test_exif_turns_a_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert whole(pictures.decode(file("JPEG", (64, 32), exif=exif))).size == (32, 64)


@pytest.mark.parametrize(
    ("y", "cb", "cr", "rgb"),
    [
        (16, 128, 128, (0, 0, 0)),
        (235, 128, 128, (255, 255, 255)),
        (81, 90, 240, (255, 0, 0)),
        (145, 54, 34, (0, 255, 0)),
        (41, 240, 110, (0, 0, 255)),
    ],
    ids=["black", "white", "red", "green", "blue"],
)
def test_frames_have_the_colours_that_they_should(
    y: int, cb: int, cr: int, rgb: tuple[int, int, int]
) -> None:
    """ITU-R BT.601's colour bars in 8 bits."""
    planes = bytes([y]) * 64 + bytes([cb]) * 16 + bytes([cr]) * 16
    shown = np.asarray(whole(pictures.from_i420(8, 8, planes)), np.int64)[4, 4]
    assert np.abs(shown - rgb).max() <= 3


@pytest.mark.parametrize(("width", "height", "size"), [(16, 16, 383), (17, 16, 408), (16, 15, 360)])
def test_a_frame_that_is_not_what_it_says_is_refused(width: int, height: int, size: int) -> None:
    with pytest.raises(ImageInvalid, match=f"{width} x {height}"):
        pictures.check_i420(width, height, size)


def test_boxes_overlap_by_what_they_share() -> None:
    assert SOMEWHERE.overlap(SOMEWHERE) == pytest.approx(1)
    assert SOMEWHERE.overlap(Box(0.5, 0.3, 0.2, 0.3)) == pytest.approx(1 / 3)
    assert SOMEWHERE.overlap(Box(0.6, 0.3, 0.2, 0.3)) == pytest.approx(0, abs=1e-9)
    assert Box(0, 0, 0, 0).overlap(Box(0, 0, 0, 0)) == 0
    assert Box(-0.5, 0.75, 1, 1).clipped() == Box(0, 0.75, 0.5, 0.25)


def scores(**likely: float) -> NDArray[np.float32]:
    rest = (1 - sum(likely.values())) / (len(EXPRESSIONS) - len(likely))
    return np.array([likely.get(name, rest) for name in EXPRESSIONS], np.float32)


@pytest.mark.parametrize(
    ("likely", "said"),
    [
        ({"happy": 0.9}, "happy"),
        ({"sad": 0.51}, "sad"),
        ({"sad": 0.49}, UNCERTAIN),
        ({"sad": 0.54, "neutral": 0.4}, UNCERTAIN),
        ({}, UNCERTAIN),
    ],
)
def test_an_expression_is_said_only_where_one_stands_out(
    likely: dict[str, float], said: str
) -> None:
    face = Face(SOMEWHERE, scores(**likely))
    assert face.expression == said
    assert messages.face(face).emotion == ai_pb2.Emotion.Value(f"EMOTION_{said.upper()}")


def test_one_odd_picture_does_not_change_what_is_shown_and_a_new_expression_does_in_time() -> None:
    smoother = Smoother()
    happy, sad = Face(SOMEWHERE, scores(happy=0.95)), Face(SOMEWHERE, scores(sad=0.95))
    said = []
    for at, face in enumerate([happy, happy, sad, happy, sad, sad, sad, sad]):
        (shown,) = smoother.smooth([face], float(at))
        said.append(shown.expression)
        assert shown.scores.sum() == pytest.approx(1, abs=1e-5)
    assert said[:4] == ["happy"] * 4
    assert said[-1] == "sad"


def test_faces_are_told_apart_by_where_they_are() -> None:
    smoother = Smoother()
    left, right = Box(0.1, 0.3, 0.2, 0.3), Box(0.7, 0.3, 0.2, 0.3)
    smoother.smooth([Face(left, scores(happy=0.9)), Face(right, scores(sad=0.9))], 0.0)
    moved = Box(0.68, 0.32, 0.2, 0.3)
    shown = smoother.smooth([Face(moved, scores(sad=0.9)), Face(left, scores(happy=0.9))], 1.0)
    assert [face.expression for face in shown] == ["sad", "happy"]
    assert shown[0].confidence == pytest.approx(0.9, abs=1e-5)


def test_who_was_away_for_long_or_before_a_jump_of_the_clock_begins_anew() -> None:
    for later in (6.0, -1.0):
        smoother = Smoother()
        smoother.smooth([Face(SOMEWHERE, scores(happy=0.9))], 0.0)
        (shown,) = smoother.smooth([Face(SOMEWHERE, scores(sad=0.9))], later)
        assert shown.confidence == pytest.approx(0.9, abs=1e-5)
        assert shown.expression == "sad"


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_face_is_cut_out_upright(turn: int) -> None:
    """A face whose upper half is white, turned clockwise in the picture."""
    face = Image.new("RGB", (100, 100), "black")
    face.paste((255, 255, 255), (0, 0, 100, 50))
    picture = Image.new("RGB", (300, 300), "red")
    picture.paste(face.rotate(-turn), (100, 100))
    found = Found(Box(1 / 3, 1 / 3, 1 / 3, 1 / 3), 0.9, math.radians(turn))
    out = cut(pictures.Picture(picture), found, margin=0.0, size=32)
    assert out.getpixel((16, 6)) == (255, 255, 255)
    assert out.getpixel((16, 26)) == (0, 0, 0)
    around = cut(pictures.Picture(picture), found, margin=0.5, size=32)
    assert around.getpixel((2, 16)) == (255, 0, 0)


def test_a_face_in_a_frame_has_its_colours_where_they_are() -> None:
    """A frame whose right half is red: chroma has a quarter of the pixels, and must not move."""
    half = np.zeros((32, 32), bool)
    half[:, 16:] = True
    y, cb, cr = (
        np.where(half, *levels).astype(np.uint8) for levels in ((81, 16), (90, 128), (240, 128))
    )
    planes = y.tobytes() + cb[::2, ::2].tobytes() + cr[::2, ::2].tobytes()
    frame = pictures.from_i420(32, 32, planes)
    part = np.asarray(cut(frame, Found(Box(0.25, 0.25, 0.5, 0.5), 0.9, 0.0), 0.0, 16), np.int64)
    assert np.abs(part[8, 4] - (0, 0, 0)).max() <= 3
    assert np.abs(part[8, 12] - (255, 0, 0)).max() <= 3


def test_boxes_of_the_same_face_are_averaged_and_others_are_not() -> None:
    same = [[0.5, 0.5, 0.2, 0.2], [0.52, 0.5, 0.2, 0.2]]
    other = [[0.2, 0.2, 0.1, 0.1]]
    boxes = np.array([[*each, *[0.0] * 12] for each in same + other], np.float32)
    found = list(detector._distinct(boxes, np.array([0.9, 0.9, 0.7], np.float32)))
    assert [round(float(values[0]), 3) for values, _ in found] == [0.51, 0.2]
    assert [round(score, 3) for _, score in found] == [0.9, 0.7]


def test_anchors_are_the_centres_of_their_cells_in_order() -> None:
    square = detector._anchors(256, 256)
    assert square.shape == (896, 2)
    assert square[:3].tolist() == [[8, 8], [8, 8], [24, 8]]
    assert square[512].tolist() == [16, 16]
    wide = detector._anchors(256, 160)
    assert wide[0].tolist() == [8, 8]
    assert wide[16 * 2].tolist() == [8, 24]
    assert wide.shape == (16 * 10 * 2 + 8 * 5 * 6, 2)


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((640, 360), (256, 160)),
        ((360, 640), (160, 256)),
        ((300, 300), (256, 256)),
        ((2000, 16), (256, 32)),
    ],
)
def test_a_face_is_placed_where_it_is_in_pictures_of_any_shape(
    size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    picture = Image.new("RGB", size)
    fitted, view = detector._fitted(pictures.Picture(picture))
    assert fitted.size == canvas
    middle = [canvas[0] / 2, canvas[1] / 2]
    eyes = [middle[0] - 10, middle[1] - 10, middle[0] + 10, middle[1] + 10]
    values = np.array([*middle, view.width / 4, view.height / 2, *eyes, *[0.0] * 8], np.float32)
    found = view.placed(values, 0.9)
    assert found.box.x == pytest.approx(0.375, abs=0.01)
    assert found.box.y == pytest.approx(0.25, abs=0.02)
    assert (found.box.width, found.box.height) == pytest.approx((0.25, 0.5))
    assert found.roll == pytest.approx(math.pi / 4, abs=0.02)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Graph:
    """A graph of TensorFlow.js, as its converter writes it."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[tuple[str, NDArray[Any]]] = []

    def weight(self, name: str, values: NDArray[Any]) -> str:
        self.weights.append((name, values))
        self.nodes.append({"name": name, "op": "Const"})
        return name

    def node(self, name: str, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(
            {"name": name, "op": operation, "input": list(inputs), "attr": attributes}
        )
        return name

    def input(self, name: str, *shape: int) -> str:
        sizes = [{"size": str(size)} for size in (-1, *shape)]
        return self.node(name, "Placeholder", (), shape={"shape": {"dim": sizes}})

    def built(self, folder: Path) -> onnxruntime.InferenceSession:
        described = [
            {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
            for name, values in self.weights
        ]
        whole = {
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["weights.bin"], "weights": described}],
        }
        sources = {"model.json": folder / "model.json", "weights.bin": folder / "weights.bin"}
        sources["model.json"].write_text(json.dumps(whole))
        sources["weights.bin"].write_bytes(b"".join(each.tobytes() for _, each in self.weights))
        into = folder / "built"
        into.mkdir()
        tfjs.build(sources, into, lambda _: None)
        return onnxruntime.InferenceSession(str(into / "model.onnx"))


def window(padding: str, *strides: int) -> dict[str, Any]:
    return {
        "padding": {"s": encoded(padding)},
        "strides": {"list": {"i": ["1", *map(str, strides), "1"]}},
    }


def test_a_convolution_of_tensorflow_is_the_same_in_onnx(tmp_path: Path) -> None:
    """3 x 3 over 4 x 4 at stride 2, SAME: what is missing is added at the lower right first, as TensorFlow has it."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(3, 3, 2, 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    graph = Graph()
    graph.node(
        "out",
        "_FusedConv2D",
        [graph.input("in", 4, 4, 2), graph.weight("kernel", kernel), graph.weight("bias", bias)],
        fused_ops={"list": {"s": [encoded("BiasAdd"), encoded("Relu")]}},
        **window("SAME", 2, 2),
    )
    picture = rng.normal(size=(4, 4, 2)).astype(np.float32)
    padded = np.pad(picture, ((0, 1), (0, 1), (0, 0)))
    expected = np.zeros((2, 2, 3), np.float32)
    for y in range(2):
        for x in range(2):
            part = padded[2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            expected[y, x] = np.tensordot(part, kernel, 3) + bias
    (out,) = graph.built(tmp_path).run(None, {"in": picture.transpose(2, 0, 1)[None]})
    np.testing.assert_allclose(out[0].transpose(1, 2, 0), expected.clip(0), atol=1e-5)


def test_the_other_operations_are_the_same_in_onnx(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(1, 1, 3, 1)).astype(np.float32)
    graph = Graph()
    given = graph.input("in", 4, 4, 3)
    deep = graph.node(
        "deep",
        "DepthwiseConv2dNative",
        [given, graph.weight("kernel", kernel)],
        **window("SAME", 1, 1),
    )
    total = graph.node("total", "AddV2", [given, deep])
    small = graph.node(
        "small",
        "MaxPool",
        [total],
        ksize={"list": {"i": ["1", "2", "2", "1"]}},
        **window("VALID", 2, 2),
    )
    around = np.array([[0, 0], [0, 0], [0, 0], [0, 1]], np.int32)
    wide = graph.node("wide", "Pad", [small, graph.weight("around", around)])
    shape = graph.weight("shape", np.array([1, 8, 2], np.int32))
    graph.node("flat", "Reshape", [wide, shape])
    axes = graph.weight("axes", np.array([1, 2], np.int32))
    graph.node("mean", "Softmax", [graph.node("m", "Mean", [wide, axes], keep_dims={"b": False})])
    picture = rng.normal(size=(4, 4, 3)).astype(np.float32)
    expected = picture * (1 + kernel[0, 0, :, 0])
    expected = expected.reshape(2, 2, 2, 2, 3).max((1, 3))
    expected = np.pad(expected, ((0, 0), (0, 0), (0, 1)))
    mean = np.exp(expected.mean((0, 1)))
    flat, softmax = graph.built(tmp_path).run(
        ["flat", "mean"], {"in": picture.transpose(2, 0, 1)[None]}
    )
    np.testing.assert_allclose(flat[0], expected.reshape(8, 2), atol=1e-5)
    np.testing.assert_allclose(softmax[0], mean / mean.sum(), atol=1e-5)


def _strange(graph: Graph) -> None:
    graph.node("out", "Elu", [graph.input("in", 4, 4, 3)])


def _fused_with_more(graph: Graph) -> None:
    kernel = graph.weight("kernel", np.zeros((1, 1, 3, 3), np.float32))
    bias = graph.weight("bias", np.zeros(3, np.float32))
    fused = {"list": {"s": [encoded("BiasAdd"), encoded("Elu")]}}
    graph.node("out", "_FusedConv2D", [graph.input("in", 4, 4, 3), kernel, bias], fused_ops=fused)


def _circle(graph: Graph) -> None:
    graph.node("a", "Relu", ["b"])
    graph.node("b", "Relu", ["a"])


def _mean_of_channels(graph: Graph) -> None:
    axes = graph.weight("axes", np.array([3], np.int32))
    graph.node("out", "Mean", [graph.input("in", 4, 4, 3), axes], keep_dims={"b": False})


@pytest.mark.parametrize("spoil", [_strange, _fused_with_more, _circle, _mean_of_channels])
def test_a_graph_with_anything_unknown_is_refused_and_not_guessed_at(
    tmp_path: Path, spoil: Callable[[Graph], None]
) -> None:
    graph = Graph()
    spoil(graph)
    with pytest.raises(ValueError, match=r"Elu|circle|height and width"):
        graph.built(tmp_path)


def test_weights_of_8_bits_are_scaled_and_what_is_left_over_is_refused() -> None:
    described: list[Mapping[str, Any]] = [
        {"name": "a", "shape": [2], "dtype": "float32"},
        {
            "name": "b",
            "shape": [3],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
    ]
    data = np.array([1.5, 2.5], "<f4").tobytes() + bytes([0, 2, 255])
    read = tfjs.read_weights(described, data)
    assert read["a"].tolist() == [1.5, 2.5]
    assert read["b"].tolist() == [-1.0, 0.0, 126.5]
    with pytest.raises(ValueError, match="have 12 bytes, not 11"):
        tfjs.read_weights(described, data + b"x")


def face_api_weights() -> list[tuple[str, NDArray[np.float32]]]:
    """Weights of face-api.js's expression network with two channels a block, in its order."""
    rng = np.random.default_rng(3)
    found: list[tuple[str, NDArray[np.float32]]] = []

    def add(name: str, *shape: int) -> None:
        found.append((name, rng.normal(scale=0.5, size=shape).astype(np.float32)))

    for block in range(4):
        for layer in range(4):
            name = f"dense{block}/conv{layer}"
            before = 3 if block == layer == 0 else 2
            if block == layer == 0:
                add(f"{name}/filters", 3, 3, 3, 2)
            else:
                add(f"{name}/depthwise_filter", 3, 3, before, 1)
                add(f"{name}/pointwise_filter", 1, 1, before, 2)
            add(f"{name}/bias", 2)
    add("fc/weights", 2, 7)
    add("fc/bias", 7)
    return found


def convolved(given: Array, kernel: Array, stride: int) -> Array:
    """Convolve HWC by HWIO, SAME, the slow way."""
    size = -(-given.shape[0] // stride)
    missing = max((size - 1) * stride + 3 - given.shape[0], 0)
    padded = np.pad(given, ((missing // 2, missing - missing // 2),) * 2 + ((0, 0),))
    out = np.zeros((size, size, kernel.shape[3]))
    for y in range(size):
        for x in range(size):
            part = padded[y * stride : y * stride + 3, x * stride : x * stride + 3]
            out[y, x] = np.tensordot(part, kernel, 3)
    return out


def face_api_scores(weights: Mapping[str, Array], picture: Array) -> Array:
    """What face-api.js computes, block by block (denseBlock4 and fullyConnectedLayer)."""

    def layer(name: str, given: Array, stride: int = 1) -> Array:
        if f"{name}/filters" in weights:
            plain: Array = convolved(given, weights[f"{name}/filters"], stride)
            return plain + weights[f"{name}/bias"]
        depth = weights[f"{name}/depthwise_filter"][:, :, :, 0]
        kernel = np.zeros((3, 3, len(depth[0, 0]), len(depth[0, 0])))
        for channel in range(len(depth[0, 0])):
            kernel[:, :, channel, channel] = depth[:, :, channel]
        deep = convolved(given, kernel, stride)
        mixed: Array = deep @ weights[f"{name}/pointwise_filter"][0, 0]
        return mixed + weights[f"{name}/bias"]

    last = (picture - np.array(face_api.MEAN_RGB)) / 255
    for block in range(4):
        one = layer(f"dense{block}/conv0", last, 2).clip(0)
        two = layer(f"dense{block}/conv1", one)
        three = layer(f"dense{block}/conv2", (one + two).clip(0))
        four = layer(f"dense{block}/conv3", (one + two + three).clip(0))
        last = (one + two + three + four).clip(0)
    logits = last.mean((0, 1)) @ weights["fc/weights"] + weights["fc/bias"]
    likely: Array = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    return likely


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with face-api.js's network, of weights that were never trained."""
    folder = tmp_path_factory.mktemp("network")
    weights = face_api_weights()
    described = [
        {"name": name, "shape": values.shape, "dtype": "float32"} for name, values in weights
    ]
    sources = {"model.json": folder / "given.json", "model.bin": folder / "given.bin"}
    sources["model.json"].write_text(json.dumps([{"weights": described}]))
    sources["model.bin"].write_bytes(b"".join(values.tobytes() for _, values in weights))
    face_api.build(sources, folder, lambda _: None)
    settings = {"size": 112, "is_grey": False, "mean": 0.0, "scale": 1.0, "margin": 0.0}
    labels = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]
    (folder / "settings.json").write_text(json.dumps({**settings, "labels": labels}))
    return folder


def test_face_apis_network_is_built_as_face_api_computes_it(network: Path) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (112, 112, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(network / "model.onnx"))
    (found,) = session.run(None, {"input": picture.transpose(2, 0, 1)[None]})
    np.testing.assert_allclose(
        found[0], face_api_scores(dict(face_api_weights()), picture), atol=1e-4
    )


def test_a_face_reads_the_same_in_a_mirror(network: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (112, 112, 3), np.uint8)
    all_of_it = Found(Box(0, 0, 1, 1), 0.9, 0.0)
    read = ExpressionNetwork(network).read
    np.testing.assert_allclose(
        read(pictures.Picture(Image.fromarray(pixels)), all_of_it),
        read(pictures.Picture(Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]))), all_of_it),
        atol=1e-5,
    )


def test_a_network_with_other_labels_is_refused(network: Path, tmp_path: Path) -> None:
    settings = json.loads((network / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "labels": ["smile"]}))
    with pytest.raises(ValueError, match="other labels than neutral, happy"):
        ExpressionNetwork(tmp_path)


class OneFace:
    """Finds a face and reads it as happy; keeps how bright the pictures were."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def find(self, picture: pictures.Picture) -> list[Found]:
        self.seen.append(int(np.asarray(whole(picture)).mean()))
        return [Found(SOMEWHERE, 0.9, 0.0)]

    def read(self, picture: pictures.Picture, found: Found) -> NDArray[np.float32]:
        return scores(happy=0.9)


def grey(luma: int, seconds: float) -> ai_pb2.VideoFrame:
    planes = bytes([luma]) * 256 + bytes([128]) * 128
    return ai_pb2.VideoFrame(width=16, height=16, planes=planes, offset=messages.duration(seconds))


async def test_of_pictures_that_come_too_fast_the_newest_is_read_and_the_last_always() -> None:
    one, told = OneFace(), []

    async def tell(faces: Sequence[Face], at: float) -> None:
        told.append((at, [face.expression for face in faces]))

    with ThreadPoolExecutor(1) as executor:
        watcher = Watcher(FaceReader(one, one), executor, tell)
        for number, luma in enumerate((16, 126, 235)):
            watcher.take(grey(luma, float(number)))
        watcher.finish()
        await asyncio.wait_for(watcher.run(), 10)
    assert one.seen == [255]
    assert told == [(2.0, ["happy"])]
