"""Small files that are made on the spot: a second of sound, and a picture."""

from __future__ import annotations

import io
import math
import random
import struct
import wave
import zlib

RATE_HZ = 16_000


def wav(seconds: float = 1.0, pitch_hz: float = 220.0) -> bytes:
    """Make a tone: 16 kHz, mono, 16 bits."""
    count = int(seconds * RATE_HZ)
    samples = (int(8000 * math.sin(math.tau * pitch_hz * n / RATE_HZ)) for n in range(count))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(struct.pack(f"<{count}h", *samples))
    return file.getvalue()


def png(size: int = 128) -> bytes:
    """Make a square picture of grey noise, so that a wrong range of its bytes shows (PNG §11.2: 8-bit greyscale)."""
    noise = random.Random(size)  # noqa: S311  # nobody's secret
    rows = b"".join(b"\0" + noise.randbytes(size) for _ in range(size))
    header = struct.pack(">2I5B", size, size, 8, 0, 0, 0, 0)
    pieces = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*piece) for piece in pieces)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


__all__ = ["png", "wav"]
