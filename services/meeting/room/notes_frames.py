"""How the merging process of shared notes is spoken to: by frames on its standard input and output.

A request is two byte strings: the document, and the update. An answer is a verdict of one byte, and two byte strings: the
document, and its text as UTF-8. Lengths are 32 bits, big-endian.
"""

from __future__ import annotations

import struct

REQUEST = struct.Struct(">II")
ANSWER = struct.Struct(">BII")
MERGED, INVALID, BEHIND = range(3)

__all__ = ["ANSWER", "BEHIND", "INVALID", "MERGED", "REQUEST"]
