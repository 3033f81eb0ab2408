"""A stack in a network of namespaces, for what loopback can't show: Firefox, and people whose network changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtest.firefox import executable
from loadtest.impaired import stack_at
from loadtest.network import Network, Site, is_possible, network
from tests.servers import open_folder


def pytest_report_header() -> str:
    """Say whether there is a Firefox."""
    return f"firefox: {executable() or 'not installed: no call is held with it'}"


@dataclass(frozen=True, slots=True)
class Place:
    """A stack at the site `server`, and where its files are. `state` is what `./parley --state` takes."""

    net: Network
    folder: Path
    port: int

    @property
    def server(self) -> Site:
        """Get the site of the stack."""
        return self.net.sites["server"]

    @property
    def state(self) -> Path:
        """Get the stack's state folder."""
        return self.folder / "state"

    @property
    def local(self) -> str:
        """Get the address that people at the server's own site open."""
        return f"http://localhost:{self.port}"

    @property
    def remote(self) -> str:
        """Get the address that people elsewhere open. Browsers do not count it as secure unless told."""
        return f"http://{self.server.address}:{self.port}"


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """Give the network and the stack in it, the same for the session."""
    if not is_possible():
        # A call between machines needs machines: namespaces, which root alone makes, with ip, nsenter and /dev/net/tun. Parley
        # itself needs none of them, so that who tests without them tests all the rest. Where they are, nothing is left out.
        pytest.skip(reason="needs root, ip, nsenter and /dev/net/tun, to make network namespaces")
    with open_folder() as folder, network("server", "bob", "wifi") as net:
        how = ("--listen", "0.0.0.0", "--media-workers", "2")
        with stack_at(net.sites["server"], folder, *how) as address:
            port = urlsplit(address).port
            assert port is not None
            yield Place(net, folder, port)
