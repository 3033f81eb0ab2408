"""Pictures: what comes out is ours, whatever came in."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.user.accounts.avatars import MAX_BYTES, SIDE, ImageInvalid, portrait


def picture(kind: str, size: tuple[int, int] = (300, 500), **options: object) -> bytes:
    image = Image.new("RGB", size, (200, 40, 40))
    image.paste((40, 40, 200), (0, 0, size[0], size[1] // 2))
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(portrait(content)))
    assert (image.format, image.size) == ("WEBP", (SIDE, SIDE))
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (300, 500), (4000, 10)])
def test_a_picture_becomes_a_small_square_webp(kind: str, size: tuple[int, int]) -> None:
    opened(picture(kind, size))


def test_nothing_of_the_file_s_metadata_is_kept_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    exif[0x010E] = "taken at home"
    content = picture("JPEG", (400, 400), exif=exif, comment=b"secret comment")
    made = portrait(content)
    assert b"home" not in made
    assert b"comment" not in made
    image = Image.open(io.BytesIO(made))
    assert not image.getexif()
    red, _, blue = image.convert("RGB").getpixel((128, 20))  # type: ignore[misc]
    assert red > blue, "what was at the bottom is on top"


def test_transparency_and_palettes_and_greys_are_taken() -> None:
    for mode in ("RGBA", "LA", "P", "L", "1", "I;16"):
        made = io.BytesIO()
        Image.new(mode, (20, 20)).save(made, "PNG")
        opened(made.getvalue())


def test_of_an_animation_the_first_frame_is_kept() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    made = io.BytesIO()
    frames[0].save(made, "WEBP", save_all=True, append_images=frames[1:])
    assert getattr(opened(made.getvalue()), "n_frames", 1) == 1


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge and packs small."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width // 8 + 1) * height, 10_000_000)), 9)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def blank(width: int, height: int) -> bytes:
    made = io.BytesIO()
    Image.new("1", (width, height)).save(made, "PNG")
    return made.getvalue()


def test_a_picture_may_have_sixteen_megapixels_and_not_one_row_more() -> None:
    opened(blank(4096, 4096))
    with pytest.raises(ImageInvalid) as caught:
        portrait(blank(4096, 4097))
    assert caught.value.metadata == {"limit_pixels": "16777216"}


@pytest.mark.parametrize("size", [(60_000, 60_000), (2_000_000_000, 2)])
def test_a_picture_that_would_unpack_to_much_is_refused_unread(size: tuple[int, int]) -> None:
    with pytest.raises(ImageInvalid):
        portrait(bomb(*size))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        picture("PNG")[:200],
        picture("JPEG")[: len(picture("JPEG")) // 2],
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        picture("PNG") + bytes(MAX_BYTES),
        picture("GIF"),
        picture("BMP"),
        picture("TIFF"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "svg", "too long", "gif", "bmp", "tiff"],
)
def test_what_is_no_picture_of_the_three_kinds_is_refused(content: bytes) -> None:
    with pytest.raises(ImageInvalid):
        portrait(content)


@given(st.integers(0, 800), st.binary(max_size=40))
def test_damage_is_refused_or_read_but_nothing_else(at: int, damage: bytes) -> None:
    good = picture("PNG", (40, 60))
    with contextlib.suppress(ImageInvalid):
        portrait(good[:at] + damage + good[at + len(damage) :])
