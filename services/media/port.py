"""The worker's one port, over UDP and over TCP: whose datagram is it, and off it goes.

A connectivity check finds its transport by the ufrag that it names (RFC 8445 §7.2.2), and proves its source address;
everything else finds its transport by that address. Datagrams of addresses that no check has proved are dropped.
Listening on an IPv6 address that is `::` takes IPv4 too; its addresses are then in the form of IPv6 (`::ffff:…`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Sequence

from aioice import stun

from chassis import telemetry
from services.media.dtls import Certificate
from services.media.fanout import choose
from services.media.ice import Address, CheckInvalid, StreamAddress, read_check, respond
from services.media.outbox import Outbox
from services.media.sdp import Local
from services.media.tcp import TcpPort
from services.media.transport import Caller, Transport, rejected

BUFFER_BYTES = 4 * 1024 * 1024
PROBE_UFRAG = "probe"
"""Who checks this one, with the probe secret for its password, wants to know whether the port is reached at all."""
BINDING_ANSWER = b"\x01\x01"
ANSWER_SECONDS = 2.0
HELD = ("transports", "ufrags", "addresses")
ATTEMPTS = 10
"""At finding a port that is free over both UDP and TCP."""

_held = telemetry.gauge("media_port_held", "What the worker's port knows of, by kind.", ("kind",))


class Port:
    """Two sockets bound to one number, and the transports that share them; `fanout` as `fanout.choose` has it."""

    def __init__(
        self,
        listen: str,
        advertise: tuple[str, ...],
        fanout: str = "auto",
        probe_secret: str = "",
    ) -> None:
        host, _, port = listen.rpartition(":")
        self._socket, listening = _bound(host.strip("[]"), int(port))
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self.number: int = self._socket.getsockname()[1]
        self.tcp = TcpPort(listening, self._route, self._is_proved, self._lost)
        self._advertise = advertise
        self._probe_secret = probe_secret
        self._outbox = Outbox(self._socket)
        self.fanout = choose(fanout, self._socket, self._outbox, self._route)
        self._certificate = Certificate()
        self._by_ufrag: dict[str, Transport] = {}
        self._asked: dict[bytes, tuple[Caller, Address, float]] = {}
        self._by_address: dict[Address, Transport] = {}

    @property
    def asleep_after(self) -> float:
        """After that (monotonic) all that comes is dropped: the process has slept, and its rooms may be another worker's."""
        return self.fanout.asleep_after

    @asleep_after.setter
    def asleep_after(self, at: float) -> None:
        self.fanout.asleep_after = at

    def open(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._socket, self.fanout.read)
        self.tcp.open()

    def close(self) -> None:
        """Read and send no more."""
        self.tcp.close()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def new_transport(self) -> Transport:
        """Make a transport on this port."""
        transport = Transport(self._certificate, self._outbox.send, self.fanout)
        self.register(transport)
        return transport

    def new_caller(self) -> Caller:
        """Make a transport on this port that calls another worker's."""
        return Caller(self._certificate, self._outbox.send, self.fanout, self._ask)

    def register(self, transport: Transport) -> None:
        """Let checks find a transport by its ufrags as they are now."""
        self._drop_ufrags(transport)
        self._by_ufrag.update(dict.fromkeys(transport.ice.ufrags, transport))

    def flush_counters(self) -> int:
        """Add what has passed to the metrics, and show what is held; returns how many packets passed, in and out."""
        transports = set(self._by_ufrag.values())
        for what, count in zip(
            HELD, map(len, (transports, self._by_ufrag, self._by_address)), strict=True
        ):
            _held.labels(what).set(count)
        return sum(transport.flush_counters() for transport in transports)

    def forget(self, transport: Transport) -> None:
        """A transport is gone."""
        transport.flush_counters()
        transport.close()
        self._drop_ufrags(transport)
        self._drop_asked(transport)
        for address in transport.ice.addresses:
            self._drop_address(address, transport)

    def _drop_address(self, address: Address, transport: Transport) -> None:
        if self._by_address.get(address) is transport:
            del self._by_address[address]
            if isinstance(address, StreamAddress):
                address.close()
            else:
                self.fanout.forget(address)

    def _drop_ufrags(self, transport: Transport) -> None:
        for ufrag in [key for key, value in self._by_ufrag.items() if value is transport]:
            del self._by_ufrag[ufrag]

    def local(self, transport: Transport, advertise: Sequence[str] = ()) -> Local:
        """Describe our side of a transport; `advertise`, if given, instead of the addresses that clients get."""
        self.register(transport)
        candidates = [(address, self.number) for address in advertise or self._advertise]
        return Local(transport.ice.local, self._certificate.fingerprint, candidates)

    def _route(self, datagram: bytes, source: Address, now: float) -> None:
        if now > self.asleep_after:
            rejected.labels("asleep").inc()
        elif datagram[:2] == BINDING_ANSWER:
            self._answer(datagram, source, now)
        elif datagram[0] <= 3:
            self._check(datagram, source, now)
        elif (transport := self._by_address.get(source)) is not None:
            transport.receive(datagram, now)
        else:
            rejected.labels("stranger").inc()

    def _check(self, datagram: bytes, source: Address, now: float) -> None:
        try:
            if "%" in source[0]:  # link-local, and we offer no such address
                raise CheckInvalid
            check = read_check(datagram)
            if check.ufrag == PROBE_UFRAG and self._probe_secret:
                self._outbox.send(respond(check, self._probe_secret, source), source)
                return
            if (transport := self._by_ufrag.get(check.ufrag)) is None:
                raise CheckInvalid
            known = transport.ice.addresses
            transport.receive_check(check, source, now)
        except CheckInvalid:
            rejected.labels("stun").inc()
            return
        for address in set(known) - set(transport.ice.addresses):
            self._drop_address(address, transport)
        self._by_address[source] = transport
        if not isinstance(source, StreamAddress):
            self.fanout.know(source, transport.inlet)

    def _ask(self, caller: Caller, check: stun.Message, address: Address) -> None:
        """Send a caller's check. Its answer counts for a while, and if it comes from where the check went."""
        now = time.monotonic()
        if self._socket.family == socket.AF_INET6 and ":" not in address[0]:
            address = f"::ffff:{address[0]}", address[1]
        late = now - ANSWER_SECONDS
        self._asked = {key: it for key, it in self._asked.items() if it[2] > late}
        self._asked[check.transaction_id] = caller, address, now
        self._outbox.send(bytes(check), address)

    def _answer(self, datagram: bytes, source: Address, now: float) -> None:
        caller, address, _ = self._asked.pop(datagram[8:20], (None, None, 0.0))
        try:
            if caller is None or address != source:
                raise CheckInvalid
            caller.receive_answer(datagram, source, now)
        except CheckInvalid:
            rejected.labels("stun").inc()
        else:
            self._by_address[source] = caller
            self.fanout.know(source, caller.inlet)

    def _drop_asked(self, transport: Transport) -> None:
        self._asked = {key: it for key, it in self._asked.items() if it[0] is not transport}

    def _is_proved(self, address: Address) -> bool:
        return address in self._by_address

    def _lost(self, address: Address) -> None:
        if (transport := self._by_address.pop(address, None)) is not None:
            transport.lose(address)


def _bound(host: str, number: int) -> tuple[socket.socket, socket.socket]:
    """Bind a UDP and a TCP socket to one port; for port 0, to one that is free for both. Raises OSError."""
    for _ in range(ATTEMPTS):
        udp = _socket(host, number, socket.SOCK_DGRAM)
        try:
            return udp, _socket(host, udp.getsockname()[1], socket.SOCK_STREAM)
        except OSError as error:
            udp.close()
            if number or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "No port is free for both UDP and TCP")


def _socket(host: str, number: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, number))
    except OSError:
        made.close()
        raise
    return made


__all__ = ["Port"]
