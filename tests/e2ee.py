"""The format of encrypted frames (docs/e2ee.md), written a second time: what a client in another language would do."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TRAILER = 13
OVERHEAD = 29
VERSION = 1


def opened(secret: str, participant: str, source: str, frame: bytes) -> bytes:
    """Decrypt a frame by a link's key. Raises InvalidTag."""
    trailer = frame[-TRAILER:]
    counter, key_id = int.from_bytes(trailer[:4], "big"), trailer[4:12]
    assert trailer[-1] == VERSION
    info = f"parley e2ee 1\0{participant}\0{source}".encode()
    shared = base64.urlsafe_b64decode(f"{secret}==")
    derived = HKDF(SHA256(), 28, key_id, info).derive(shared)
    iv = int.from_bytes(derived[16:], "big") ^ counter
    clear = frame[: clear_bytes(source, frame)]
    sealed = frame[len(clear) : -TRAILER]
    return clear + AESGCM(derived[:16]).decrypt(iv.to_bytes(12, "big"), sealed, clear + trailer)


def clear_bytes(source: str, frame: bytes) -> int:
    """How many of a frame's first bytes are not encrypted."""
    video = 3 if frame[0] & 1 else 10
    wanted = 1 if source in ("microphone", "screen_audio") else video
    return min(wanted, len(frame) - OVERHEAD)
