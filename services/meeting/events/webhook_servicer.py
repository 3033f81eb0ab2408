"""WebhookService: proto to domain and back. Every caller has webhooks, and the events of the meetings they host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

from parley.meeting.v1 import webhook_pb2, webhook_pb2_grpc

from chassis import paging
from chassis.clock import Clock
from services.meeting.domain import NotHost
from services.meeting.events.courier import event_of
from services.meeting.events.watch import EventWatch
from services.meeting.events.webhook import (
    CursorInvalid,
    DeliveryState,
    Policy,
    Webhook,
    WebhookNotFound,
    check_uri,
    cursor_of,
    new_secret,
    sequence_of,
)
from services.meeting.events.webhook_store import Delivery, WebhookStore
from services.meeting.shown import caller, code_of, token_of
from services.meeting.store import Store

DEFAULT_PAGE = 20
_STATES = {
    DeliveryState.PENDING: webhook_pb2.DELIVERY_STATE_PENDING,
    DeliveryState.DELIVERED: webhook_pb2.DELIVERY_STATE_DELIVERED,
    DeliveryState.GIVEN_UP: webhook_pb2.DELIVERY_STATE_GIVEN_UP,
}
_DOMAIN_STATES = {value: state for state, value in _STATES.items()}


class WebhookServicer(webhook_pb2_grpc.WebhookServiceServicer):
    """Keeps webhooks and streams events."""

    def __init__(
        self,
        store: Store,
        webhooks: WebhookStore,
        watch: EventWatch,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._watch = watch
        self._policy = policy
        self._clock = clock

    async def CreateWebhook(
        self, request: webhook_pb2.CreateWebhookRequest, context: Any
    ) -> webhook_pb2.CreateWebhookResponse:
        """Add a webhook, and show its secret once."""
        wanted = request.webhook
        check_uri(wanted.uri, self._policy)
        webhook = Webhook(
            id=uuid4(),
            owner_id=caller(),
            uri=wanted.uri,
            types=tuple(sorted(wanted.types)),
            create_time=self._clock.now(),
        )
        request_id = UUID(request.request_id) if request.request_id else None
        kept, secret = await self._webhooks.add(webhook, new_secret(), request_id)
        return webhook_pb2.CreateWebhookResponse(webhook=webhook_proto(kept), secret=secret)

    async def ListWebhooks(
        self, request: webhook_pb2.ListWebhooksRequest, context: Any
    ) -> webhook_pb2.ListWebhooksResponse:
        """List the caller's webhooks, oldest first."""
        size = request.page_size or DEFAULT_PAGE
        after = paging.moment_and_id(request.page_token)
        found = await self._webhooks.page(caller(), after, size + 1)
        is_last = len(found) <= size
        token = "" if is_last else token_of(found[size - 1].create_time, found[size - 1].id)
        shown = [webhook_proto(each) for each in found[:size]]
        return webhook_pb2.ListWebhooksResponse(webhooks=shown, next_page_token=token)

    async def DeleteWebhook(
        self, request: webhook_pb2.DeleteWebhookRequest, context: Any
    ) -> webhook_pb2.DeleteWebhookResponse:
        """Remove a webhook."""
        await self._webhooks.remove(_id(request.name), caller())
        return webhook_pb2.DeleteWebhookResponse()

    async def ReplayWebhook(
        self, request: webhook_pb2.ReplayWebhookRequest, context: Any
    ) -> webhook_pb2.ReplayWebhookResponse:
        """Deliver again what comes after a cursor."""
        after = sequence_of(request.cursor) if request.cursor else None
        await self._webhooks.replay(_id(request.name), caller(), after, self._clock.now())
        return webhook_pb2.ReplayWebhookResponse()

    async def ListDeliveries(
        self, request: webhook_pb2.ListDeliveriesRequest, context: Any
    ) -> webhook_pb2.ListDeliveriesResponse:
        """List a webhook's deliveries, newest first."""
        size, below = request.page_size or DEFAULT_PAGE, _below(request.page_token)
        state = _DOMAIN_STATES.get(request.state)
        found = await self._webhooks.deliveries(
            _id(request.parent), caller(), state, below, size + 1
        )
        is_last = len(found) <= size
        token = "" if is_last else cursor_of(found[size - 1].sequence)
        shown = [delivery_proto(each) for each in found[:size]]
        return webhook_pb2.ListDeliveriesResponse(deliveries=shown, next_page_token=token)

    async def WatchEvents(
        self, request: webhook_pb2.WatchEventsRequest, context: Any
    ) -> AsyncIterator[webhook_pb2.MeetingEvent]:
        """Stream what happens to the meetings that the caller hosts."""
        host_id, meeting_id = caller(), None
        after = sequence_of(request.cursor) if request.cursor else None
        if request.meeting:
            meeting, _ = await self._store.meeting(code_of(request.meeting))
            if meeting.host_id != host_id:
                raise NotHost(meeting=meeting.name)
            meeting_id = meeting.id
        async for event in self._watch.watch(host_id, after, meeting_id):
            yield event_of(event.sequence, event.payload)


def webhook_proto(webhook: Webhook) -> webhook_pb2.Webhook:
    """Show a webhook."""
    shown = webhook_pb2.Webhook(
        name=webhook.name,
        uri=webhook.uri,
        types=[webhook_pb2.MeetingEventType.ValueType(each) for each in webhook.types],
        cursor="" if webhook.delivered is None else cursor_of(webhook.delivered),
    )
    shown.create_time.FromDatetime(webhook.create_time)
    if webhook.pause_time is not None:
        shown.pause_time.FromDatetime(webhook.pause_time)
    return shown


def delivery_proto(delivery: Delivery) -> webhook_pb2.Delivery:
    """Show a delivery."""
    shown = webhook_pb2.Delivery(
        event=event_of(delivery.sequence, delivery.payload),
        state=_STATES[delivery.state],
        attempt_count=delivery.attempt_count,
        http_status=delivery.http_status,
    )
    if delivery.attempt_time is not None:
        shown.attempt_time.FromDatetime(delivery.attempt_time)
    return shown


def _below(page_token: str) -> int | None:
    try:
        return sequence_of(page_token) if page_token else None
    except CursorInvalid:
        raise paging.PageTokenInvalid from None


def _id(name: str) -> UUID:
    try:
        return UUID(name.partition("/")[2])
    except ValueError:
        raise WebhookNotFound from None


__all__ = ["WebhookServicer", "delivery_proto", "webhook_proto"]
