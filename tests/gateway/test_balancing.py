"""Balancing: every replica works, a client stays with one signaling process, and what is too much is refused, not queued."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway.conftest import Client
from tests.rest import Person, reason, sign_up
from tests.running_stack import RunningStack, eventually


@pytest.fixture(scope="module", autouse=True)
def dawdler(edge: RunningStack) -> Iterator[socket.socket]:
    """Give a client that has begun a head and dawdles, since before the module's other tests."""
    with socket.create_connection(("127.0.0.1", edge.layout.port("nginx", "http")), 60) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        yield raw


def requests_by_endpoint(stack: RunningStack, cluster: str) -> dict[str, int]:
    admin = f"http://127.0.0.1:{stack.layout.port('envoy', 'admin')}/clusters"
    found = re.findall(rf"^{cluster}::([\d.:]+)::rq_total::(\d+)", httpx.get(admin).text, re.M)
    return {endpoint: int(count) for endpoint, count in found}


def active(stack: RunningStack, cluster: str) -> int:
    admin = f"http://127.0.0.1:{stack.layout.port('envoy', 'admin')}/clusters"
    found = re.findall(rf"^{cluster}::[\d.:]+::rq_active::(\d+)", httpx.get(admin).text, re.M)
    return sum(map(int, found))


def more(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {it: after[it] - before[it] for it in after if after[it] > before[it]}


def test_every_replica_gets_its_share(edge: RunningStack, visitor: Client) -> None:
    people = [sign_up(visitor(), f"p{n}") for n in range(4)]
    before = requests_by_endpoint(edge, "meeting")
    for person in people * 10:
        assert person.call("GET", "/api/v1/meetings").status_code == 200
    shares = more(before, requests_by_endpoint(edge, "meeting"))
    assert len(shares) == 2, "both replicas, and not the spare seat"
    assert min(shares.values()) >= 5


def test_a_client_stays_with_one_signaling_process(edge: RunningStack, visitor: Client) -> None:
    for _ in range(3):
        client = visitor()
        before = requests_by_endpoint(edge, "websocket")
        for _ in range(3):
            client.get("/ws/signaling")
        assert list(more(before, requests_by_endpoint(edge, "websocket")).values()) == [3]


def test_clients_are_spread_over_the_signaling_processes(
    edge: RunningStack, visitor: Client
) -> None:
    before = requests_by_endpoint(edge, "websocket")
    for _ in range(24):
        visitor().get("/ws/signaling")
    assert len(more(before, requests_by_endpoint(edge, "websocket"))) == 2


@pytest.fixture
def slow_uploads(edge: RunningStack) -> Iterator[list[socket.socket]]:
    """Give a list in which sockets are closed at the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for each in sockets:
        each.close()


def begin_upload(stack: RunningStack, person: Person, address: str) -> socket.socket:
    """Begin an upload and leave it at that: it is under way for as long as the socket is open."""
    port = stack.layout.port("nginx", "http")
    raw = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
    raw.sendall(
        f"POST /api/v1/media?name=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.access_token}\r\n"
        "Content-Length: 1000\r\n\r\nx".encode()
    )
    return raw


def test_calls_beyond_the_circuit_breaker_are_refused_at_once(
    edge: RunningStack, visitor: Client, slow_uploads: list[socket.socket]
) -> None:
    people = [sign_up(visitor(), f"q{n}") for n in range(4)]
    slow_uploads += [
        begin_upload(edge, people[index % 4], f"127.0.210.{index + 1}") for index in range(24)
    ]

    eventually(lambda: active(edge, "library") == 24, "all uploads are under way")
    answer = people[0].call("GET", "/api/v1/media")
    assert (answer.status_code, reason(answer)) == (503, "UNAVAILABLE")
    assert people[1].call("GET", "/api/v1/meetings").status_code == 200, "others are not hindered"
    for each in slow_uploads:
        each.close()
    eventually(lambda: people[2].call("GET", "/api/v1/media").status_code == 200, "it closes again")


def test_requests_at_once_from_one_address_are_bounded(
    edge: RunningStack, visitor: Client, slow_uploads: list[socket.socket]
) -> None:
    people = [sign_up(visitor(), f"r{n}") for n in range(4)]
    slow_uploads += [begin_upload(edge, people[it % 4], "127.0.211.1") for it in range(12)]
    time.sleep(0.3)
    transport = httpx.HTTPTransport(local_address="127.0.211.1")
    base = edge.http.replace("localhost", "127.0.0.1")
    with httpx.Client(transport=transport, base_url=base) as crowded:
        answer = crowded.get("/api/v1/meetings")
    assert (answer.status_code, reason(answer)) == (429, "RATE_LIMITED")
    assert visitor().get("/api/v1/meetings").status_code == 401


def test_a_client_that_dawdles_is_sent_away(dawdler: socket.socket) -> None:
    """A head that never ends: the gateway closes by itself (client_header_timeout)."""
    try:
        said = dawdler.recv(1000)
    except ConnectionResetError:  # reset_timedout_connection: nothing of it is kept
        said = b""
    assert said == b"" or b" 408 " in said


def test_where_tls_is_required_http_only_shows_the_way(secured: RunningStack) -> None:
    https = secured.layout.port("nginx", "https")
    for method, path in (("GET", "/m/abc?x=1"), ("POST", "/api/v1/auth/login")):
        answer = httpx.request(method, secured.http + path)
        assert answer.status_code == 308
        assert answer.headers["location"] == f"https://localhost:{https}{path}"
    assert httpx.get(f"{secured.http}/healthz").status_code == 200
    with httpx.Client(base_url=f"https://localhost:{https}", verify=False) as tls:
        page = tls.get("/")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"].startswith("max-age=31536000")
    assert secured.status.url == f"https://localhost:{https}"
