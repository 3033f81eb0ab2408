"""A network that lets no UDP through: what a client says is carried over TCP to the worker's port, and back."""

from __future__ import annotations

import asyncio
import re
import socket

from services.media.ice import Address
from services.media.tcp import Frames
from tests.rtc import RtcClient


class Middlebox:
    """Takes a client's datagrams on `number`, and has one TCP connection to `target` for each of its sockets."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.setblocking(False)
        self.number: int = self._udp.getsockname()[1]
        self.streams: dict[Address, socket.socket] = {}
        asyncio.get_running_loop().add_reader(self._udp, self._from_client)

    def cut(self) -> None:
        """Break all TCP connections; what the client says next makes new ones."""
        for stream in self.streams.values():
            self._end(stream)
        self.streams.clear()

    def close(self) -> None:
        """Carry nothing more."""
        self.cut()
        asyncio.get_running_loop().remove_reader(self._udp)
        self._udp.close()

    def _end(self, stream: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(stream)
        stream.close()

    def _from_client(self) -> None:
        datagram, client = self._udp.recvfrom(2048)
        if client not in self.streams:
            self.streams[client] = self._connect(client)
        try:
            self.streams[client].send(len(datagram).to_bytes(2, "big") + datagram)
        except OSError:  # the worker has closed it: the next datagram tries anew
            self._end(self.streams.pop(client))

    def _connect(self, client: Address) -> socket.socket:
        stream, frames = socket.create_connection(("127.0.0.1", self._target)), Frames()
        stream.setblocking(False)

        def to_client() -> None:
            try:
                data = stream.recv(65_536)
            except ConnectionError:
                data = b""
            if not data:
                asyncio.get_running_loop().remove_reader(stream)
            for frame in frames.feed(data):
                self._udp.sendto(frame, client)

        asyncio.get_running_loop().add_reader(stream, to_client)
        return stream


class BlockedClient(RtcClient):
    """A client that reaches the worker through a middlebox alone."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.middlebox = Middlebox(port)

    async def answered(self, sdp: str) -> None:
        """Take the answer to `offer`."""
        await super().answered(self._rewritten(sdp))

    async def answer(self, sdp: str) -> str:
        """Answer an offer of the subscriber connection; returns the SDP."""
        return await super().answer(self._rewritten(sdp))

    async def close(self) -> None:
        """Close both connections, and the way to the worker."""
        await super().close()
        self.middlebox.close()

    def _rewritten(self, sdp: str) -> str:
        """Put the middlebox in the place of the worker's candidates; there must be one for TCP, else nothing is left."""
        port = re.search(
            r"a=candidate:\d+ 1 tcp \d+ 127\.0\.0\.1 (\d+) typ host tcptype passive", sdp
        )
        assert port is not None, "no TCP candidate"
        kept = [
            line
            for line in sdp.splitlines()
            if not line.startswith("a=candidate:") or " udp " in line
        ]
        return (
            "\r\n".join(
                line.replace(f" {port[1]} typ", f" {self.middlebox.number} typ") for line in kept
            )
            + "\r\n"
        )


__all__ = ["BlockedClient", "Middlebox"]
