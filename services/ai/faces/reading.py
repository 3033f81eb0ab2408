"""What faces show: the networks are given, this is what is made of their scores. Pure but for them.

An expression is said only where one stands out; elsewhere it is uncertain. From picture to picture of a stream scores are
averaged over some seconds, face by face: one is the same as that at nearly the same place in the picture before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.ai.faces.geometry import Box, Found
from services.ai.faces.pictures import Picture

EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
UNCERTAIN = "uncertain"
MIN_SCORE = 0.5
MIN_LEAD = 0.2
"""What stands out has at least this score, and is this far ahead of the next."""
SMOOTH_SECONDS = 2.5
"""After so long a new expression makes up 63 % of what is shown."""
FORGET_SECONDS = 5.0
SAME_FACE = 0.25

Scores = NDArray[np.float32]


class Detector(Protocol):
    """Finds faces."""

    def find(self, picture: Picture) -> list[Found]:
        """Find the faces of a picture, largest first."""
        ...


class Expressions(Protocol):
    """Reads expressions."""

    def read(self, picture: Picture, found: Found) -> Scores:
        """Read a face; returns how likely each of EXPRESSIONS is."""
        ...


@dataclass(frozen=True, slots=True)
class Face:
    """A face and how likely each of EXPRESSIONS is."""

    box: Box
    scores: Scores

    @property
    def expression(self) -> str:
        """What stands out, or UNCERTAIN."""
        second, first = np.argsort(self.scores)[-2:]
        lead = self.scores[first] - self.scores[second]
        stands_out = self.scores[first] >= MIN_SCORE and lead >= MIN_LEAD
        return EXPRESSIONS[first] if stands_out else UNCERTAIN

    @property
    def confidence(self) -> float:
        """How likely the likeliest is."""
        return float(self.scores.max())


class FaceReader:
    """Finds faces in pictures and reads them."""

    def __init__(self, detector: Detector, expressions: Expressions) -> None:
        self._detector = detector
        self._expressions = expressions

    def read(self, picture: Picture) -> list[Face]:
        """Read the faces of a picture, largest first."""
        return [
            Face(found.box, self._expressions.read(picture, found))
            for found in self._detector.find(picture)
        ]


@dataclass(slots=True)
class _Track:
    box: Box
    scores: Scores
    seen: float


class Smoother:
    """The faces of one stream over time."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []

    def smooth(self, faces: Sequence[Face], at: float) -> list[Face]:
        """Take the faces of the picture `at` seconds of the stream's clock; returns them with scores smoothed."""
        known = [each for each in self._tracks if 0 <= at - each.seen <= FORGET_SECONDS]
        self._tracks = []
        smoothed = []
        for face in faces:
            track = max(known, key=lambda each: each.box.overlap(face.box), default=None)
            scores = face.scores
            if track is not None and track.box.overlap(face.box) >= SAME_FACE:
                known.remove(track)
                share = 1 - math.exp(-(at - track.seen) / SMOOTH_SECONDS)
                scores = track.scores + np.float32(share) * (face.scores - track.scores)
            self._tracks.append(_Track(face.box, scores, at))
            smoothed.append(Face(face.box, scores))
        self._tracks += known
        return smoothed


__all__ = [
    "EXPRESSIONS",
    "UNCERTAIN",
    "Detector",
    "Expressions",
    "Face",
    "FaceReader",
    "Scores",
    "Smoother",
]
