"""Where faces are: rectangles in pictures, as fractions of width and height, and how much two have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return self.width * self.height

    def clipped(self) -> Box:
        """Leave out what is not in the picture."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.width, 1.0), min(self.y + self.height, 1.0)
        return Box(left, top, max(right - left, 0.0), max(bottom - top, 0.0))

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        common = max(width, 0.0) * max(height, 0.0)
        whole = self.area + other.area - common
        return common / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """A face: where, how surely, and by what angle it is turned (radians, clockwise)."""

    box: Box
    score: float
    roll: float


__all__ = ["Box", "Found"]
