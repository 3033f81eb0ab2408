"""Bad networks for tests: namespaces with links of ours between them, or, for users who may not, a relay on loopback."""

from __future__ import annotations

import asyncio
import itertools
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import aioice.ice

from loadtest.link import CLEAN, Conditions, Link
from loadtest.network import Network, is_possible, network
from services.media.port import Port
from services.media.sdp import Local
from services.media.transport import Transport

LOOPBACK = "127.0.0.1"
MAX_DATAGRAM = 2_048


class Ground(ABC):
    """Where a test's call takes place: the server's port, and places for clients, by name."""

    port: Port

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Be at a client's place: sockets of WebRTC that are made meanwhile are there."""
        before = aioice.ice.get_host_addresses
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [self.address(name)]
        try:
            yield
        finally:
            aioice.ice.get_host_addresses = before

    def address(self, name: str) -> str:
        """Get the address of a client's place."""
        return LOOPBACK

    @abstractmethod
    def worsen(self, conditions: Conditions) -> None:
        """Make every client's link bad, both ways."""

    @abstractmethod
    def lost(self) -> int:
        """Count the packets that were lost on the way since the last time."""


class Namespaces(Ground):
    """A server and clients in network namespaces."""

    def __init__(self, net: Network) -> None:
        self._net = net
        server = net.sites["server"]
        with server.entered():
            self.port = Port(f"{server.address}:0", (server.address,))

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        with super().at(name), self._net.sites[name].entered():
            yield

    def address(self, name: str) -> str:
        return self._net.sites[name].address

    def worsen(self, conditions: Conditions) -> None:
        for name in self._net.sites.keys() - {"server"}:
            self._net.change(name, up=conditions, down=conditions)

    def lost(self) -> int:
        return self._net.report().lost


class RelayedPort(Port):
    """A port that advertises another: that of the relay in front of it."""

    advertised = 0

    def local(self, transport: Transport, advertise: Sequence[str] = ()) -> Local:
        described = super().local(transport, advertise)
        return replace(described, candidates=[(LOOPBACK, self.advertised)])


class Relay(Ground):
    """A server on loopback behind a relay, which gives every client a link of its own."""

    def __init__(self) -> None:
        self.port = port = RelayedPort(f"{LOOPBACK}:0", (LOOPBACK,))
        self._loop = asyncio.get_running_loop()
        self._front = self._socket(self._from_client)
        port.advertised = self._front.getsockname()[1]
        self._behind: dict[tuple[str, int], socket.socket] = {}
        self._links: dict[tuple[tuple[str, int], str], Link] = {}
        self._seeds = itertools.count(1)
        self._conditions = CLEAN
        self._counted = 0

    def close(self) -> None:
        """Carry nothing more."""
        for each in (self._front, *self._behind.values()):
            self._loop.remove_reader(each)
            each.close()

    def worsen(self, conditions: Conditions) -> None:
        self._conditions = conditions
        for link in self._links.values():
            link.change(conditions)

    def lost(self) -> int:
        before, self._counted = self._counted, sum(link.lost for link in self._links.values())
        return self._counted - before

    def _socket(self, read: Callable[[bytes, tuple[str, int]], None]) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((LOOPBACK, 0))

        def ready() -> None:
            read(*made.recvfrom(MAX_DATAGRAM))

        self._loop.add_reader(made, ready)
        return made

    def _from_client(self, datagram: bytes, client: tuple[str, int]) -> None:
        if client not in self._behind:
            self._behind[client] = self._socket(
                lambda answer, _server: self._carry((client, "down"), answer, self._front, client)
            )
        server = (LOOPBACK, self.port.number)
        self._carry((client, "up"), datagram, self._behind[client], server)

    def _carry(
        self,
        way: tuple[tuple[str, int], str],
        datagram: bytes,
        by: socket.socket,
        to: tuple[str, int],
    ) -> None:
        if way not in self._links:
            self._links[way] = Link(self._conditions, next(self._seeds))
        arrival = self._links[way].send(len(datagram), self._loop.time())
        if arrival is not None:
            self._loop.call_at(arrival, self._deliver, datagram, by, to)

    def _deliver(self, datagram: bytes, by: socket.socket, to: tuple[str, int]) -> None:
        if by.fileno() >= 0:
            by.sendto(datagram, to)


@contextmanager
def bad_network(way: str, *names: str) -> Iterator[Ground]:
    """Make a network for a server and clients: by `namespaces` where that is possible, else, or by `relay`, so."""
    with ExitStack() as cleanup:
        if way == "namespaces" and is_possible():
            yield Namespaces(cleanup.enter_context(network("server", *names)))
        else:
            relay = Relay()
            cleanup.callback(relay.close)
            yield relay


__all__ = ["Ground", "bad_network"]
