"""Reads expressions of faces by a small network on onnxruntime, whose input settings.json describes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from services.ai.faces.geometry import Found
from services.ai.faces.pictures import Picture
from services.ai.faces.reading import EXPRESSIONS, Scores
from services.ai.sessions import session


@dataclass(frozen=True, slots=True)
class Settings:
    """What the network takes and gives: see docs/ai.md."""

    size: int
    is_grey: bool
    mean: float
    scale: float
    margin: float
    labels: Sequence[str]


class ExpressionNetwork:
    """The network in a model's folder. Raises ValueError when its labels are not the expressions."""

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(**json.loads((folder / "settings.json").read_text()))
        if sorted(self._settings.labels) != sorted(EXPRESSIONS):
            raise ValueError(f"{folder.name} has other labels than {', '.join(EXPRESSIONS)}")
        self._order = [self._settings.labels.index(name) for name in EXPRESSIONS]
        self._session: onnxruntime.InferenceSession = session(folder / "model.onnx")
        self._input = self._session.get_inputs()[0].name

    def read(self, picture: Picture, found: Found) -> Scores:
        """Read a face of a picture; returns how likely each of EXPRESSIONS is, together 1.

        The network reads it twice, as it is and mirrored: it is less often sure and wrong.
        """
        face = cut(picture, found, self._settings.margin, self._settings.size)
        pixels = np.asarray(face.convert("L") if self._settings.is_grey else face, np.float32)
        planes = pixels[None] if self._settings.is_grey else pixels.transpose(2, 0, 1)
        given = (
            np.stack([planes, planes[:, :, ::-1]]) - self._settings.mean
        ) / self._settings.scale
        scores: NDArray[np.float32] = self._session.run(None, {self._input: given})[0].mean(0)
        return scores[self._order]


def cut(picture: Picture, found: Found, margin: float, size: int) -> Image.Image:
    """Cut a face out, upright, as a square with a margin around it (a share of its size)."""
    box, width, height = found.box, picture.width, picture.height
    centre = ((box.x + box.width / 2) * width, (box.y + box.height / 2) * height)
    side = max(box.width * width, box.height * height) * (1 + 2 * margin)
    return picture.square(centre, side, found.roll, size)


__all__ = ["ExpressionNetwork", "cut"]
