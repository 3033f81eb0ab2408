"""ReportService: proto to domain and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from parley.meeting.v1 import report_pb2, report_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from chassis.clock import Clock
from services.meeting.records.report import Attendance, TimeRangeInvalid, span_of
from services.meeting.records.report_store import ReportStore
from services.meeting.room.notes_store import NotesStore
from services.meeting.store import Store

DEFAULT_ATTENDANCES = 100


class ReportServicer(report_pb2_grpc.ReportServiceServicer):
    """Reads what is left of meetings."""

    def __init__(self, store: Store, reports: ReportStore, notes: NotesStore, clock: Clock) -> None:
        self._store = store
        self._notes = notes
        self._reports = reports
        self._clock = clock

    async def ListAttendances(
        self, request: report_pb2.ListAttendancesRequest, context: Any
    ) -> report_pb2.ListAttendancesResponse:
        """List who attended a meeting, in order of first joining."""
        code, method = _code(request.parent), "ReportService.ListAttendances"
        meeting, _ = await self._store.permitted(code, _caller(), method)
        size = request.page_size or DEFAULT_ATTENDANCES
        after = paging.moment_and_id(request.page_token)
        found = await self._reports.attendances(meeting, self._clock.now(), after, size + 1)
        token = _token(found[size - 1]) if len(found) > size else ""
        shown = map(attendance_proto, found[:size])
        return report_pb2.ListAttendancesResponse(attendances=shown, next_page_token=token)

    async def GetNotes(self, request: report_pb2.GetNotesRequest, context: Any) -> report_pb2.Notes:
        """Read the notes that a meeting's participants share."""
        code, method = _code(request.name), "ReportService.GetNotes"
        meeting, _ = await self._store.permitted(code, _caller(), method)
        notes = await self._notes.get(meeting)
        shown = report_pb2.Notes(name=request.name, text=notes.text, document=notes.document)
        if notes.update_time is not None:
            shown.update_time.FromDatetime(notes.update_time)
        return shown

    async def GetStatistics(
        self, request: report_pb2.GetStatisticsRequest, context: Any
    ) -> report_pb2.Statistics:
        """Tell how the server was used."""
        now = self._clock.now()
        start = _time(request.start_time) if request.HasField("start_time") else None
        end = _time(request.end_time) if request.HasField("end_time") else None
        told = await self._reports.statistics(span_of(start, end, now), now)
        shown = report_pb2.Statistics(
            meeting_count=told.meeting_count,
            live_meeting_count=told.live_meeting_count,
            participant_count=told.participant_count,
            live_participant_count=told.live_participant_count,
            active_user_count=told.active_user_count,
        )
        shown.start_time.FromDatetime(told.span.start_time)
        shown.end_time.FromDatetime(told.span.end_time)
        shown.participant_time.FromTimedelta(told.participant_time)
        return shown


def attendance_proto(attendance: Attendance) -> report_pb2.Attendance:
    """Show somebody's time in a meeting."""
    shown = report_pb2.Attendance(
        user=f"users/{attendance.user_id}",
        display_name=attendance.display_name,
        visit_count=attendance.visit_count,
    )
    shown.first_join_time.FromDatetime(attendance.first_join_time)
    if attendance.last_leave_time is not None:
        shown.last_leave_time.FromDatetime(attendance.last_leave_time)
    shown.duration.FromTimedelta(attendance.duration)
    return shown


def _time(timestamp: Timestamp) -> datetime:
    """Read a time. Raises TimeRangeInvalid."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise TimeRangeInvalid from None


def _token(attendance: Attendance) -> str:
    return paging.encode((attendance.first_join_time.isoformat(), str(attendance.user_id)))


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _code(name: str) -> str:
    """Cut the code out of `meetings/{code}` and what may follow, which the contract has seen to."""
    return name.split("/")[1]


__all__ = ["ReportServicer", "attendance_proto"]
