"""TranscriptService: proto to domain and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from parley.meeting.v1 import transcript_pb2, transcript_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from chassis.errors import InvalidArgument
from services.meeting.audit import AuditEvent
from services.meeting.domain import Meeting, SummaryOff, TranscriptNotFound
from services.meeting.settings import CaptionsOff
from services.meeting.store import Store
from services.meeting.transcripts import transcript
from services.meeting.transcripts.recap import Recaps
from services.meeting.transcripts.store import TranscriptStore
from services.meeting.transcripts.summary import Point
from services.meeting.transcripts.summary_store import SummaryStore
from services.meeting.transcripts.transcript import Entry, Form, Segment, one_line

DEFAULT_SEGMENTS = 100

FORMS = {
    transcript_pb2.TRANSCRIPT_FORMAT_UNSPECIFIED: transcript.TEXT,
    transcript_pb2.TRANSCRIPT_FORMAT_TEXT: transcript.TEXT,
    transcript_pb2.TRANSCRIPT_FORMAT_WEBVTT: transcript.WEBVTT,
    transcript_pb2.TRANSCRIPT_FORMAT_SRT: transcript.SRT,
    transcript_pb2.TRANSCRIPT_FORMAT_JSON: transcript.JSON,
}


class TranscriptServicer(transcript_pb2_grpc.TranscriptServiceServicer):
    """Gives those who were there what was said, and what it came to."""

    def __init__(
        self,
        store: Store,
        transcripts: TranscriptStore,
        summaries: SummaryStore,
        recaps: Recaps,
        clock: Clock,
    ) -> None:
        self._store = store
        self._transcripts = transcripts
        self._summaries = summaries
        self._recaps = recaps
        self._clock = clock

    async def ListTranscriptSegments(
        self, request: transcript_pb2.ListTranscriptSegmentsRequest, context: Any
    ) -> transcript_pb2.ListTranscriptSegmentsResponse:
        """List what was said, in order of time."""
        meeting = await self._permitted(request.parent, "ListTranscriptSegments")
        size = request.page_size or DEFAULT_SEGMENTS
        after, since = paging.moment_and_id(request.page_token), _time(request, "start_time")
        found = await self._transcripts.page(
            meeting, size + 1, after, one_line(request.query), since
        )
        token = _token(found[size - 1]) if len(found) > size else ""
        shown = map(segment_proto, found[:size])
        return transcript_pb2.ListTranscriptSegmentsResponse(segments=shown, next_page_token=token)

    async def ExportTranscript(
        self, request: transcript_pb2.ExportTranscriptRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        """Give the whole transcript as a file, a piece a page."""
        meeting, form = (
            await self._permitted(request.name, "ExportTranscript"),
            FORMS[request.format],
        )
        saved = f'attachment; filename="{form.file_name(meeting)}"'
        is_begun = False
        async for piece in self._pieces(meeting, form):
            if not is_begun:
                await context.send_initial_metadata((("content-disposition", saved),))
                is_begun = True
            yield HttpBody(content_type=form.content_type, data=piece.encode())

    async def DeleteTranscript(
        self, request: transcript_pb2.DeleteTranscriptRequest, context: Any
    ) -> transcript_pb2.DeleteTranscriptResponse:
        """Delete what was said, with what was made of it."""
        meeting, now = await self._permitted(request.name, "DeleteTranscript"), self._clock.now()
        event = AuditEvent(now, f"users/{_caller()}", "transcript.delete", meeting.name)
        await self._transcripts.delete(meeting, now, event)
        return transcript_pb2.DeleteTranscriptResponse()

    async def GetSummary(
        self, request: transcript_pb2.GetSummaryRequest, context: Any
    ) -> transcript_pb2.Summary:
        """Read what the meeting came to."""
        return await self._summary(await self._permitted(request.name, "GetSummary"))

    async def GenerateSummary(
        self, request: transcript_pb2.GenerateSummaryRequest, context: Any
    ) -> transcript_pb2.Summary:
        """Make the summary now, anew if there is one."""
        meeting = await self._permitted(request.name, "GenerateSummary")
        if not meeting.settings.summary:
            raise SummaryOff(meeting=meeting.name)
        await self._recaps.make(meeting, request.language_code)
        return await self._summary(meeting)

    async def CatchUp(
        self, request: transcript_pb2.CatchUpRequest, context: Any
    ) -> transcript_pb2.CatchUpResponse:
        """Tell what was said since a time."""
        meeting, since = await self._permitted(request.name, "CatchUp"), _time(request, "since")
        if not meeting.settings.captions:
            raise CaptionsOff(meeting=meeting.name)
        points, model = await self._recaps.catch_up(meeting, since)
        kept = await self._transcripts.kept({each for point in points for each in point.cites})
        shown = [_point(meeting, point, kept) for point in points]
        return transcript_pb2.CatchUpResponse(points=shown, model=model)

    async def _summary(self, meeting: Meeting) -> transcript_pb2.Summary:
        """Read a summary; what it cites, as far as that is kept. Raises SummaryNotFound."""
        summary, create_time = await self._summaries.get(meeting)
        kept = await self._transcripts.kept(summary.cites)
        shown = transcript_pb2.Summary(
            name=f"{meeting.name}/summary",
            overview=summary.overview,
            topics=[_point(meeting, each, kept) for each in summary.topics],
            decisions=[_point(meeting, each, kept) for each in summary.decisions],
            action_items=[
                transcript_pb2.ActionItem(
                    point=_point(meeting, each, kept), assignee=each.assignee, due=each.due
                )
                for each in summary.action_items
            ],
            model=summary.model,
        )
        shown.create_time.FromDatetime(create_time)
        return shown

    async def _permitted(self, name: str, method: str) -> Meeting:
        """Read a meeting for somebody who may call a method. Raises MeetingNotFound, NotHost, NotParticipant."""
        meeting, _ = await self._store.permitted(
            _code(name), _caller(), f"TranscriptService.{method}"
        )
        return meeting

    async def _pieces(self, meeting: Meeting, form: Form) -> AsyncIterator[str]:
        """Write the file. Raises TranscriptNotFound before its first piece."""
        count, origin = 0, meeting.create_time
        async for page in self._transcripts.pages(meeting):
            if count == 0:
                origin = transcript.began(meeting, page[0].start_time)
                yield form.head
            entries = (
                form.entry(Entry.of(number, each, origin))
                for number, each in enumerate(page, count + 1)
            )
            yield (form.between if count else "") + form.between.join(entries)
            count += len(page)
        if count == 0:
            raise TranscriptNotFound(meeting=meeting.name)
        yield form.tail


def segment_proto(segment: Segment) -> transcript_pb2.TranscriptSegment:
    """Show a segment."""
    shown = transcript_pb2.TranscriptSegment(
        name=segment.name,
        participant=segment.participant,
        display_name=segment.display_name,
        text=segment.text,
        language_code=segment.language_code,
        confidence=segment.confidence,
    )
    shown.start_time.FromDatetime(segment.start_time)
    shown.end_time.FromDatetime(segment.end_time)
    return shown


def _point(meeting: Meeting, point: Point, kept: Collection[UUID]) -> transcript_pb2.SummaryPoint:
    cited = [f"{meeting.name}/transcript/{each}" for each in point.cites if each in kept]
    shown = transcript_pb2.SummaryPoint(text=point.text, citations=cited)
    shown.offset.FromMilliseconds(round(point.offset_seconds * 1000))
    return shown


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _code(name: str) -> str:
    """Cut the code out of `meetings/{code}` and what may follow, which the contract has seen to."""
    return name.split("/")[1]


def _time(request: Message, field: str) -> datetime | None:
    """Read a time if it is set. Raises InvalidArgument."""
    if not request.HasField(field):
        return None
    try:
        time: datetime = getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument(fields={field: "it is no time"}) from None
    return time


def _token(segment: Segment) -> str:
    return paging.encode((segment.start_time.isoformat(), str(segment.id)))


__all__ = ["TranscriptServicer", "segment_proto"]
