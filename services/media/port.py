"""The worker's one UDP port: whose datagram is it, and off it goes.

A connectivity check finds its transport by the ufrag that it names (RFC 8445 §7.2.2), and proves its source address;
everything else finds its transport by that address. Datagrams of addresses that no check has proved are dropped.
"""

from __future__ import annotations

import asyncio
import socket
import time

from services.media.dtls import Certificate
from services.media.fanout import choose
from services.media.ice import Address, CheckInvalid, read_check
from services.media.outbox import Outbox
from services.media.sdp import Local
from services.media.transport import Transport, rejected

BURST = 64
"""Datagrams read before other work gets its turn."""
MAX_DATAGRAM = 2048
BUFFER_BYTES = 4 * 1024 * 1024


class Port:
    """A bound socket, and the transports that share it; `fanout` as `fanout.choose` has it."""

    def __init__(self, listen: str, advertise: tuple[str, ...], fanout: str = "auto") -> None:
        host, _, port = listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._socket.bind((host.strip("[]"), int(port)))
        self.number: int = self._socket.getsockname()[1]
        self._advertise = advertise
        self._outbox = Outbox(self._socket)
        self.fanout = choose(fanout, self._socket, self._outbox)
        self._certificate = Certificate()
        self._by_ufrag: dict[str, Transport] = {}
        self._by_address: dict[Address, Transport] = {}

    def open(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Read and send no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def new_transport(self) -> Transport:
        """Make a transport on this port."""
        transport = Transport(self._certificate, self._outbox.send, self.fanout.outlet())
        self.register(transport)
        return transport

    def register(self, transport: Transport) -> None:
        """Let checks find a transport by its ufrags as they are now."""
        self._drop_ufrags(transport)
        self._by_ufrag.update(dict.fromkeys(transport.ice.ufrags, transport))

    def flush_counters(self) -> None:
        """Add what has passed to the metrics."""
        for transport in set(self._by_ufrag.values()):
            transport.flush_counters()

    def forget(self, transport: Transport) -> None:
        """A transport is gone."""
        transport.flush_counters()
        transport.close()
        self._drop_ufrags(transport)
        for address in transport.ice.addresses:
            if self._by_address.get(address) is transport:
                del self._by_address[address]

    def _drop_ufrags(self, transport: Transport) -> None:
        for ufrag in [key for key, value in self._by_ufrag.items() if value is transport]:
            del self._by_ufrag[ufrag]

    def local(self, transport: Transport) -> Local:
        """Describe our side of a transport."""
        self.register(transport)
        candidates = [(address, self.number) for address in self._advertise]
        return Local(transport.ice.local, self._certificate.fingerprint, candidates)

    def _read(self) -> None:
        now = time.monotonic()
        for _ in range(BURST):
            try:
                datagram, source = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier send
                continue
            if datagram:
                self._route(datagram, source[:2], now)

    def _route(self, datagram: bytes, source: Address, now: float) -> None:
        if datagram[0] <= 3:
            self._check(datagram, source, now)
        elif (transport := self._by_address.get(source)) is not None:
            transport.receive(datagram)
        else:
            rejected.labels("stranger").inc()

    def _check(self, datagram: bytes, source: Address, now: float) -> None:
        try:
            check = read_check(datagram)
            if (transport := self._by_ufrag.get(check.ufrag)) is None:
                raise CheckInvalid
            known = transport.ice.addresses
            transport.receive_check(check, source, now)
        except CheckInvalid:
            rejected.labels("stun").inc()
            return
        for address in set(known) - set(transport.ice.addresses):
            if self._by_address.get(address) is transport:
                del self._by_address[address]
        self._by_address[source] = transport


__all__ = ["Port"]
