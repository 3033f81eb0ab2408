"""The other services, as the meeting service speaks to them: signaling, media, ai and user.

The database is the truth; these calls tell others of it. One that fails is tried again a little later, then logged:
signaling and media find out by themselves when a client next asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from uuid import uuid4

import grpc
from parley.ai.v1 import ai_pb2, ai_pb2_grpc
from parley.media.v1 import library_pb2, library_pb2_grpc, media_pb2, media_pb2_grpc
from parley.meeting.v1 import settings_pb2
from parley.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from parley.user.v1 import admin_pb2, admin_pb2_grpc

from chassis import logs
from chassis.channels import relayed
from services.meeting.audit import AuditEvent
from services.meeting.room.events import Waiting

ATTEMPTS = 3
FIRST_DELAY_SECONDS = 0.2
TIMEOUT_SECONDS = 2.0

log = logs.get("meeting.peers")


class Peers:
    """Tells signaling and media what the meeting service has decided."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._events = signaling_pb2_grpc.EventServiceStub(mesh)
        self._rooms = media_pb2_grpc.RoomServiceStub(mesh)
        self._texts = ai_pb2_grpc.TextServiceStub(mesh)
        self._library = library_pb2_grpc.LibraryServiceStub(mesh)
        self._audit = admin_pb2_grpc.AuditServiceStub(mesh)

    async def meeting_ended(self, meeting: str) -> None:
        """Tell everyone in a meeting that it is over, and close its media."""
        ended = signaling_pb2.ServerMessage(meeting_ended=signaling_pb2.MeetingEnded())
        event = signaling_pb2.Event(message=ended)
        await self._publish(meeting, event)
        request = media_pb2.CloseRoomRequest(meeting=meeting)
        await _told(lambda: self._rooms.CloseRoom(request, timeout=TIMEOUT_SECONDS))

    async def participant_left(self, meeting: str, participant: str) -> None:
        """Tell a participant's own connection that it has left; signaling tells the rest."""
        left = signaling_pb2.Disconnected(reason=signaling_pb2.DISCONNECT_REASON_LEFT)
        message = signaling_pb2.ServerMessage(disconnected=left)
        await self._publish(meeting, signaling_pb2.Event(participant=participant, message=message))

    async def settings_changed(self, meeting: str, settings: settings_pb2.Settings) -> None:
        """Tell everyone in a meeting what is listened to now."""
        changed = signaling_pb2.SettingsChanged(settings=settings)
        message = signaling_pb2.ServerMessage(settings_changed=changed)
        await self._publish(meeting, signaling_pb2.Event(message=message))

    async def set_analysis(self, request: media_pb2.SetAnalysisRequest) -> bool:
        """Tell media what is to be analysed, once; a room that is not there asks when it begins. Returns whether it knows."""
        try:
            await self._rooms.SetAnalysis(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return True

    async def audit(self, events: Iterable[AuditEvent]) -> None:
        """Put events into the audit log. Raises what the user service answers."""
        request = admin_pb2.RecordAuditEventsRequest(audit_events=map(_audit_event, events))
        try:
            await self._audit.RecordAuditEvents(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def publish(self, waiting: Waiting) -> None:
        """Tell a room what waits for it, once. Raises what signaling answers."""
        events = [
            signaling_pb2.Event(
                participant=event.participant,
                message=signaling_pb2.ServerMessage.FromString(event.payload),
            )
            for event in waiting.events
        ]
        request = signaling_pb2.PublishEventsRequest(
            meeting=waiting.meeting, events=events, request_id=str(waiting.batch)
        )
        try:
            await self._events.PublishEvents(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def owner_of(self, name: str, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """Tell whose a file is, `users/{id}`, to who calls with this metadata. Raises what the library answers."""
        token = tuple((key, value) for key, value in metadata if key == "authorization")
        request = library_pb2.GetMediaRequest(name=name)
        try:
            media = await self._library.GetMedia(request, timeout=TIMEOUT_SECONDS, metadata=token)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error
        return media.owner

    async def summarise(
        self, lines: Iterable[ai_pb2.TextLine], language: str, seconds: float
    ) -> ai_pb2.SummarizeTextResponse:
        """Have what was said summarised, within so many seconds. Raises what the ai service answers."""
        request = ai_pb2.SummarizeTextRequest(lines=lines, language_code=language)
        try:
            return await self._texts.SummarizeText(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from error

    async def _publish(self, meeting: str, event: signaling_pb2.Event) -> None:
        request = signaling_pb2.PublishEventsRequest(
            meeting=meeting, events=[event], request_id=str(uuid4())
        )
        await _told(lambda: self._events.PublishEvents(request, timeout=TIMEOUT_SECONDS))


def _audit_event(event: AuditEvent) -> admin_pb2.AuditEvent:
    shown = admin_pb2.AuditEvent(
        name=f"auditEvents/{event.id}",
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        details=event.details,
    )
    shown.time.FromDatetime(event.time)
    return shown


async def _told(call: Callable[[], Awaitable[object]]) -> None:
    delay = FIRST_DELAY_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            log.warning("peer not told", code=error.code().name, attempt=attempt)
            await asyncio.sleep(delay)
            delay *= 2
        else:
            return
