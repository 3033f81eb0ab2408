"""Media on its way out of the worker's socket: what one burst has for one peer leaves in one system call.

Sending is most of what forwarding costs. Datagrams to one address that follow each other at one size (the last may be
shorter) go out as segments of a single send (UDP GSO, Linux 4.18), each still a datagram of its own on the wire.
Where the system can't, they are sent one by one. Nothing waits longer than the event loop's turn.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Iterator, Sequence

from chassis import telemetry
from services.media.ice import Address, StreamAddress

UDP_SEGMENT = 103
"""linux/udp.h; Python's socket has no name for it."""
MAX_SEGMENTS = 44
"""In one send: of 1,472 bytes each they fit the 64 KiB that it takes."""

unsent = telemetry.counter("media_unsent", "Datagrams that the socket did not take.")


class Outbox:
    """What is to be sent through a socket at the end of this turn of the event loop."""

    def __init__(self, udp: socket.socket) -> None:
        self._socket = udp
        self._waiting: dict[Address, list[bytes]] = {}
        self._can_segment = _can_segment(udp)

    def add(self, datagram: bytes, address: Address) -> None:
        """Have a datagram sent; a full socket buffer drops it, as the network would."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        if (waiting := self._waiting.get(address)) is not None:
            waiting.append(datagram)
        else:
            self._waiting[address] = [datagram]

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram now; a full socket buffer drops it."""
        if isinstance(address, StreamAddress):
            return address.send((datagram,))
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            unsent.inc()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for address, datagrams in waiting.items():
            if isinstance(address, StreamAddress):
                address.send(datagrams)
            elif len(datagrams) == 1:
                self.send(datagrams[0], address)
            else:
                for run in runs(datagrams):
                    self._send_run(run, address)

    def _send_run(self, run: Sequence[bytes], address: Address) -> None:
        if len(run) > 1 and self._can_segment:
            size = struct.pack("=H", len(run[0]))
            try:
                self._socket.sendmsg(run, ((socket.IPPROTO_UDP, UDP_SEGMENT, size),), 0, address)
            except BlockingIOError:
                unsent.inc(len(run))
                return
            except OSError as error:
                if error.errno == errno.EIO:  # this network card can't
                    self._can_segment = False
            else:
                return
        for datagram in run:
            self.send(datagram, address)


def runs(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut datagrams into runs that one send can carry: of one size, but for the last, which may be shorter."""
    start, size = 0, len(datagrams[0])
    for at in range(1, len(datagrams)):
        is_full = at - start == MAX_SEGMENTS or len(datagrams[at - 1]) < size
        if is_full or len(datagrams[at]) > size:
            yield datagrams[start:at]
            start, size = at, len(datagrams[at])
    yield datagrams[start:]


def _can_segment(udp: socket.socket) -> bool:
    try:
        udp.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


__all__ = ["MAX_SEGMENTS", "Outbox", "runs", "unsent"]
