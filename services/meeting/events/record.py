"""Writes down what has happened to a meeting, in the transaction in which it happens: there are both, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from parley.meeting.v1 import webhook_pb2
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.meeting.domain import Meeting, ParticipantState
from services.meeting.events.happenings import Happening
from services.meeting.events.tables import DeliveryRow, LoggedRow, NewsRow, WebhookRow
from services.meeting.shown import meeting_proto, participant_proto
from services.meeting.tables import ParticipantRow


async def record(
    session: AsyncSession, meeting: Meeting, happened: Sequence[Happening], now: datetime
) -> None:
    """Write down what has happened to a meeting that is locked, in that order."""
    if not happened:
        return
    connected = ParticipantRow.state == ParticipantState.CONNECTED.value
    query = select(func.count()).where((ParticipantRow.meeting_id == meeting.id) & connected)
    count = (await session.execute(query)).scalar_one()
    rows = [
        {
            "host_id": meeting.host_id,
            "meeting_id": meeting.id,
            "type": each.kind.value,
            "payload": _event(meeting, count, each, now).SerializeToString(),
            "create_time": now,
        }
        for each in happened
    ]
    await session.execute(insert(NewsRow).values(rows))


async def forget(session: AsyncSession, meeting_id: UUID) -> None:
    """Delete all that was written down of a meeting, what has no number yet first: that may be getting one.

    Webhooks that it is on its way to are locked, as by whoever adds and settles deliveries, so that none are left.
    """
    await session.execute(delete(NewsRow).where(NewsRow.meeting_id == meeting_id))
    concerned = select(DeliveryRow.webhook_id).where(DeliveryRow.meeting_id == meeting_id)
    locked = select(WebhookRow.id).where(WebhookRow.id.in_(concerned)).order_by(WebhookRow.id)
    await session.execute(locked.with_for_update())
    for table in (LoggedRow, DeliveryRow):
        await session.execute(delete(table).where(table.meeting_id == meeting_id))


def _event(
    meeting: Meeting, count: int, happened: Happening, now: datetime
) -> webhook_pb2.MeetingEvent:
    """Make the event as the contract has it, without the passcode: programs don't join."""
    event = webhook_pb2.MeetingEvent(
        id=str(uuid4()),
        type=webhook_pb2.MeetingEventType.ValueType(happened.kind.value),
        meeting=meeting_proto(meeting, count, None),
        subject=happened.subject,
    )
    event.time.FromDatetime(now)
    if happened.participant is not None:
        event.participant.CopyFrom(participant_proto(happened.participant, meeting))
    return event


__all__ = ["forget", "record"]
