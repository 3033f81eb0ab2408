"""Pictures out of RTP: real keyframes of each codec, cut into payloads as publishers cut them, and hostile bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import pictures
from services.media.pictures import assembled, picture

SIZE = 12
"""Of a packet's payload, so that each picture takes several."""
WIDTH, HEIGHT = 320, 180
ENCODERS = {"VP8": "libvpx", "VP9": "libvpx-vp9", "H264": "libx264", "AV1": "libsvtav1"}
OPTIONS = {"AV1": {"preset": "12", "svtav1-params": "lp=1"}}


def encoded(codec: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Encode one picture: dark on the left, light on the right.

    For root SVT-AV1 makes the thread that it is called from real-time (SCHED_FIFO 99), and so all that this starts
    later: every service and browser of the tests that follow. It gets one of its own.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_encode, codec, width, height).result()


def _encode(codec: str, width: int, height: int) -> bytes:
    encoder = cast("VideoCodecContext", av.CodecContext.create(ENCODERS[codec], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate = 30  # type: ignore[assignment]  # as FFmpeg's own types have it
    encoder.options = OPTIONS.get(codec, {})
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, light in zip(frame.planes, (0, 128, 128), strict=True):
        row = bytes(
            255 * (at * 2 >= plane.width) if light == 0 else light for at in range(plane.width)
        )
        plane.update(row.ljust(plane.line_size, b"\0") * plane.height)
    return b"".join(bytes(packet) for each in (frame, None) for packet in encoder.encode(each))


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


def cut_vp8(data: bytes) -> list[bytes]:
    head = (b"\x90\x80\x81\x23", b"\x80\x80\x81\x23")
    return [head[at > 0] + piece for at, piece in enumerate(pieces(data))]


def cut_vp9(data: bytes) -> list[bytes]:
    """Flexible mode's absence, layers, and a scalability structure in the first packet."""
    structure = bytes((0x18, *WIDTH.to_bytes(2, "big"), *HEIGHT.to_bytes(2, "big"), 1, 0x04, 1))
    first, other = b"\xaa\x81\x23\x00\x07" + structure, b"\xa0\x81\x23\x00\x07"
    upper = b"\xa0\x81\x23\x02\x07 another spatial layer's"
    return [*((other if at else first) + piece for at, piece in enumerate(pieces(data))), upper]


def nal_units(data: bytes) -> list[bytes]:
    return [each.removesuffix(b"\0") for each in data.split(b"\0\0\1") if each.strip(b"\0")]


def cut_h264(data: bytes) -> list[bytes]:
    """Parameter sets in one packet, all else in fragments."""
    sets = [unit for unit in nal_units(data) if unit[0] & 0x1F in (7, 8)]
    cut = [b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in sets)]
    for unit in nal_units(data):
        if unit[0] & 0x1F == 5:
            fragments = pieces(unit[1:])
            for at, piece in enumerate(fragments):
                flags = 0x80 * (at == 0) | 0x40 * (at == len(fragments) - 1)
                cut.append(bytes((unit[0] & 0x60 | 28, flags | 5)) + piece)
    return cut


def cut_av1(data: bytes) -> list[bytes]:
    """OBUs without their sizes, the last over several packets."""
    obus, at = [], 0
    while at < len(data):
        head = data[at]
        size, begin = pictures._read_leb128(data, at + 1)
        if head >> 3 & 0x0F != 2:
            obus.append(bytes([head & ~0x02]) + data[begin : begin + size])
        at = begin + size
    sequence, frame = obus[0], b"".join(obus[1:])
    assert len(obus) == 2
    first, *others = pieces(frame)
    cut = [b"\x68" + bytes([len(sequence)]) + sequence + first]
    for number, piece in enumerate(others, 1):
        goes_on = 0x40 * (number < len(others))
        cut.append(bytes([0x90 | goes_on]) + piece)
    return cut


CUT: dict[str, Callable[[bytes], list[bytes]]] = {
    "VP8": cut_vp8,
    "VP9": cut_vp9,
    "H264": cut_h264,
    "AV1": cut_av1,
}


@pytest.mark.parametrize("codec", CUT)
def test_a_keyframe_of_each_codec_becomes_the_picture_that_it_was(codec: str) -> None:
    payloads = keyframe(codec)
    assert len(payloads) >= 3
    found = picture(codec, payloads)
    assert found is not None
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert len(found.planes) == WIDTH * HEIGHT * 3 // 2
    row = found.planes[WIDTH * 90 : WIDTH * 91]
    assert max(row[: WIDTH // 2 - 16]) < 48
    assert min(row[WIDTH // 2 + 16 :]) > 200
    missing = picture(codec, payloads[1:])
    assert missing is None, "without its beginning it is none"


def test_who_encodes_is_not_made_real_time() -> None:
    encoded("AV1")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((1280, 720), (640, 360)), ((720, 1280), (640, 1136)), ((322, 182), (322, 182))],
)
def test_a_large_picture_is_scaled_down(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    found = picture("VP8", cut_vp8(encoded("VP8", *size)))
    assert found is not None
    assert (found.width, found.height) == scaled
    assert len(found.planes) == scaled[0] * scaled[1] * 3 // 2


def test_a_picture_too_large_to_be_kept_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", WIDTH * HEIGHT // 2)
    assert [picture(codec, keyframe(codec)) for codec in CUT] == [None] * len(CUT)


@pytest.mark.parametrize("codec", CUT)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_that_are_no_picture_are_refused(codec: str, data: Any) -> None:
    payloads: Sequence[bytes] = data.draw(st.lists(st.binary(max_size=40), max_size=5))
    picture(codec, payloads)


@pytest.mark.parametrize("codec", CUT)
@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 5_000), byte=st.integers(0, 255))
def test_a_damaged_picture_breaks_nothing(codec: str, at: int, byte: int) -> None:
    payloads = list(keyframe(codec))
    number = at % len(payloads)
    damaged = bytearray(payloads[number])
    damaged[at % len(damaged)] = byte
    payloads[number] = bytes(damaged)
    picture(codec, payloads)


@cache
def keyframe(codec: str) -> Sequence[bytes]:
    return CUT[codec](encoded(codec))


def test_padding_and_fill_are_left_out() -> None:
    assert assembled("VP8", [b"", *cut_vp8(b"\x10\x00\x00abc"), b""]) == b"\x10\x00\x00abc"
