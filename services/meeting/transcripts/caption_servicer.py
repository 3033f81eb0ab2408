"""CaptionService: what media asks, and tells, of speech and faces."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID

from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting.analysis import analysis
from services.meeting.store import Store
from services.meeting.transcripts.store import TranscriptStore
from services.meeting.transcripts.transcript import Segment, agreed, is_held

log = logs.get("meeting.captions")

CONFIDENCE_DIGITS = 4

_full = telemetry.counter("meeting_segments_full", "Segments for which a transcript had no room.")


class CaptionServicer(transcript_pb2_grpc.CaptionServiceServicer):
    """Says what is to be analysed, and keeps what was said."""

    def __init__(self, store: Store, transcripts: TranscriptStore, clock: Clock) -> None:
        self._store = store
        self._transcripts = transcripts
        self._clock = clock

    async def GetAnalysis(
        self, request: transcript_pb2.GetAnalysisRequest, context: Any
    ) -> transcript_pb2.GetAnalysisResponse:
        """Say what is to be analysed in a room, and of whom."""
        code = request.meeting.removeprefix("meetings/")
        async with self._store.locked_meeting(code) as transaction:
            return analysis(transaction.meeting, await transaction.present())

    async def RecordSegments(
        self, request: transcript_pb2.RecordSegmentsRequest, context: Any
    ) -> transcript_pb2.RecordSegmentsResponse:
        """Keep what those said who agreed."""
        now, said = self._clock.now(), [_segment(each) for each in request.segments]
        if len({each.meeting for each in said}) != 1:
            raise InvalidArgument(fields={"segments": "they are of one meeting"})
        meeting, _ = await self._store.meeting(said[0].meeting.removeprefix("meetings/"))
        held = is_held(meeting, now)
        speakers = await self._store.participants_of(
            meeting.id, {each.participant_id for each in said}
        )
        kept = agreed(said, speakers, held=held)
        if left_out := await self._transcripts.add(meeting, kept, now):
            _full.inc(left_out)
            log.warning("transcript is full", meeting=meeting.name)
        return transcript_pb2.RecordSegmentsResponse()


def _segment(shown: transcript_pb2.TranscriptSegment) -> Segment:
    """Read a segment. Raises InvalidArgument."""
    try:
        meeting, identifier = shown.name.split("/transcript/")
        of, participant = shown.participant.split("/participants/")
        begin, end = shown.start_time.ToDatetime(UTC), shown.end_time.ToDatetime(UTC)
        segment = Segment(
            UUID(identifier),
            meeting,
            UUID(participant),
            "",
            shown.text,
            shown.language_code,
            begin,
            end,
            round(shown.confidence, CONFIDENCE_DIGITS),
        )
    except (ValueError, OverflowError):
        raise InvalidArgument(
            fields={"segments": "a name, a participant or a time is not one"}
        ) from None
    if of != meeting or begin > end or not shown.HasField("start_time"):
        raise InvalidArgument(
            fields={"segments": "it is of one meeting, and begins before it ends"}
        )
    return segment


__all__ = ["CaptionServicer"]
