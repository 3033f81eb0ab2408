"""A picture out of the RTP payloads of a keyframe: put together by codec (pure), decoded by the FFmpeg that PyAV ships.

Decoding is for another thread than the media's. What can't be decoded, or is too large, gives nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import av
import av.error
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame as Frame
from parley.ai.v1 import ai_pb2

from services.media.payload import vp8_payload

MAX_WIDTH = 640
"""Of what is sent on: faces are found in less."""
MIN_SIDE = 16
MAX_PIXELS = 3840 * 2160
"""A picture of more is not decoded: whoever sends one chooses how much memory it takes."""

_STAP_A, _FU_A = 24, 28
_START_CODE = b"\0\0\0\1"
_TEMPORAL_DELIMITER = b"\x12\0"
_OBU_TEMPORAL_DELIMITER, _OBU_TILE_LIST, _OBU_PADDING = 2, 8, 15


class PictureInvalid(ValueError):
    """The payloads are no picture."""


def picture(codec: str, payloads: Sequence[bytes]) -> ai_pb2.VideoFrame | None:
    """Decode the keyframe that payloads carry, in order, at most MAX_WIDTH wide; None where that can't be."""
    try:
        return _shown(_decoded(codec, assembled(codec, payloads)))
    except (ValueError, av.error.FFmpegError, IndexError):
        return None


def assembled(codec: str, payloads: Sequence[bytes]) -> bytes:
    """Put a picture together as decoders take it. Raises PictureInvalid, IndexError."""
    return b"".join(_ASSEMBLE[codec]([each for each in payloads if each]))


def _decoded(codec: str, data: bytes) -> Frame:
    decoder = cast("VideoCodecContext", av.CodecContext.create(_DECODERS[codec], "r"))
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    for packet in (av.Packet(data), None):
        for frame in decoder.decode(packet):
            return frame
    raise PictureInvalid


def _shown(frame: Frame) -> ai_pb2.VideoFrame:
    """Scale a picture down and lay it out: I420 without padding."""
    scale = min(1.0, MAX_WIDTH / frame.width)
    width, height = (int(side * scale) // 2 * 2 for side in (frame.width, frame.height))
    if min(width, height) < MIN_SIDE or height > 2 * MAX_WIDTH:
        raise PictureInvalid
    scaled = frame.reformat(width, height, "yuv420p")
    planes = b"".join(bytes(row) for plane in scaled.planes for row in _rows(plane))
    return ai_pb2.VideoFrame(width=width, height=height, planes=planes)


def _rows(plane: av.video.plane.VideoPlane) -> Iterator[memoryview]:
    data = memoryview(plane)
    if plane.line_size == plane.width:
        yield data[: plane.width * plane.height]
        return
    for row in range(plane.height):
        yield data[row * plane.line_size : row * plane.line_size + plane.width]


def _vp8(payloads: Sequence[bytes]) -> Iterator[bytes]:
    return map(vp8_payload, payloads)


def _vp9(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Leave the descriptors out (RFC 9628 §4.2), and all spatial layers but the lowest."""
    for data in payloads:
        flags, at = data[0], 1
        if flags & 0x80:  # I: picture id
            at += 2 if data[at] & 0x80 else 1
        if flags & 0x20:  # L: layers
            if data[at] & 0x0E:
                continue
            at += 1 if flags & 0x10 else 2
        if flags & 0x50 == 0x50:  # P and F: what it is predicted from
            raise PictureInvalid
        if flags & 0x02:  # V: scalability structure
            at = _after_structure(data, at)
        yield data[at:]


def _after_structure(data: bytes, at: int) -> int:
    head, at = data[at], at + 1
    if head & 0x10:  # Y: sizes
        at += 4 * ((head >> 5) + 1)
    if head & 0x08:  # G: pictures
        count, at = data[at], at + 1
        for _ in range(count):
            at += 1 + (data[at] >> 2 & 0x03)
    return at


def _h264(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Write NAL units with start codes (RFC 6184 §5.6 to §5.8, ITU-T H.264 annex B)."""
    for data in payloads:
        kind = data[0] & 0x1F
        if kind == _STAP_A:
            at = 1
            while at + 2 < len(data):
                size = int.from_bytes(data[at : at + 2], "big")
                yield _START_CODE + data[at + 2 : at + 2 + size]
                at += 2 + size
        elif kind == _FU_A:
            if data[1] & 0x80:
                yield _START_CODE + bytes([data[0] & 0xE0 | data[1] & 0x1F])
            yield data[2:]
        else:
            yield _START_CODE + data


def _av1(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Write OBUs with their sizes (AV1 RTP specification §4.4, AV1 bitstream §5.3)."""
    yield _TEMPORAL_DELIMITER
    for obu in _obus(payloads):
        kind, has_extension = obu[0] >> 3 & 0x0F, obu[0] & 0x04
        if kind in (_OBU_TEMPORAL_DELIMITER, _OBU_TILE_LIST, _OBU_PADDING):
            continue
        if len(obu) < (head := 2 if has_extension else 1):
            raise PictureInvalid
        if obu[0] & 0x02:  # it has its size already
            yield obu
        else:
            yield bytes([obu[0] | 0x02]) + obu[1:head] + _leb128(len(obu) - head) + obu[head:]


def _obus(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Put OBUs together that may go on from one packet to the next."""
    begun = b""
    for data in payloads:
        count, at = data[0] >> 4 & 0x03, 1
        elements: list[bytes] = []
        while at < len(data):
            size = len(data) - at
            if count == 0 or len(elements) + 1 < count:
                size, at = _read_leb128(data, at)
            elements.append(data[at : at + size])
            at += size
        if elements and data[0] & 0x80:  # Z: the first goes on
            elements[0] = begun + elements[0]
        begun = elements.pop() if elements and data[0] & 0x40 else b""  # Y: so does the last
        yield from filter(None, elements)


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for each in range(8):
        byte = data[at + each]
        value |= (byte & 0x7F) << 7 * each
        if not byte & 0x80:
            return value, at + each + 1
    raise PictureInvalid


def _leb128(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


_ASSEMBLE: Mapping[str, Callable[[Sequence[bytes]], Iterator[bytes]]] = {
    "VP8": _vp8,
    "VP9": _vp9,
    "H264": _h264,
    "AV1": _av1,
}
_DECODERS = {"VP8": "vp8", "VP9": "vp9", "H264": "h264", "AV1": "libdav1d"}

__all__ = ["MAX_WIDTH", "PictureInvalid", "assembled", "picture"]
