"""What reading expressions costs: a frame from the bytes that the media service sends to scores, one thread, CPU time.

Faces are those of a photograph that @vladmandic/face-api ships; the frame is what a camera's layers have. Part of
`./parley bench ai`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from services.ai import models
from services.ai.faces import pictures
from services.ai.faces.detector import BlazeFace
from services.ai.faces.expressions import ExpressionNetwork
from services.ai.faces.reading import FaceReader
from services.ai.models.bench import median_ms
from stack.bench import Figure

BAR_MS = 10.0
SIZES = ((320, 180), (640, 360), (1280, 720))


def figures(cache: Path, photograph: Path) -> list[Figure]:
    """Measure one face (the bar is 10 ms) and each further one, in frames of several sizes."""
    found = []
    reader = _reader(cache)
    whole = Image.open(photograph).convert("RGB")
    faces = reader.read(pictures.Picture(whole))
    box = faces[0].box
    half = box.height * whole.height
    x, y = (box.x + box.width / 2) * whole.width, (box.y + box.height / 2) * whole.height
    one = whole.crop((int(x - half), int(y - half), int(x + half), int(y + half)))
    for size in SIZES:
        alone, many = _i420(one, size), _i420(whole, size)
        count = len(reader.read(pictures.from_i420(*size, many)))
        first = median_ms(lambda: reader.read(pictures.from_i420(*size, alone)))  # noqa: B023
        all_of_them = median_ms(lambda: reader.read(pictures.from_i420(*size, many)))  # noqa: B023
        name = f"expressions, {size[0]} x {size[1]}"
        found.append(Figure(f"{name}, one face", first, "ms", f"< {BAR_MS:.0f}", first < BAR_MS))
        each = all_of_them / max(count, 1)
        found.append(
            Figure(f"{name}, a face of {count}", each, "ms", f"< {BAR_MS:.0f}", each < BAR_MS)
        )
    return found


def _reader(cache: Path) -> FaceReader:
    known = models.manifests()
    folders = [
        models.prepare(models.choose(known, task), cache, lambda *_: None)
        for task in ("face-detection", "expression")
    ]
    return FaceReader(BlazeFace(folders[0]), ExpressionNetwork(folders[1]))


def _i420(picture: Image.Image, size: tuple[int, int]) -> bytes:
    """Put a picture into the middle of a frame, as decoders give it."""
    frame = Image.new("RGB", size)
    fitted = picture.copy()
    fitted.thumbnail(size)
    frame.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    y, cb, cr = (np.asarray(plane, np.float32) for plane in frame.convert("YCbCr").split())
    luma = 16 + y * (219 / 255)
    chroma = [128 + (each[::2, ::2] - 128) * (224 / 255) for each in (cb, cr)]
    return b"".join(each.round().astype(np.uint8).tobytes() for each in (luma, *chroma))


__all__ = ["figures"]
