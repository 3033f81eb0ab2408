"""AuditService, and the part of AdminService that reads the audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from parley.user.v1 import admin_pb2, admin_pb2_grpc

from chassis import paging
from chassis.errors import InvalidArgument
from services.user.audit import AuditEvent, AuditLog, Wanted

DEFAULT_EVENTS = 50


class AuditServicer(admin_pb2_grpc.AuditServiceServicer):
    """Takes what other services did."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def RecordAuditEvents(
        self, request: admin_pb2.RecordAuditEventsRequest, context: Any
    ) -> admin_pb2.RecordAuditEventsResponse:
        """Append events."""
        await self._log.add(_event(event) for event in request.audit_events)
        return admin_pb2.RecordAuditEventsResponse()


class AuditReading(admin_pb2_grpc.AdminServiceServicer):
    """The part of AdminService that reads the audit log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def ListAuditEvents(
        self, request: admin_pb2.ListAuditEventsRequest, context: Any
    ) -> admin_pb2.ListAuditEventsResponse:
        """List the audit log, newest first."""
        size = request.page_size or DEFAULT_EVENTS
        wanted = Wanted(
            request.actor,
            request.subject,
            request.action,
            _time(request, "start_time"),
            _time(request, "end_time"),
        )
        found = await self._log.page(wanted, paging.moment_and_id(request.page_token), size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = paging.encode((last.time.isoformat(), str(last.id)))
        shown = [_shown(event) for event in found[:size]]
        return admin_pb2.ListAuditEventsResponse(audit_events=shown, next_page_token=token)


def _event(event: admin_pb2.AuditEvent) -> AuditEvent:
    try:
        identifier = UUID(event.name.removeprefix("auditEvents/"))
    except ValueError:
        raise InvalidArgument(fields={"audit_events.name": "the id is a UUID"}) from None
    time = event.time.ToDatetime(UTC)
    return AuditEvent(
        identifier, time, event.actor, event.action, event.subject, dict(event.details)
    )


def _shown(event: AuditEvent) -> admin_pb2.AuditEvent:
    shown = admin_pb2.AuditEvent(
        name=f"auditEvents/{event.id}",
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        details=event.details,
    )
    shown.time.FromDatetime(event.time)
    return shown


def _time(request: Message, field: str) -> datetime | None:
    if not request.HasField(field):
        return None
    time: datetime = getattr(request, field).ToDatetime(UTC)
    return time


__all__ = ["AuditReading", "AuditServicer"]
