"""Shared notes: what is kept of them, and what is refused. Pure; `notes_merger` merges.

The notes are a Yjs document whose Y.Text `notes` is the text. It is kept as one update, without history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
)

MAX_BYTES = 512 * 1024
"""Of a document, as an update."""
NOTHING = b"\0\0"
"""The update of an empty document."""


class NotesUpdateInvalid(InvalidArgument):
    """What was sent is no Yjs update of version 1. Send what `Y.encodeStateAsUpdate` gives, or the document's update events."""

    reason = "NOTES_UPDATE_INVALID"
    message = "This is no update of the notes."


class NotesBehind(FailedPrecondition):
    """The update builds on others that the server does not have. Send the whole document as one update."""

    reason = "NOTES_BEHIND"
    message = "The server lacks what this update builds on: send the whole document."


class NotesFull(ResourceExhausted):
    """The notes are as large as they may be, 512 KiB with what was deleted. Go on in other notes."""

    reason = "NOTES_FULL"
    message = "The notes are as large as they may be."


class NotesNotAllowed(PermissionDenied):
    """The caller's grants do not let them write in this meeting. Ask the host."""

    reason = "NOTES_NOT_ALLOWED"
    message = "You may not write in these notes."


@dataclass(frozen=True, slots=True)
class Notes:
    """A meeting's notes; `revision` counts their changes, 0: never changed."""

    document: bytes = NOTHING
    text: str = ""
    revision: int = 0
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a document comes to with an update."""

    document: bytes
    text: str


def check_size(merged: Merged) -> None:
    """See that notes are not too large. Raises NotesFull."""
    if len(merged.document) > MAX_BYTES:
        raise NotesFull


__all__ = [
    "MAX_BYTES",
    "NOTHING",
    "Merged",
    "Notes",
    "NotesBehind",
    "NotesFull",
    "NotesNotAllowed",
    "NotesUpdateInvalid",
    "check_size",
]
