"""What is told of what an ai process makes of a track's speech, whichever process it is. Pure."""

from __future__ import annotations

from parley.ai.v1.ai_pb2 import SpeechHypothesis

PARTIAL_SECONDS = 0.5
"""The least time between two hypotheses that are not final."""
TOLERANCE_SECONDS = 0.5
"""How much earlier than the sound that it was given a recogniser may say that a segment begins."""


class Captions:
    """One track's. Segments count on when another process begins at 1, and what was told as final is not told again."""

    def __init__(self) -> None:
        self.is_open = False
        self._since = 0.0
        self._base = 0
        self._finals = 0
        self._final_here = 0
        self._ended = 0.0
        self._told_at = -PARTIAL_SECONDS

    def begin(self, offset: float) -> None:
        """Tell only of what is said from there on (on the track's clock)."""
        self._since = offset
        self.is_open = False

    def resume(self) -> None:
        """Another process, or a recogniser that has begun anew, counts from 1 again."""
        self._base, self._final_here = self._finals, 0

    def take(self, heard: SpeechHypothesis, now: float) -> SpeechHypothesis | None:
        """Take a hypothesis; returns what is to be told of it, if anything is."""
        start, end = (each.ToMicroseconds() / 1e6 for each in (heard.start_time, heard.end_time))
        is_earlier = end <= self._since or start < self._since - TOLERANCE_SECONDS
        if is_earlier or end <= self._ended:
            return None
        if heard.segment <= self._final_here:
            self.resume()
        told = SpeechHypothesis()
        told.CopyFrom(heard)
        told.segment += self._base
        self.is_open = not heard.final
        if heard.final:
            self._final_here = max(self._final_here, heard.segment)
            self._finals = max(self._finals, told.segment)
            self._ended = end
        elif now - self._told_at < PARTIAL_SECONDS:
            return None
        else:
            self._told_at = now
        return told


__all__ = ["PARTIAL_SECONDS", "Captions"]
