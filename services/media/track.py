"""A track in a room, as it was offered and as it is forwarded."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.media import sdp
from services.media.forwarder import Forwarder


@dataclass(slots=True, eq=False)
class PublishedTrack:
    """A track in a room. `participant` is its publisher's resource name.

    `section` is the media section that last offered it and `payload_type` what it chose there, both the publisher's.
    `node` is the worker at which it is published, empty when that is this one; `since` is when it came (monotonic).
    """

    id: str
    participant: str
    mid: str
    source: str
    forwarder: Forwarder
    section: sdp.Section
    payload_type: int
    node: str = ""
    since: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self.forwarder.codec.kind


__all__ = ["PublishedTrack"]
