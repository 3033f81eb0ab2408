"""What a payload's first bytes tell: where keyframes begin, VP8's running numbers, the newest sound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import payload

VP8_KEY = bytes.fromhex("90 80 8123 100200 9d012a 8002 6801")
"""S, X and I set, picture id 0x123 of 15 bits; a keyframe of 640x360."""


@pytest.mark.parametrize(
    ("codec", "data", "is_keyframe"),
    [
        ("VP8", VP8_KEY, True),
        ("VP8", VP8_KEY[:4] + b"\x11" + VP8_KEY[5:], False),
        ("VP8", b"\x80" + VP8_KEY[1:], False),
        ("VP8", b"\x11" + VP8_KEY[4:], False),
        ("VP8", b"\x10\x00", True),
        ("VP8", b"\x90\x80", False),
        ("H264", b"\x67\x42", True),
        ("H264", b"\x65\x88", True),
        ("H264", b"\x41\x9a", False),
        ("H264", b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", True),
        ("H264", b"\x78\x00\x02\x41\x42", False),
        ("H264", b"\x7c\x85\x88", True),
        ("H264", b"\x7c\x05\x88", False),
        ("VP9", b"\x8c\x81\x23\x00", True),
        ("VP9", b"\xcc\x81\x23\x00", False),
        ("VP9", b"\xac\x81\x23\x00\x00", True),
        ("VP9", b"\xac\x81\x23\x02\x00", False),
        ("AV1", b"\x18\x0a", True),
        ("AV1", b"\x10\x0a", False),
        ("AV1", b"\x98\x0a", False),
    ],
)
def test_a_keyframes_beginning_is_known(codec: str, data: bytes, is_keyframe: bool) -> None:
    assert payload.begins_keyframe(codec, data) is is_keyframe


def test_the_height_is_read_from_a_vp8_keyframe() -> None:
    assert payload.height("VP8", VP8_KEY) == 360
    assert payload.height("VP8", b"\x10\x00") == 0
    assert payload.height("H264", b"\x67\x42") == 0


@pytest.mark.parametrize(
    ("descriptor", "numbers"),
    [
        ("10", payload.NO_NUMBERS),
        ("9000", payload.NO_NUMBERS),
        ("90808123", (3, True, 0)),
        ("908023", (3, False, 0)),
        ("90c0812345", (3, True, 5)),
        ("90402345", (0, False, 3)),
    ],
)
def test_vp8s_running_numbers_are_found(descriptor: str, numbers: tuple[int, bool, int]) -> None:
    packet = b"\x00" + bytes.fromhex(descriptor) + b"\x00\x00\x00"
    assert payload.vp8_numbers(packet, 1) == numbers


def test_the_newest_sound_is_taken_out_of_redundancy() -> None:
    two_older = bytes([0x80 | 111, 0, 0, 3, 0x80 | 111, 0, 0, 2, 111]) + b"abcdenew"
    assert payload.red_primary(two_older) == b"new"
    assert payload.red_primary(bytes([111]) + b"only") == b"only"
    assert payload.red_primary(b"\xef\x00") == b""


@settings(max_examples=200, database=None, deadline=None)
@given(st.binary(max_size=40), st.sampled_from(["VP8", "VP9", "H264", "AV1", "opus"]))
def test_whatever_a_publisher_sends_nothing_breaks(data: bytes, codec: str) -> None:
    payload.begins_keyframe(codec, data)
    payload.height(codec, data)
    payload.red_primary(data)
    payload.vp8_payload(data)
    picture_at, is_wide, tl0_at = payload.vp8_numbers(data, 0)
    assert max(picture_at + is_wide, tl0_at) < max(1, len(data))
