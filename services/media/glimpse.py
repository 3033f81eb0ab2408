"""Now and then one keyframe of a camera: of the smallest layer that is being sent, taken from what is kept of it anyway.

A keyframe is asked for, since what other pictures are made of was not watched; all who watch that layer get it as well.
At 320x180 it is some 10 kB: every three seconds 27 kbit/s for each of them, against 80 for one every second. Without
layers it is larger, so that it comes less often. Whoever else asks for one gives us a picture for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.media import rtp
from services.media.encoding import Encoding
from services.media.stream import Kept
from services.media.track import PublishedTrack

LAYER_SECONDS = 3.0
WHOLE_SECONDS = 6.0
WAIT_SECONDS = 2.0
"""How long a keyframe is waited for, and how long the packets of one that has begun."""
MAX_PACKETS = 400
"""Of one picture; half a second later they may be kept no more."""

Take = Callable[[str, Sequence[bytes], int], None]
"""Gets a picture: its codec, its payloads and its RTP timestamp."""


class Glimpse:
    """Of one track. `tick` it some twenty times a second while pictures are wanted."""

    def __init__(self, track: PublishedTrack, take: Take) -> None:
        self._track = track
        self._take = take
        self._due = 0.0
        self._over = 0.0
        self._waits_at: Encoding | None = None
        self._begun: tuple[Encoding, int, int] | None = None

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._begun is not None:
            self._gather(*self._begun, now)
        elif self._waits_at is not None:
            if now > self._over:
                self.stop()
        elif now >= self._due and not self._track.forwarder.muted:
            self._ask(now)

    def stop(self) -> None:
        """Wait for nothing."""
        if self._waits_at is not None and self in self._waits_at.waiting:
            self._waits_at.waiting.remove(self)
            self._waits_at.watch()
        self._waits_at = self._begun = None

    def begin(self, encoding: Encoding, kept: Kept, now: float) -> None:
        """A keyframe has begun."""
        self._waits_at = None
        self._begun = encoding, kept.extended, kept.timestamp
        self._over = now + WAIT_SECONDS

    def _ask(self, now: float) -> None:
        sent = [each for each in self._track.forwarder.encodings if each.is_active(now)]
        if not sent:
            return
        encoding = self._waits_at = sent[0]
        is_layered = len(self._track.section.rids) > 1
        self._due = now + (LAYER_SECONDS if is_layered else WHOLE_SECONDS)
        self._over = now + WAIT_SECONDS
        encoding.waiting.append(self)
        encoding.watch()
        encoding.request_keyframe()

    def _gather(self, encoding: Encoding, first: int, timestamp: int, now: float) -> None:
        """Take the picture if all of it is here; give it up if it does not come."""
        payloads: list[bytes] = []
        for number in range(first, first + MAX_PACKETS):
            kept = encoding.stream.kept(number)
            if kept is None:
                break
            if kept.timestamp != timestamp:
                return self._finish(payloads, timestamp)
            payloads.append(_payload(kept))
            if kept.packet[1] & 0x80:  # the marker: a picture's last packet
                return self._finish(payloads, timestamp)
        if now > self._over:
            self.stop()
        return None

    def _finish(self, payloads: list[bytes], timestamp: int) -> None:
        self._begun = None
        self._take(self._track.forwarder.codec.name, payloads, timestamp)


def _payload(kept: Kept) -> bytes:
    try:
        return rtp.payload(kept.packet)
    except rtp.PacketInvalid:
        return b""


__all__ = ["Glimpse"]
