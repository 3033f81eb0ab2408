"""The courier: numbers what has happened, and delivers it to webhooks, each process a bounded part at a time.

It asks the database what there is to do, every other moment and whenever something was delivered, so that nothing has to
be told to it and nothing is lost with it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

from cryptography.fernet import InvalidToken
from google.protobuf import json_format
from parley.meeting.v1 import webhook_pb2

from chassis import logs, telemetry
from chassis.clock import Clock
from chassis.errors import DomainError
from chassis.idempotency import Seal
from services.meeting.events.delivery_store import Claim, DeliveryStore
from services.meeting.events.log import EventLog
from services.meeting.events.posting import Poster, PostFailed
from services.meeting.events.webhook import DeliveryState, cursor_of, signature

AT_ONCE = 32
"""How many POSTs a process has under way, and of them to one webhook."""
AT_ONCE_TO_ONE = 4
SWEEP_SECONDS = 60.0
MEASURE_SECONDS = 15.0
RETRY_SECONDS = 1.0

log = logs.get("meeting.courier")

_attempts = telemetry.counter(
    "meeting_webhook_attempts", "Events that were posted to webhooks, by what came of it.", ("how",)
)
_numbered = telemetry.counter("meeting_events_numbered", "Events that came into the log.")
_pending = telemetry.gauge(
    "meeting_webhook_pending", "Events on their way to webhooks; the same in every process."
)
_age = telemetry.gauge(
    "meeting_webhook_oldest_seconds", "For how long the oldest event has been on its way."
)


class Courier:
    """Delivers."""

    def __init__(
        self,
        events: EventLog,
        deliveries: DeliveryStore,
        poster: Poster,
        seal: Seal,
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        self._events = events
        self._deliveries = deliveries
        self._poster = poster
        self._seal = seal
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._under_way: Counter[UUID] = Counter()
        self._is_done = asyncio.Event()

    async def run(self) -> None:
        """Deliver, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_after())
                group.create_task(self._measure())
                await self._deliver_all(group)
        finally:
            await self._poster.close()

    async def _deliver_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._is_done.clear()
            try:
                while await self._round(group):
                    pass
            except DomainError as error:
                log.info("events wait", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._is_done.wait()
            except TimeoutError:
                pass  # time to look what other processes have left

    async def _round(self, group: asyncio.TaskGroup) -> bool:
        """Do a part of what there is to do; tells whether there may be more. Raises Unavailable."""
        now = self._clock.now()
        numbered = await self._events.number(now)
        _numbered.inc(numbered)
        filled = await self._deliveries.fill(now)
        claimed = False
        while self._under_way.total() < AT_ONCE:
            busy = [each for each, count in self._under_way.items() if count >= AT_ONCE_TO_ONE]
            if (claim := await self._deliveries.claim(self._clock.now(), busy)) is None:
                break
            self._under_way[claim.webhook_id] += 1
            group.create_task(self._deliver(claim))
            claimed = True
        return bool(numbered or filled or claimed)

    async def _deliver(self, claim: Claim) -> None:
        try:
            status = await self._post(claim)
            now, share = self._clock.now(), random.random()  # noqa: S311  # spreads retries
            state = await self._deliveries.settle(claim, status, now, share)
            _attempts.labels(_how(state)).inc()
        except DomainError as error:
            log.warning("delivery not settled", reason=error.reason)
        finally:
            self._under_way -= Counter([claim.webhook_id])
            self._is_done.set()

    async def _post(self, claim: Claim) -> int:
        """Post an event; returns the HTTP status, 0 where there was no answer."""
        body = body_of(claim.sequence, claim.payload)
        try:
            secret = self._seal.decrypt(claim.secret).decode()
        except InvalidToken:
            log.error(
                "secret not readable: the service has another key", webhook=str(claim.webhook_id)
            )
            return 0
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Parley-Webhooks/1",
            "Parley-Signature": signature(secret, self._clock.now(), body),
        }
        try:
            return await self._poster.post(claim.uri, body, headers)
        except PostFailed as failure:
            log.info("event not delivered", webhook=str(claim.webhook_id), error=str(failure))
            return 0

    async def _look_after(self) -> None:
        while True:
            try:
                while await self._events.sweep(self._clock.now()):
                    pass
            except DomainError as error:
                log.info("events not swept", reason=error.reason)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _measure(self) -> None:
        while True:
            try:
                count, oldest = await self._deliveries.backlog()
            except DomainError as error:
                log.info("events not counted", reason=error.reason)
            else:
                now = self._clock.now()
                _pending.set(count)
                _age.set((now - oldest).total_seconds() if oldest else 0)
            await asyncio.sleep(MEASURE_SECONDS)


def event_of(sequence: int, payload: bytes) -> webhook_pb2.MeetingEvent:
    """Read an event of the log, and put its cursor on it."""
    event = webhook_pb2.MeetingEvent.FromString(payload)
    event.cursor = cursor_of(sequence)
    return event


def body_of(sequence: int, payload: bytes) -> bytes:
    """Write an event as JSON, as the REST interface does."""
    return json_format.MessageToJson(
        event_of(sequence, payload),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=None,
    ).encode()


def _how(state: DeliveryState | None) -> str:
    if state is None:
        return "superseded"
    return "failed" if state is DeliveryState.PENDING else state.value


__all__ = ["Courier", "body_of", "event_of"]
