"""Finds faces by BlazeFace on onnxruntime: one session, one thread per inference, shared by all.

The picture is made to fit into 256 x 256. Each anchor of two grids, 896 where it is square, says how likely a face is there and where, with
its eyes (BlazeFace, arXiv:1907.05047). Several anchors see the same face: their boxes are averaged by likelihood.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from services.ai.faces.geometry import Box, Found
from services.ai.faces.pictures import Picture
from services.ai.sessions import session

SIZE = 256
GRIDS = ((16, 2), (32, 6))
"""Pixels of a cell's side and anchors of a cell, in the order of the network's outputs."""
OUTPUTS = ("Identity", "Identity_1", "Identity_2", "Identity_3")
MIN_SCORE = 0.6
SAME_FACE = 0.3
"""Boxes that overlap more are of one face."""
MAX_FACES = 16
MIN_PIXELS = 16
"""Smaller faces show nothing."""

Floats = NDArray[np.floating]


class BlazeFace:
    """The network in a model's folder."""

    def __init__(self, folder: Path) -> None:
        self._session: onnxruntime.InferenceSession = session(folder / "model.onnx")

    def find(self, picture: Picture) -> list[Found]:
        """Find the faces of a picture, largest first."""
        canvas, view = _fitted(picture)
        pixels = np.asarray(canvas, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        first, second, *places = self._session.run(OUTPUTS, {"input": pixels})
        scores = _sigmoid(np.concatenate([first, second], 1)[0, :, 0])
        likely = np.flatnonzero(scores >= MIN_SCORE)
        faces = np.concatenate(places, 1)[0, likely]
        anchors = _anchors(canvas.width, canvas.height)[likely]
        for point in (0, *range(4, faces.shape[1], 2)):
            faces[:, point : point + 2] += anchors
        found = (view.placed(face, score) for face, score in _distinct(faces, scores[likely]))
        large = [face for face in found if face.box.width * picture.width >= MIN_PIXELS]
        return sorted(large, key=lambda face: -face.box.area)[:MAX_FACES]


@dataclass(frozen=True, slots=True)
class _View:
    """How a picture lies on the network's canvas, in pixels of it; `aspect` is the picture's height by its width."""

    left: int
    top: int
    width: int
    height: int
    aspect: float

    def placed(self, values: Floats, score: float) -> Found:
        """Bring a face into the picture."""
        fitted = np.array([self.width, self.height], np.float32)
        points = (values.reshape(-1, 2) - (self.left, self.top)) / fitted
        size = values[2:4] / fitted
        x, y = (float(value) for value in points[0] - size / 2)
        across = points[3] - points[2]  # from the picture's left eye to its right one
        roll = math.atan2(float(across[1]) * self.aspect, float(across[0]))
        return Found(Box(x, y, float(size[0]), float(size[1])).clipped(), score, roll)


def _fitted(picture: Picture) -> tuple[Image.Image, _View]:
    """Make a picture small, on a canvas of whole cells: what is not there costs no time."""
    scale = SIZE / max(picture.width, picture.height)
    width, height = (max(round(side * scale), 1) for side in (picture.width, picture.height))
    canvas = Image.new("RGB", (_whole_cells(width), _whole_cells(height)))
    left, top = (canvas.width - width) // 2, (canvas.height - height) // 2
    canvas.paste(picture.small(width, height), (left, top))
    return canvas, _View(left, top, width, height, picture.height / picture.width)


def _whole_cells(side: int) -> int:
    largest = max(cell for cell, _ in GRIDS)
    return -(-side // largest) * largest


@functools.lru_cache(maxsize=32)
def _anchors(width: int, height: int) -> Floats:
    """Make the centres of all anchors of a canvas, in its pixels."""
    grids = []
    for cell, each in GRIDS:
        down, across = (np.arange(side // cell) * cell + cell / 2 for side in (height, width))
        y, x = np.meshgrid(down, across, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), each, 0))
    return np.concatenate(grids).astype(np.float32)


def _distinct(boxes: Floats, scores: Floats) -> Iterator[tuple[Floats, float]]:
    """Average those that are of the same face, likeliest first, as BlazeFace has it."""
    waiting = list(np.argsort(-scores))
    while waiting:
        best = _box(boxes[waiting[0]])
        same = [each for each in waiting if best.overlap(_box(boxes[each])) > SAME_FACE]
        same = same or waiting[:1]
        yield np.average(boxes[same], 0, scores[same]), float(scores[waiting[0]])
        waiting = [each for each in waiting if each not in same]


def _box(values: Floats) -> Box:
    x, y, width, height = (float(value) for value in values[:4])
    return Box(x - width / 2, y - height / 2, width, height)


def _sigmoid(values: Floats) -> Floats:
    squashed: Floats = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return squashed


__all__ = ["MAX_FACES", "BlazeFace"]
