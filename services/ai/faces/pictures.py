"""Pictures: files that people send, of which none is trusted, and frames that decoders give.

A file is JPEG, PNG or WebP by what it holds, whatever it is called; its size is known before anything is unpacked, only
its first picture is read, and it is turned as its EXIF says.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable

from PIL import Image, ImageFile, ImageOps

from services.ai.domain import ImageInvalid, ImageTooLarge

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 25_000_000
MAX_SIDE = 16_384
MIN_SIDE = 16
LARGE_SIDE = 2048
"""Larger pictures are made smaller: faces are looked for in far smaller ones."""

ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode(content: bytes) -> Picture:
    """Decode a file. Raises ImageInvalid, ImageTooLarge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture that is odd, yet can be read
            with Image.open(io.BytesIO(content), formats=FORMATS) as file:
                _check_size(*file.size)
                file.draft("RGB", (LARGE_SIDE, LARGE_SIDE))  # JPEG: decoded smaller at once
                file.load()
                picture = _as_rgb(ImageOps.exif_transpose(file))
    except (ImageInvalid, ImageTooLarge):
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(pixels=str(MAX_PIXELS)) from None
    except Exception as error:  # noqa: BLE001  # a decoder of hostile bytes raises whatever it likes
        raise ImageInvalid(cause=type(error).__name__) from None
    picture.thumbnail((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BILINEAR)
    return Picture(picture)


class Picture:
    """A picture from which parts are taken in RGB, at the size that they are needed in: only those are converted."""

    def __init__(self, *planes: Image.Image) -> None:
        self._planes = planes
        self.width, self.height = planes[0].size

    def small(self, width: int, height: int) -> Image.Image:
        """Make all of it small."""
        return _joined(
            plane.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
            for plane in self._planes
        )

    def square(
        self, centre: tuple[float, float], side: float, roll: float, size: int
    ) -> Image.Image:
        """Take a square of `side` pixels, turned clockwise by `roll` (radians), at a size of `size` pixels."""
        return _joined(
            _square(plane, centre, side, roll, size, plane.width / self.width)
            for plane in self._planes
        )


def _square(
    plane: Image.Image,
    centre: tuple[float, float],
    side: float,
    roll: float,
    size: int,
    scale: float,
) -> Image.Image:
    """Take a square of a plane that is `scale` times as large as the picture."""
    around = side * (abs(math.cos(roll)) + abs(math.sin(roll))) / 2
    left, top = (int((each - around) * scale) - 1 for each in centre)
    right, bottom = (int((each + around) * scale) + 2 for each in centre)
    part = plane.crop((left, top, right, bottom))
    reduce = max(
        int(side * scale / size / 2), 1
    )  # otherwise most pixels of a large face would not count
    part = part.reduce(reduce) if reduce > 1 else part
    across, down = (turn(roll) * side * scale / size / reduce for turn in (math.cos, math.sin))
    x, y = (centre[0] * scale - left) / reduce, (centre[1] * scale - top) / reduce
    corner = (x - size / 2 * (across - down), y - size / 2 * (across + down))
    into = (across, -down, corner[0], down, across, corner[1])
    return part.transform((size, size), Image.Transform.AFFINE, into, Image.Resampling.BILINEAR)


def _joined(planes: Iterable[Image.Image]) -> Image.Image:
    """Make RGB of RGB, or of Y, Cb and Cr in video range."""
    first, *chroma = planes
    if not chroma:
        return first
    stretched = [first.point(_LUMA), *(each.point(_CHROMA) for each in chroma)]
    return Image.merge("YCbCr", stretched).convert("RGB")


def from_i420(width: int, height: int, planes: bytes) -> Picture:
    """Make a picture of 8-bit planar Y'CbCr 4:2:0 in video range (BT.601), checked by `check_i420`."""
    luma, chroma, half = width * height, width * height // 4, (width // 2, height // 2)
    return Picture(
        Image.frombytes("L", (width, height), planes[:luma]),
        Image.frombytes("L", half, planes[luma : luma + chroma]),
        Image.frombytes("L", half, planes[luma + chroma :]),
    )


def check_i420(width: int, height: int, size: int) -> None:
    """Raise ImageInvalid when so many bytes are no such frame."""
    if width % 2 or height % 2 or size != width * height * 3 // 2:
        raise ImageInvalid(text=f"The frame is not {width} x {height} in I420.")


def _stretched(low: int, high: int, centre: int) -> list[int]:
    """Map video range, from `low` to `high`, to all of 0 to 255."""
    scale = 255 / (high - low)
    base = low if centre == 0 else 128
    return [min(255, max(0, round((value - base) * scale + centre))) for value in range(256)]


_LUMA = _stretched(16, 235, 0)
_CHROMA = _stretched(16, 240, 128)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageTooLarge(pixels=str(MAX_PIXELS))
    if min(width, height) < MIN_SIDE:
        raise ImageInvalid(text=f"The picture is smaller than {MIN_SIDE} pixels.")


def _as_rgb(picture: Image.Image) -> Image.Image:
    """Convert to RGB; what is transparent lies on white."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    if picture.mode.startswith("I;16"):
        return picture.point(lambda value: value / 256).convert("L").convert("RGB")
    return picture.convert("RGB")


__all__ = ["Picture", "check_i420", "decode", "from_i420"]
