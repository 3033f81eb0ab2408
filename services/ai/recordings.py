"""Recordings: files of sound, decoded to 16 kHz mono piece by piece.

Whoever uploads one may be hostile: the container is told by its first bytes and only that demuxer opened, only a few
codecs, only so much sound, a second of it in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import av
import av.error

from services.ai.domain import AudioInvalid, AudioTooLong
from services.ai.vad import SAMPLE_RATE

PIECE_BYTES = 2 * SAMPLE_RATE
"""A second."""
CODECS = ("opus", "vorbis", "mp3", "pcm_")
CONTAINERS = {b"RIFF": "wav", b"OggS": "ogg", b"\x1aE\xdf\xa3": "matroska", b"ID3": "mp3"}
FORMATS = "WAV, Ogg or WebM with Opus, or MP3"
CUT_OFF = "The file was cut off: it has less sound than it says."
MISSING = 0.9
"""A file that holds less than this share of the sound that it promises was cut off."""


def pieces(file: BinaryIO, max_seconds: float) -> Iterator[tuple[bytes, float]]:
    """Decode a WAV, Ogg, WebM or MP3 file to 16-bit samples; gives each piece, and how long the file says that it is.

    Raises AudioInvalid, AudioTooLong.
    """
    container = _container(file)
    held = bytearray()
    total = 0
    try:
        with av.open(file, "r", format=container, metadata_errors="ignore") as opened:
            promised = _promised(opened)
            if promised > max_seconds:
                raise AudioTooLong(text=f"The recording is longer than {max_seconds:.0f} s.")
            for samples in _resampled(opened):
                held += samples
                total += len(samples)
                if total > max_seconds * PIECE_BYTES:
                    raise AudioTooLong(text=f"The recording is longer than {max_seconds:.0f} s.")
                while len(held) >= PIECE_BYTES:
                    yield bytes(held[:PIECE_BYTES]), promised
                    del held[:PIECE_BYTES]
    except (av.error.FFmpegError, ValueError, MemoryError):
        raise AudioInvalid(text="The file is broken: it can't be decoded.") from None
    if total == 0:
        raise AudioInvalid(text="The file has no sound.")
    if total < promised * PIECE_BYTES * MISSING:
        raise AudioInvalid(text=CUT_OFF)
    if held:
        yield bytes(held), promised


def _container(file: BinaryIO) -> str:
    head = file.read(8)
    file.seek(0)
    for mark, container in CONTAINERS.items():
        if head[: len(mark)] == mark:
            _check_riff(file, head)
            return container
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"  # a frame without tags before it
    raise AudioInvalid(text=f"The file is not {FORMATS}.")


def _check_riff(file: BinaryIO, head: bytes) -> None:
    """See that a WAV file is as long as it says, unless it was written as a stream. Raises AudioInvalid."""
    says = int.from_bytes(head[4:8], "little")
    if head.startswith(b"RIFF") and says not in (0, 0xFFFFFFFF):
        length = file.seek(0, 2)
        file.seek(0)
        if length < says * MISSING:
            raise AudioInvalid(text=CUT_OFF)


def _promised(opened: av.container.InputContainer) -> float:
    """Tell how many seconds of sound a file says that it has; 0 if it does not. Raises AudioInvalid."""
    if not opened.streams.audio:
        raise AudioInvalid(text="The file has no sound.")
    name = opened.streams.audio[0].codec_context.name
    if not name.startswith(CODECS):
        raise AudioInvalid(text=f"The file's codec, {name}, is not that of {FORMATS}.")
    return (opened.duration or 0) / av.time_base


def _resampled(opened: av.container.InputContainer) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in opened.decode(audio=0):
        for part in resampler.resample(frame):
            yield part.to_ndarray().tobytes()
    for part in resampler.resample(None):
        yield part.to_ndarray().tobytes()


__all__ = ["FORMATS", "PIECE_BYTES", "pieces"]
