"""Media over TCP, for networks that let no UDP through: passive ICE-TCP (RFC 6544), framed as RFC 4571 has it.

A connection is an address like any other: what it brings is routed as a datagram is, and what goes to its peer is
handed to it. Until a check has proved it, it is nobody's, and it does not stay long. A reader who is slow loses
datagrams as on a full network, and delays nobody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

from chassis import telemetry
from services.media.ice import Address, StreamAddress, seen_as

MAX_FRAME = 2048
"""Bytes of one frame, as of one datagram."""
MAX_CONNECTIONS = 2_000
MAX_FROM_ONE_SOURCE = 256
"""Connections of one IPv4 address or IPv6 /64: an office behind one address, two for each person and some to spare."""
PROOF_SECONDS = 5.0
"""By then a check must have proved the connection."""
IDLE_SECONDS = 60.0
"""Browsers check even the pairs that they keep in reserve every 25 s or oftener."""
READ_BYTES = 16_384
BACKLOG = 128
ACCEPTS = 16
"""Connections taken before other work gets its turn."""
MAX_WAITING = 256 * 1024
"""Bytes that wait for a slow reader, here and again in the kernel: two keyframes of 1080p."""
PAUSE_SECONDS = 1.0
"""How long nobody is let in when the process is out of descriptors."""

_connections = telemetry.gauge("media_tcp_connections", "TCP connections of media clients.")
_refused = telemetry.counter("media_tcp_refused", "TCP connections closed by us, by why.", ("why",))
_unsent = telemetry.counter("media_tcp_unsent", "Datagrams that TCP connections were too slow for.")

Receive = Callable[[bytes, Address, float], None]


class FrameInvalid(Exception):
    """A frame is longer than any datagram of ours."""


class Frames:
    """Cuts a stream into frames: two bytes of length, then as many (RFC 4571 §2)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has come; returns the frames that are whole, less the empty ones. Raises FrameInvalid."""
        stream, at, frames = self._rest + data, 0, []
        while len(stream) - at >= 2:
            size = int.from_bytes(stream[at : at + 2], "big")
            if size > MAX_FRAME:
                raise FrameInvalid
            if len(stream) - at - 2 < size:
                break
            if size:
                frames.append(stream[at + 2 : at + 2 + size])
            at += 2 + size
        self._rest = stream[at:]
        return frames


class Connection(StreamAddress):
    """One accepted connection, and the address of who is at its far end."""

    def __new__(cls, _port: TcpPort, _socket: socket.socket, source: Address) -> Connection:
        """Be a tuple of host and port."""
        return super().__new__(cls, source)

    def __init__(self, port: TcpPort, stream: socket.socket, _source: Address) -> None:
        self.is_open = True
        self.heard_at = time.monotonic()
        self._port = port
        self._socket = stream
        self._frames = Frames()
        self._waiting = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(stream, self._read)
        self._timer = self._loop.call_later(PROOF_SECONDS, self._prove)

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send datagrams, each in a frame; those that don't fit among what waits are dropped."""
        if not self.is_open:
            return
        waiting = self._waiting
        is_stuck = bool(waiting)
        for datagram in datagrams:
            if len(waiting) + 2 + len(datagram) > MAX_WAITING:
                _unsent.inc()
                continue
            waiting += len(datagram).to_bytes(2, "big")
            waiting += datagram
        if not is_stuck:
            self._write()

    def close(self, why: str = "") -> None:
        """End it, if it has not ended; `why` counts as a refusal of ours."""
        if not self.is_open:
            return
        self.is_open = False
        if why:
            _refused.labels(why).inc()
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._waiting.clear()
        self._port.closed(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        try:
            frames = self._frames.feed(data)
        except FrameInvalid:
            self.close("frame")
            return
        for frame in frames:
            if self.is_open:
                self._port.receive(frame, self, self.heard_at)

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._waiting)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # not at once: whoever sends is in the midst of something
            self._waiting.clear()
            self._loop.call_soon(self.close)
            return
        del self._waiting[:sent]
        if self._waiting:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _prove(self) -> None:
        if self._port.is_proved(self):
            self._watch()
        else:
            self.close("unproved")

    def _watch(self) -> None:
        silent = time.monotonic() - self.heard_at
        if silent >= IDLE_SECONDS:
            self.close("idle")
        else:
            self._timer = self._loop.call_later(IDLE_SECONDS - silent, self._watch)


class TcpPort:
    """A listening socket and its connections. `lost` is told of each that ends, by whatever side."""

    def __init__(
        self,
        listening: socket.socket,
        receive: Receive,
        is_proved: Callable[[Address], bool],
        lost: Callable[[Address], None],
    ) -> None:
        self.receive = receive
        self.is_proved = is_proved
        self.connections: set[Connection] = set()
        self._socket = listening
        self._lost = lost
        self._sources: Counter[str] = Counter()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to accept."""
        self._socket.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept no more, and end all connections."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for connection in tuple(self.connections):
            connection.close()

    def closed(self, connection: Connection) -> None:
        """Hear that a connection has ended."""
        self.connections.discard(connection)
        source = _source(connection)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        _connections.set(len(self.connections))
        self._lost(connection)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                stream, source = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:  # out of descriptors: it would be readable, and refused, for ever
                self._rest()
                return
            self._admit(stream, source[:2])

    def _admit(self, stream: socket.socket, address: Address) -> None:
        source = _source(address)
        is_full = len(self.connections) >= MAX_CONNECTIONS
        if is_full or self._sources[source] >= MAX_FROM_ONE_SOURCE:
            _refused.labels("full" if is_full else "source").inc()
            stream.close()
            return
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_WAITING)
        self._sources[source] += 1
        self.connections.add(Connection(self, stream, address))
        _connections.set(len(self.connections))

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._pause = loop.call_later(PAUSE_SECONDS, loop.add_reader, self._socket, self._accept)


def _source(address: Address) -> str:
    """Name who counts as one: an IPv4 address, or the /64 that one IPv6 household has."""
    host = ipaddress.ip_address(seen_as(address)[0].partition("%")[0])
    return str(host) if host.version == 4 else str(ipaddress.ip_network((host, 64), strict=False))


__all__ = ["Connection", "FrameInvalid", "Frames", "TcpPort"]
