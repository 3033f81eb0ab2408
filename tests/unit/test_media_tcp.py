"""RFC 4571 framing: a stream is cut where its sender cut it, however the network did."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media.tcp import MAX_FRAME, FrameInvalid, Frames


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


@settings(max_examples=200, database=None, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 64), max_size=40))
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    frames: list[bytes], cuts: list[int]
) -> None:
    stream, reader, read = framed(*frames), Frames(), []
    for cut in cuts:
        read += reader.feed(stream[:cut])
        stream = stream[cut:]
    read += reader.feed(stream)
    assert read == [frame for frame in frames if frame]


def test_a_frame_longer_than_a_datagram_is_refused_before_it_has_come() -> None:
    assert Frames().feed(framed(bytes(MAX_FRAME))) == [bytes(MAX_FRAME)]
    with pytest.raises(FrameInvalid):
        Frames().feed((MAX_FRAME + 1).to_bytes(2, "big"))


@settings(max_examples=200, database=None, deadline=None)
@given(st.lists(st.binary(max_size=5_000), max_size=20))
def test_whatever_comes_little_of_it_is_kept(pieces: list[bytes]) -> None:
    reader = Frames()
    with contextlib.suppress(FrameInvalid):
        for piece in pieces:
            assert all(0 < len(frame) <= MAX_FRAME for frame in reader.feed(piece))
            assert len(reader._rest) < MAX_FRAME + 2
