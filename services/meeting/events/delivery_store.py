"""Deliveries in Postgres: filled from the log, tried by one process at a time, in order within a meeting.

Any number of processes may claim deliveries. Of a meeting's pending deliveries to a webhook only the first has a time at
which it is due; whoever settles it, under the webhook's lock, makes the next one due. So what comes later waits, and
other meetings go on. A process that dies between the POST and `settle` leaves its claim to expire: the event is
delivered again, with the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from services.meeting.events.tables import DeliveryRow, LoggedRow, LogRow, WebhookRow
from services.meeting.events.webhook import WINDOW, DeliveryState, delay, is_given_up, is_paused

LEASE = timedelta(minutes=1)
"""Much longer than a POST may take."""
FILLED_AT_ONCE = 20
EVENTS_AT_ONCE = 200
FULL_DELAY = timedelta(seconds=5)
"""After which it is looked whether a webhook with a full window has room again."""
_PENDING = DeliveryRow.state == DeliveryState.PENDING.value


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to try: under `lease`, which is how it is known that it still is."""

    webhook_id: UUID
    sequence: int
    lease: UUID
    uri: str
    secret: bytes
    payload: bytes


class DeliveryStore:
    """Fills, claims and settles deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fill(self, now: datetime) -> int:
        """Put events of the log among the deliveries of some webhooks; returns for how many webhooks."""
        is_due = (WebhookRow.fill_time <= now) & WebhookRow.pause_time.is_(None)
        query = select(WebhookRow).where(is_due).order_by(WebhookRow.fill_time)
        query = query.limit(FILLED_AT_ONCE).with_for_update(skip_locked=True)
        async with self._database.begin() as session:
            if not (rows := (await session.execute(query)).scalars().all()):
                return 0
            last = (await session.execute(select(LogRow.last_sequence))).scalar_one()
            for row in rows:
                await _fill(session, row, last, now)
            return len(rows)

    async def claim(self, now: datetime, busy: Collection[UUID]) -> Claim | None:
        """Claim the delivery that has been due for longest, to none of the busy webhooks."""
        query = select(DeliveryRow, WebhookRow.uri, WebhookRow.secret, LoggedRow.payload)
        query = query.join(WebhookRow, WebhookRow.id == DeliveryRow.webhook_id)
        query = query.join(LoggedRow, LoggedRow.sequence == DeliveryRow.sequence)
        query = query.where(_PENDING & (DeliveryRow.due_time <= now))
        query = query.where(WebhookRow.id.not_in(busy)).order_by(DeliveryRow.due_time)
        query = query.limit(1).with_for_update(of=DeliveryRow, skip_locked=True)
        async with self._database.begin() as session:
            if (found := (await session.execute(query)).one_or_none()) is None:
                return None
            row, uri, secret, payload = found
            row.lease = lease = uuid4()
            row.due_time, row.attempt_time = now + LEASE, now
            row.attempt_count += 1
            return Claim(row.webhook_id, row.sequence, lease, uri, secret, payload)

    async def settle(
        self, claim: Claim, status: int, now: datetime, share: float
    ) -> DeliveryState | None:
        """Say how a delivery went: by which HTTP status it was answered, 0: by none. `share`: see `webhook.delay`.

        Returns how it stands; None: it is not ours any more, as it took too long, or is replayed, or its webhook is gone.
        """
        async with self._database.begin() as session:
            query = select(WebhookRow).where(WebhookRow.id == claim.webhook_id)
            webhook = (await session.execute(query.with_for_update())).scalar_one_or_none()
            key = (claim.webhook_id, claim.sequence)
            delivery = await session.get(DeliveryRow, key, with_for_update=True)
            if webhook is None or delivery is None or delivery.lease != claim.lease:
                return None
            delivery.http_status, delivery.lease = status, None
            if 200 <= status < 300:
                webhook.failing_since = None
                webhook.delivered_sequence = max(
                    claim.sequence, webhook.delivered_sequence or claim.sequence
                )
                state = DeliveryState.DELIVERED
            else:
                webhook.failing_since = webhook.failing_since or now
                delivery.due_time = now + delay(delivery.attempt_count, share)
                failed = is_given_up(delivery.create_time, now)
                state = DeliveryState.GIVEN_UP if failed else DeliveryState.PENDING
            delivery.state = state.value
            if state is not DeliveryState.PENDING:
                delivery.due_time = None
                await _make_next_due(session, delivery, now)
            if webhook.failing_since is not None and is_paused(webhook.failing_since, now):
                await _pause(session, webhook, now)
            return state

    async def backlog(self) -> tuple[int, datetime | None]:
        """Tell how many deliveries are pending, and since when the oldest of them is."""
        query = select(func.count(), func.min(DeliveryRow.create_time)).where(_PENDING)
        async with self._database.begin() as session:
            count, oldest = (await session.execute(query)).one()
            return count, oldest


async def _fill(session: AsyncSession, webhook: WebhookRow, last: int, now: datetime) -> None:
    mine = _PENDING & (DeliveryRow.webhook_id == webhook.id)
    pending = select(DeliveryRow.meeting_id, func.count()).where(mine)
    found = await session.execute(pending.group_by(DeliveryRow.meeting_id))
    waiting = dict(found.all())
    limit = min(WINDOW - sum(waiting.values()), EVENTS_AT_ONCE)
    if limit <= 0:
        webhook.fill_time = now + FULL_DELAY
        return
    where = (LoggedRow.host_id == webhook.owner_id) & (LoggedRow.sequence <= last)
    where &= LoggedRow.sequence > webhook.position
    if webhook.types:
        where &= LoggedRow.type.in_(webhook.types)
    query = select(LoggedRow.sequence, LoggedRow.meeting_id).where(where)
    events = (await session.execute(query.order_by(LoggedRow.sequence).limit(limit))).all()
    await _add(
        session,
        webhook.id,
        [(each.sequence, each.meeting_id) for each in events],
        set(waiting),
        now,
    )
    is_all = len(events) < limit
    webhook.position = last if is_all else events[-1].sequence
    webhook.fill_time = None if is_all else now


async def _add(
    session: AsyncSession,
    webhook_id: UUID,
    events: Sequence[tuple[int, UUID]],
    waiting: set[UUID],
    now: datetime,
) -> None:
    """Add deliveries, those that are replayed anew; the first of each meeting is due now."""
    if not events:
        return
    fresh: dict[str, Any] = {
        "state": DeliveryState.PENDING.value,
        "attempt_count": 0,
        "http_status": 0,
        "attempt_time": None,
        "lease": None,
        "create_time": now,
    }
    rows = []
    for sequence, meeting_id in events:
        due = None if meeting_id in waiting else now
        waiting.add(meeting_id)
        own = {"webhook_id": webhook_id, "sequence": sequence, "meeting_id": meeting_id}
        rows.append({**own, "due_time": due, **fresh})
    statement = insert(DeliveryRow).values(rows)
    again = {name: statement.excluded[name] for name in (*fresh, "due_time")}
    await session.execute(
        statement.on_conflict_do_update(index_elements=["webhook_id", "sequence"], set_=again)
    )


async def _make_next_due(session: AsyncSession, done: DeliveryRow, now: datetime) -> None:
    await session.flush()
    mine = (DeliveryRow.webhook_id == done.webhook_id) & (DeliveryRow.meeting_id == done.meeting_id)
    first = select(func.min(DeliveryRow.sequence)).where(mine & _PENDING).scalar_subquery()
    statement = update(DeliveryRow).where(mine & (DeliveryRow.sequence == first))
    await session.execute(
        statement.values(due_time=now), execution_options={"synchronize_session": False}
    )


async def _pause(session: AsyncSession, webhook: WebhookRow, now: datetime) -> None:
    """Post nothing to it any more until it is replayed; what is pending is given up."""
    webhook.pause_time, webhook.fill_time = now, None
    pending = (DeliveryRow.webhook_id == webhook.id) & _PENDING
    given_up = {"state": DeliveryState.GIVEN_UP.value, "due_time": None, "lease": None}
    await session.flush()
    await session.execute(
        update(DeliveryRow).where(pending).values(given_up),
        execution_options={"synchronize_session": False},
    )


__all__ = ["Claim", "DeliveryStore"]
