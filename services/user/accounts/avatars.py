"""Pictures of people: files that anybody may send, of which none is trusted.

What is kept is a WebP of our own making, SIDE by SIDE, without a trace of the file: no metadata, no second frame, no bytes
behind the end. A file's size in pixels is known before anything is unpacked. One picture is unpacked at a time.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

from PIL import Image, ImageOps

from chassis.errors import InvalidArgument, NotFound, ResourceExhausted

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_BYTES = 1_000_000
MAX_PIXELS = 4096 * 4096
SIDE = 256
QUALITY = 85
QUEUE = 16
CONTENT_TYPE = "image/webp"


class ImageInvalid(InvalidArgument):
    """The file is no JPEG, PNG or WebP that can be read, or too large: 1 MB and 16 megapixels at most."""

    reason = "IMAGE_INVALID"
    message = "This is no picture that can be used: JPEG, PNG or WebP of at most 1 MB."


class AvatarNotFound(NotFound):
    """The user has set no picture."""

    reason = "AVATAR_NOT_FOUND"
    message = "This user has no picture."


class TooManyPictures(ResourceExhausted):
    """More pictures are waiting to be read than this server takes at once. Try again shortly."""

    reason = "TOO_MANY_PICTURES"
    message = "Too many pictures at once: try again shortly."


class Portraits:
    """Makes portraits of files, one after the other, off the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "pictures")
        self._room = QUEUE

    async def make(self, content: bytes) -> bytes:
        """Make a portrait. Raises ImageInvalid, TooManyPictures."""
        if self._room == 0:
            raise TooManyPictures(retry_after=1.0)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, portrait, content
            )
        finally:
            self._room += 1

    def close(self) -> None:
        """Let the thread go."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def portrait(content: bytes) -> bytes:
    """Make a WebP of a file's middle, upright as its EXIF says. Raises ImageInvalid."""
    if not 0 < len(content) <= MAX_BYTES:
        raise ImageInvalid(limit_bytes=str(MAX_BYTES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture that is odd, yet can be read
            with Image.open(io.BytesIO(content), formats=FORMATS) as file:
                return _encoded(file)
    except ImageInvalid:
        raise
    except Exception as error:  # noqa: BLE001  # a decoder of hostile bytes raises whatever it likes
        raise ImageInvalid(cause=type(error).__name__) from None


def _encoded(file: Image.Image) -> bytes:
    if file.width * file.height > MAX_PIXELS:
        raise ImageInvalid(limit_pixels=str(MAX_PIXELS))
    file.draft("RGB", (2 * SIDE, 2 * SIDE))  # JPEG: decoded smaller at once
    file.load()
    upright = ImageOps.exif_transpose(file)
    plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    fitted = ImageOps.fit(plain, (SIDE, SIDE), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    Image.frombytes(fitted.mode, fitted.size, fitted.tobytes()).save(made, "WEBP", quality=QUALITY)
    return made.getvalue()


__all__ = [
    "CONTENT_TYPE",
    "MAX_BYTES",
    "SIDE",
    "AvatarNotFound",
    "ImageInvalid",
    "Portraits",
    "TooManyPictures",
    "portrait",
]
