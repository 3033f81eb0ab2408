"""A track in a room, as it was offered and as it is forwarded."""

from __future__ import annotations

from dataclasses import dataclass

from services.media import sdp
from services.media.forwarder import Forwarder


@dataclass(slots=True, eq=False)
class PublishedTrack:
    """A track in a room. `participant` is its publisher's resource name.

    `section` is the media section that last offered it and `payload_type` what it chose there, both the publisher's.
    """

    id: str
    participant: str
    mid: str
    source: str
    forwarder: Forwarder
    section: sdp.Section
    payload_type: int

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self.forwarder.codec.kind


__all__ = ["PublishedTrack"]
