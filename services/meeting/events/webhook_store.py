"""Webhooks in Postgres, as their owners see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.idempotency import RequestIdReused, Seal
from services.meeting.events.tables import DeliveryRow, LoggedRow, LogRow, WebhookRow
from services.meeting.events.webhook import (
    MAX_WEBHOOKS,
    DeliveryState,
    TooManyWebhooks,
    Webhook,
    WebhookNotFound,
    check_kept,
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for a webhook, and how it stands."""

    sequence: int
    payload: bytes
    state: DeliveryState
    attempt_count: int
    http_status: int
    attempt_time: datetime | None


class WebhookStore:
    """Keeps webhooks; their secrets under a seal."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def add(
        self, webhook: Webhook, secret: str, request_id: UUID | None
    ) -> tuple[Webhook, str]:
        """Add a webhook, which gets what happens from now on; or give the one that the same request has made before.

        Raises TooManyWebhooks, RequestIdReused.
        """
        async with self._database.begin() as session:
            turn = func.pg_advisory_xact_lock(func.hashtextextended(f"w{webhook.owner_id}", 0))
            await session.execute(select(turn))
            mine = WebhookRow.owner_id == webhook.owner_id
            if request_id is not None:
                query = select(WebhookRow).where(mine & (WebhookRow.request_id == request_id))
                if (row := (await session.execute(query)).scalar_one_or_none()) is not None:
                    if (row.uri, tuple(row.types)) != (webhook.uri, webhook.types):
                        raise RequestIdReused
                    return _webhook(row), self._seal.decrypt(row.secret).decode()
            count = (await session.execute(select(func.count()).where(mine))).scalar_one()
            if count >= MAX_WEBHOOKS:
                raise TooManyWebhooks
            # Who numbers events meanwhile is waited for: it has not seen this webhook.
            last = select(LogRow.last_sequence).with_for_update(read=True)
            session.add(
                WebhookRow(
                    id=webhook.id,
                    owner_id=webhook.owner_id,
                    uri=webhook.uri,
                    secret=self._seal.encrypt(secret.encode()),
                    types=list(webhook.types),
                    position=(await session.execute(last)).scalar_one(),
                    create_time=webhook.create_time,
                    request_id=request_id,
                )
            )
            return webhook, secret

    async def page(
        self, owner_id: UUID, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[Webhook]:
        """List an account's webhooks, oldest first, from above `after`."""
        where = WebhookRow.owner_id == owner_id
        if after is not None:
            where &= tuple_(WebhookRow.create_time, WebhookRow.id) > after
        query = select(WebhookRow).where(where).limit(limit)
        query = query.order_by(WebhookRow.create_time, WebhookRow.id)
        async with self._database.begin() as session:
            return [_webhook(row) for row in (await session.execute(query)).scalars()]

    async def remove(self, webhook_id: UUID, owner_id: UUID) -> None:
        """Delete a webhook with its deliveries. Raises WebhookNotFound."""
        where = _is(webhook_id, owner_id)
        async with self._database.begin() as session:
            gone = await session.execute(delete(WebhookRow).where(where).returning(WebhookRow.id))
            if gone.one_or_none() is None:
                raise WebhookNotFound

    async def replay(
        self, webhook_id: UUID, owner_id: UUID, after: int | None, now: datetime
    ) -> None:
        """Have everything delivered again from above a number; None: all that is kept. One that is paused goes on.

        Raises WebhookNotFound, CursorInvalid.
        """
        async with self._database.begin() as session:
            row = await _one(session, webhook_id, owner_id, is_changed=True)
            log = (await session.execute(select(LogRow))).scalar_one()
            if after is None:
                after = log.swept_sequence
            row.position = check_kept(after, log.last_sequence, log.swept_sequence)
            row.fill_time, row.failing_since, row.pause_time = now, None, None
            pending = DeliveryRow.state == DeliveryState.PENDING.value
            again = (DeliveryRow.webhook_id == webhook_id) & (DeliveryRow.sequence > after)
            await session.execute(delete(DeliveryRow).where(again & pending))

    async def deliveries(
        self,
        webhook_id: UUID,
        owner_id: UUID,
        state: DeliveryState | None,
        below: int | None,
        limit: int,
    ) -> Sequence[Delivery]:
        """List a webhook's deliveries, newest event first, from below a number. Raises WebhookNotFound."""
        where = DeliveryRow.webhook_id == webhook_id
        if state is not None:
            where &= DeliveryRow.state == state.value
        if below is not None:
            where &= DeliveryRow.sequence < below
        query = select(DeliveryRow, LoggedRow.payload).where(where)
        query = query.join(LoggedRow, LoggedRow.sequence == DeliveryRow.sequence)
        async with self._database.begin() as session:
            await _one(session, webhook_id, owner_id)
            rows = await session.execute(query.order_by(DeliveryRow.sequence.desc()).limit(limit))
            return [_delivery(row, payload) for row, payload in rows]


def _is(webhook_id: UUID, owner_id: UUID) -> ColumnElement[bool]:
    return (WebhookRow.id == webhook_id) & (WebhookRow.owner_id == owner_id)


async def _one(
    session: AsyncSession, webhook_id: UUID, owner_id: UUID, *, is_changed: bool = False
) -> WebhookRow:
    query = select(WebhookRow).where(_is(webhook_id, owner_id))
    query = query.with_for_update() if is_changed else query
    if (row := (await session.execute(query)).scalar_one_or_none()) is None:
        raise WebhookNotFound
    return row


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        owner_id=row.owner_id,
        uri=row.uri,
        types=tuple(row.types),
        create_time=row.create_time,
        delivered=row.delivered_sequence,
        pause_time=row.pause_time,
    )


def _delivery(row: DeliveryRow, payload: bytes) -> Delivery:
    return Delivery(
        sequence=row.sequence,
        payload=payload,
        state=DeliveryState(row.state),
        attempt_count=row.attempt_count,
        http_status=row.http_status,
        attempt_time=row.attempt_time,
    )


__all__ = ["Delivery", "WebhookStore"]
