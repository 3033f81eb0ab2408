"""A camera for browsers: a short film that costs about what a person before a textured wall does (YUV4MPEG2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float64]

FRAMES_PER_SECOND = 15
SECONDS = 6
WIDTH, HEIGHT = 960, 540
"""The smallest picture of which Chromium sends three simulcast layers."""


def film(path: Path) -> None:
    """Write the film; it ends where it began, since browsers play it again and again."""
    rng = np.random.default_rng(4)
    wall, face = _texture(rng, 6), _texture(rng, 3)
    count = FRAMES_PER_SECOND * SECONDS
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420\n".encode())
        for number in range(count):
            luma = _frame(wall, face, 2 * np.pi * number / count) + rng.normal(0, 2, wall.shape)
            file.write(b"FRAME\n" + np.clip(luma, 16, 235).astype(np.uint8).tobytes())
            chroma = np.clip(128 + (luma[::2, ::2] - 128) / 4, 16, 240).astype(np.uint8)
            file.write(chroma.tobytes() + (255 - chroma).tobytes())


def _frame(wall: Plane, face: Plane, angle: float) -> Plane:
    """Draw somebody who sways and nods before a wall, once around in 2 pi."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    shift_x, shift_y = int(60 * np.sin(angle)), int(20 * np.sin(3 * angle))
    inside = ((x - WIDTH / 2 - shift_x) / 150) ** 2 + ((y - HEIGHT / 2 - shift_y) / 200) ** 2 < 1
    return np.where(inside, np.roll(face, (shift_y, shift_x), (0, 1)), wall)


def _texture(rng: np.random.Generator, grain: int) -> Plane:
    """Make smooth noise whose features are some `2 ** grain` pixels wide, and finer ones on it."""
    texture = np.full((HEIGHT, WIDTH), 128.0)
    for level in range(2, grain + 1):
        size = 2**level
        coarse = rng.normal(0, 6 * level, (HEIGHT // size + 1, WIDTH // size + 1))
        texture += np.kron(coarse, np.ones((size, size)))[:HEIGHT, :WIDTH]
    return texture


__all__ = ["FRAMES_PER_SECOND", "HEIGHT", "WIDTH", "film"]
