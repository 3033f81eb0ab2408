"""The other workers with which this one shares rooms: who is called, who is let in, and when again.

Redis says with every beat which rooms are shared with whom. Between two workers there is one relay, which either may
begin; when both do at once, that of the smaller id goes first. A relay that breaks is begun anew, later and later,
while Redis says that there is something to share; what came by it is gone meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import grpc
from parley.media.v1 import relay_pb2_grpc
from parley.media.v1.relay_pb2 import RelayAddress, RelayHello, RelayMessage

from chassis import logs, telemetry
from chassis.channels import reason
from chassis.stopping import stop
from services.media.domain import HelloMissing, NodeNotFound, RelayExists
from services.media.mailbox import Mailbox
from services.media.placement import Node, Placement, Shared
from services.media.port import Port
from services.media.relay import Relay
from services.media.room import Room
from services.media.transport import Transport

HELLO_SECONDS = 10.0
RETRY_MIN_SECONDS = 0.2
RETRY_MAX_SECONDS = 3.0

log = logs.get("media.cascade")

_relays = telemetry.gauge("media_relays", "Other workers that this one exchanges tracks with.")
_links = telemetry.gauge("media_links", "Rooms times other workers with which they are shared.")
_broken = telemetry.counter("media_relays_broken", "Relays that ended before their rooms did.")

Open = Callable[[str], AbstractAsyncContextManager[grpc.aio.Channel]]
"""Opens a channel to the worker at `host:port`."""


class Cascade:
    """A worker's relays. `rooms` are its own, by name; `advertise` the addresses at which others reach its port."""

    def __init__(
        self,
        port: Port,
        placement: Placement,
        rooms: Mapping[str, Room],
        open_channel: Open,
        advertise: Sequence[str] = (),
    ) -> None:
        self.relays: dict[str, Relay] = {}
        self._port = port
        self._placement = placement
        self._rooms = rooms
        self._open_channel = open_channel
        self._advertise = advertise
        self._shared: list[Shared] = []
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._is_closed = False

    def share(self, shared: list[Shared]) -> None:
        """Take what is shared with whom, and see to it."""
        self._shared = [] if self._is_closed else shared
        others = {node.id: node for each in self._shared for node in each.others}
        for node in others.values():
            relay = self.relays.get(node.id)
            if relay is not None and relay.incarnation != node.incarnation:
                relay.close()
                relay = None
            if relay is not None:
                self._link(relay)
            elif node.id not in self._calls:
                self._calls[node.id] = asyncio.create_task(self._call(node.id))

    def tick(self, now: float) -> None:
        """Do what is due; call some twenty times a second."""
        for relay in tuple(self.relays.values()):
            relay.tick(now)

    def flush_counters(self) -> None:
        """Bring the metrics up to date."""
        for relay in self.relays.values():
            relay.flush_counters()
        _relays.set(len(self.relays))
        _links.set(sum(len(relay.links) for relay in self.relays.values()))

    async def close(self) -> None:
        """End all relays, and begin none any more."""
        self._is_closed = True
        self._shared = []
        for relay in tuple(self.relays.values()):
            relay.close()
        await stop(*self._calls.values())

    async def accept(self, heard: AsyncIterator[RelayMessage]) -> AsyncGenerator[RelayMessage]:
        """Let another worker in: gives what is to be said to it. Raises HelloMissing, NodeNotFound, RelayExists."""
        hello = await _first(heard)
        if hello.to != self._placement.incarnation or self._is_closed:
            raise NodeNotFound(node=f"nodes/{self._placement.node_id}")
        if hello.node in self._calls and self._placement.node_id < hello.node:
            raise RelayExists(node=f"nodes/{hello.node}")
        transport, mailbox = self._port.new_transport(), Mailbox()
        transport.set_remote(_remote(hello))
        mailbox.put(self._hello(transport, hello.incarnation))
        relay = self._begin(hello, transport, mailbox)
        hearing = asyncio.create_task(_hear(relay, heard))
        try:
            async for message in mailbox:
                yield message
        finally:
            self._end(relay, transport)
            await stop(hearing)

    async def _call(self, node_id: str) -> None:
        """Join a worker, again and again while there is something to share."""
        delay = RETRY_MIN_SECONDS
        try:
            while (node := self._wanted(node_id)) is not None:
                try:
                    if await self._converse(node):
                        delay = RETRY_MIN_SECONDS
                except grpc.aio.AioRpcError as error:
                    log.info("no relay", node=node_id, code=error.code().name, why=reason(error))
                except TimeoutError:
                    log.info("no relay", node=node_id, code="TIMEOUT")
                await asyncio.sleep(delay * (0.5 + random.random()))  # noqa: S311  # no secret
                delay = min(2 * delay, RETRY_MAX_SECONDS)
        finally:
            del self._calls[node_id]

    def _wanted(self, node_id: str) -> Node | None:
        """Find a worker that there is something to share with, and no relay to."""
        nodes = (n for each in self._shared for n in each.others if n.id == node_id)
        return None if node_id in self.relays else next(nodes, None)

    async def _converse(self, node: Node) -> bool:
        """Join a worker and stay until it is over; tells whether media could go. Raises AioRpcError, TimeoutError."""
        transport, mailbox = self._port.new_caller(), Mailbox()
        relay: Relay | None = None
        try:
            mailbox.put(self._hello(transport, node.incarnation))
            async with self._open_channel(node.address) as channel:
                heard = aiter(relay_pb2_grpc.RelayServiceStub(channel).Connect(aiter(mailbox)))
                hello = await _first(heard)
                if hello.incarnation != node.incarnation or node.id in self.relays:
                    return False
                transport.set_remote(_remote(hello))
                transport.call(_addresses(hello), time.monotonic())
                relay = self._begin(hello, transport, mailbox)
                hearing = asyncio.create_task(_hear(relay, heard))
                try:
                    await mailbox.closed.wait()
                finally:
                    await stop(hearing)
        finally:
            mailbox.close()
            self._end(relay, transport)
        return relay.was_connected

    def _begin(self, hello: RelayHello, transport: Transport, mailbox: Mailbox) -> Relay:
        if (before := self.relays.get(hello.node)) is not None:
            before.close()  # the other worker knows it no more
        relay = Relay(
            hello.node,
            hello.incarnation,
            transport,
            self._port.fanout,
            mailbox.put,
            self._rooms.get,
        )
        relay.on_close, mailbox.on_overflow = mailbox.close, relay.close
        self.relays[hello.node] = relay
        self._link(relay)
        log.info("relay begun", node=hello.node)
        return relay

    def _end(self, relay: Relay | None, transport: Transport) -> None:
        if relay is not None:
            if relay.links:
                _broken.inc()
            relay.close()
            if self.relays.get(relay.node) is relay:
                del self.relays[relay.node]
        self._port.forget(transport)

    def _link(self, relay: Relay) -> None:
        """Link what is to be shared with a worker, and no more what never came to be."""
        wanted = {e.room for e in self._shared if any(n.id == relay.node for n in e.others)}
        for name in wanted:
            if (room := self._rooms.get(name)) is not None:
                relay.link(room)
        for name in [n for n, link in relay.links.items() if not link.is_met and n not in wanted]:
            relay.unlink(name)

    def _hello(self, transport: Transport, to: str) -> RelayMessage:
        local = self._port.local(transport, self._advertise)
        hello = RelayHello(
            node=self._placement.node_id,
            incarnation=self._placement.incarnation,
            to=to,
            ufrag=local.credentials.ufrag,
            password=local.credentials.password,
            fingerprint=local.fingerprint,
            addresses=[RelayAddress(host=host, port=port) for host, port in local.candidates],
        )
        return RelayMessage(hello=hello)


async def _first(heard: AsyncIterator[RelayMessage]) -> RelayHello:
    """Wait for the other worker's hello. Raises HelloMissing, TimeoutError."""
    async with asyncio.timeout(HELLO_SECONDS):
        first = await anext(heard, None)
    if first is None or not first.HasField("hello"):
        raise HelloMissing
    return first.hello


async def _hear(relay: Relay, heard: AsyncIterator[RelayMessage]) -> None:
    """Take what the other worker says, until it ends."""
    try:
        async for message in heard:
            relay.hear(message)
    except grpc.aio.AioRpcError as error:
        log.info("relay broke off", node=relay.node, code=error.code().name)
    finally:
        relay.close()


def _remote(hello: RelayHello) -> tuple[str, str, tuple[str, str]]:
    return hello.ufrag, hello.password, ("sha-256", hello.fingerprint)


def _addresses(hello: RelayHello) -> list[tuple[str, int]]:
    return [(each.host, each.port) for each in hello.addresses]


__all__ = ["Cascade", "Open"]
