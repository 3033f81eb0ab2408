"""Reads Whisper's weights as CTranslate2 stores them (model.bin, binary version 6).

All numbers are little-endian: u32 version, the name and revision of the model's specification, u32 count of variables;
of each its name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; then u32 count of aliases, pairs of names. A string is
u16 length with its closing NUL, then the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_VERSION = 6
_SPECIFICATION = "WhisperSpec"


class WeightsInvalid(ValueError):
    """The file is not Whisper's weights in this format."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, count: int) -> memoryview:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise WeightsInvalid("it ends too early")
        self._at += count
        return taken

    def number(self, form: str) -> int:
        value: int = struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]
        return value

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def read(path: Path) -> Weights:
    """Read all variables as 32-bit floats, by name. Raises WeightsInvalid, OSError."""
    reader = _Reader(path.read_bytes())
    if (version := reader.number("I")) != _VERSION or (name := reader.text()) != _SPECIFICATION:
        raise WeightsInvalid(
            f"it has version {version}, not {_VERSION}, or is not of {_SPECIFICATION}"
        )
    reader.number("I")  # the specification's revision
    weights: dict[str, NDArray[np.float32]] = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = _TYPES.get(reader.number("B"))
        if kind is None or (kind is np.int8 and shape):  # settings are int8 too, of rank 0
            raise WeightsInvalid(f"{name} is quantised already: float weights are needed")
        values = np.frombuffer(reader.take(reader.number("I")), kind)
        weights[name] = values.reshape(shape).astype(np.float32)
    for _ in range(reader.number("I")):
        alias, name = reader.text(), reader.text()
        weights[alias] = weights[name]
    return weights


__all__ = ["Weights", "WeightsInvalid", "read"]
