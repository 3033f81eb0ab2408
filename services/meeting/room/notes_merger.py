"""Merges updates of shared notes, in a process of its own: `python -m services.meeting.room.notes_merger`.

An update comes from anybody, and its parser is compiled: one may claim to be enormous, or find a fault. Here memory is
bounded, and what falls falls alone. It answers requests (`notes_frames`) one after the other, until its input ends.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import BinaryIO

from pycrdt import Doc, Text, merge_updates

from services.meeting.room.notes_frames import ANSWER, BEHIND, INVALID, MERGED, REQUEST

ROOT = "notes"
MEMORY_BYTES = 1024**3


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        document, update = (requests.read(size) for size in REQUEST.unpack(head))
        verdict, merged, text = merge(document, update)
        answers.write(ANSWER.pack(verdict, len(merged), len(text)) + merged + text)
        answers.flush()


def merge(document: bytes, update: bytes) -> tuple[int, bytes, bytes]:
    """Merge an update into a document; gives the verdict, the document and its text as UTF-8.

    What an update builds on that is not there is kept aside by the parser, and not told; the document merged with it once
    more would then be another.
    """
    try:
        doc: Doc[Text] = Doc()
        text = doc.get(ROOT, type=Text)
        doc.apply_update(document)
        doc.apply_update(update)
        merged = doc.get_update()
        if merge_updates(merged, update) != merged:
            return BEHIND, b"", b""
        return MERGED, merged, str(text).replace("\0", "").encode()
    except Exception:  # noqa: BLE001  # whatever the parser finds
        return INVALID, b"", b""


def _bound() -> None:
    """Bound this process's memory, where the system does that."""
    with contextlib.suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MEMORY_BYTES, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    _bound()
    main(sys.stdin.buffer, sys.stdout.buffer)
