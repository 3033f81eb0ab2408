"""What was said, on its way to the meeting's transcript."""

from __future__ import annotations

import uuid

import grpc
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc
from parley.meeting.v1.transcript_pb2 import TranscriptSegment

from chassis import telemetry
from services.media.backlog import Backlog
from services.media.tap import Hypothesis
from services.media.track import PublishedTrack

WAITING = 5_000
"""Segments that may wait; when there are more the oldest are dropped, and counted."""
RETRY_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
MAX_TEXT = 4_000

_recorded = telemetry.counter("media_segments_recorded", "Final captions that a transcript took.")
_dropped = telemetry.counter("media_segments_dropped", "Final captions that no transcript took.")


class Scribe(Backlog[TranscriptSegment]):
    """Records the final captions of all rooms of this worker. One that is sent twice has the same name both times."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        super().__init__(self._record, _dropped, WAITING, RETRY_SECONDS)
        self._stub = transcript_pb2_grpc.CaptionServiceStub(mesh)

    async def _record(self, _room: str, segments: list[TranscriptSegment]) -> None:
        request = transcript_pb2.RecordSegmentsRequest(segments=segments)
        await self._stub.RecordSegments(request, timeout=TIMEOUT_SECONDS)
        _recorded.inc(len(segments))


def segment(room: str, track: PublishedTrack, hypothesis: Hypothesis) -> TranscriptSegment:
    """Show what somebody has said as a segment of the transcript."""
    speech = hypothesis.speech
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, f"{track.id}/{speech.segment}")
    shown = TranscriptSegment(
        name=f"{room}/transcript/{identifier}",
        participant=track.participant,
        text=speech.text[:MAX_TEXT],
        language_code=speech.language_code,
        confidence=min(1.0, max(0.0, speech.confidence)),
    )
    shown.start_time.FromMicroseconds(round(hypothesis.begin * 1e6))
    shown.end_time.FromMicroseconds(round(hypothesis.end * 1e6))
    return shown


__all__ = ["Scribe", "segment"]
