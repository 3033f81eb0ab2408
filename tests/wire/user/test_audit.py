"""The audit log in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis import db
from services.user.app import MIGRATIONS
from services.user.audit import AuditEvent, AuditLog, Wanted
from tests.conftest import DatabaseFactory

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def log(database: DatabaseFactory) -> AsyncIterator[AuditLog]:
    async with db.connected(database("user"), MIGRATIONS) as opened:
        yield AuditLog(opened)


def event(minute: int, **values: Any) -> AuditEvent:
    fields: dict[str, Any] = {
        "id": uuid4(),
        "time": NOON + timedelta(minutes=minute),
        "actor": "users/a",
        "action": "captions.enable",
        "subject": "meetings/m",
        "details": {},
        **values,
    }
    return AuditEvent(**fields)


async def test_events_come_back_newest_first_page_by_page(log: AuditLog) -> None:
    events = [event(minute) for minute in range(5)]
    await log.add(events)
    first = await log.page(Wanted(), None, 2)
    rest = await log.page(Wanted(), (first[-1].time, first[-1].id), 10)
    assert [*first, *rest] == list(reversed(events))


async def test_an_event_that_is_told_twice_is_kept_once(log: AuditLog) -> None:
    told = event(0, details={"to": "captions"})
    await log.add([told])
    await log.add([told, event(1)])
    assert len(await log.page(Wanted(), None, 10)) == 2


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        (Wanted(actor="users/b"), [1]),
        (Wanted(subject="meetings/n"), [2]),
        (Wanted(action="captions.enable"), [4, 2, 1]),
        (Wanted(action="captions.*"), [4, 3, 2, 1]),
        (Wanted(action="c_ptions.*"), []),
        (Wanted(since=NOON + timedelta(minutes=3)), [4, 3]),
        (Wanted(until=NOON + timedelta(minutes=2)), [1]),
    ],
)
async def test_what_is_not_wanted_is_left_out(
    log: AuditLog, wanted: Wanted, minutes: list[int]
) -> None:
    await log.add(
        [
            event(1, actor="users/b"),
            event(2, subject="meetings/n"),
            event(3, action="captions.disable"),
            event(4),
        ]
    )
    found = await log.page(wanted, None, 10)
    assert [(each.time - NOON) // timedelta(minutes=1) for each in found] == minutes
