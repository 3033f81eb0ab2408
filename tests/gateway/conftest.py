"""A stack whose gateway is set as an operator might, with limits low enough to be met, and clients at addresses of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.object_stores import s3_running
from tests.running_stack import RunningStack, free_offset, stack_running
from tests.servers import open_folder

SETTINGS = """
[cors]
origins = ["https://friend.example.org"]

[access]
deny = ["127.0.0.66/32"]

[limits]
open_per_address = 12
requests_per_service = 24

[limits.api]
address = { steady = 100, burst = 60 }
user = { steady = 1, burst = 20 }

[limits.auth]
address = { steady = 0.5, burst = 6 }

[limits.upload]
address = { steady = 0.5, burst = 40 }
user = { steady = 0.5, burst = 30 }

[limits.websocket]
address = { steady = 0.5, burst = 4 }

[limits.ai]
address = { steady = 0.5, burst = 5 }
user = { steady = 0.5, burst = 3 }
"""

Client = Callable[[], httpx.Client]


@pytest.fixture(scope="session")
def edge() -> Iterator[RunningStack]:
    """Give a stack with two of each stateless service and a gateway with SETTINGS."""
    with open_folder() as folder:
        (folder / "parley.toml").write_text(SETTINGS)
        replicas = ("--replicas", "user=2,meeting=2,signaling=2")
        with stack_running(folder, free_offset(), media_workers=2, more=replicas) as running:
            yield running


@pytest.fixture(scope="session")
def secured() -> Iterator[RunningStack]:
    """Give a stack that serves its pages over TLS alone, and keeps its files in an S3."""
    with s3_running() as s3, open_folder() as folder:
        (folder / "parley.toml").write_text(
            f'[objects]\nurl = "{s3.url}"\nendpoint = "{s3.access.endpoint}"\n'
            f'access_key = "{s3.access.access_key}"\nsecret_key = "{s3.access.secret_key}"\n'
        )
        how = ("--tls", "--no-rate-limits")
        with stack_running(folder, free_offset(), media_workers=1, more=how) as running:
            yield running


@pytest.fixture(scope="session")
def addresses() -> Iterator[str]:
    """Give loopback addresses, each to one client: limits are kept by address."""
    return (f"127.0.{high}.{low}" for high, low in itertools.product(range(7, 99), range(1, 255)))


@pytest.fixture
def visitor(edge: RunningStack, addresses: Iterator[str]) -> Iterator[Client]:
    """Give a function that makes a client of the gateway, each at another address."""
    with ExitStack() as clients:

        def make() -> httpx.Client:
            transport = httpx.HTTPTransport(local_address=next(addresses), limits=httpx.Limits())
            port = edge.layout.port("nginx", "http")
            it = httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=60)
            return clients.enter_context(it)

        yield make
