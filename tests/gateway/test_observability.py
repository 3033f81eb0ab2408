"""What an operator sees: one line per request without secrets, one trace through all layers, figures that add up."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from stack.state import State
from tests.gateway.conftest import Client
from tests.rest import sign_up
from tests.running_stack import RunningStack, eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
FIELDS = {
    "time", "request_id", "trace_id", "remote", "method", "path", "protocol", "tls", "route", "status",
    "bytes_in", "bytes_out", "seconds", "upstream", "upstream_status", "upstream_seconds", "cache", "limit",
}  # fmt: skip


def logged(
    stack: RunningStack, request_id: str, name: str = "nginx.access"
) -> list[dict[str, Any]]:
    lines = State(stack.state).log(name).read_text().splitlines()
    return [json.loads(line) for line in lines if request_id in line and line.startswith("{")]


def entry(stack: RunningStack, answer: httpx.Response) -> dict[str, Any]:
    request_id = answer.headers["x-request-id"]
    eventually(lambda: bool(logged(stack, request_id)), "the request is logged")
    (line,) = logged(stack, request_id)
    return line


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/", "static", 200),
        ("GET", "/api/v1/users/me?secret=1", "users", 401),
        ("POST", "/api/v1/auth/login", "auth", 400),
        ("GET", "/api/v1/meetings", "meetings", 401),
        ("GET", "/api/v1/media", "media", 401),
        ("POST", "/api/v1/media?name=a", "upload", 401),
        ("GET", "/api/v1/ai/models", "ai", 401),
        ("GET", "/.well-known/jwks.json", "keys", 200),
        ("GET", "/api/v1/openapi.json", "docs", 200),
        ("GET", "/api/v1/nothing", "api", 404),
    ],
)
def test_a_request_is_one_line(
    visitor: Client, edge: RunningStack, method: str, path: str, route: str, status: int
) -> None:
    answer = visitor().request(method, path)
    line = entry(edge, answer)
    assert set(line) == FIELDS
    assert (line["route"], line["status"]) == (route, status) == (route, answer.status_code)
    assert line["path"] == path.partition("?")[0]
    assert "secret" not in json.dumps(line)


def test_a_refusal_by_a_limit_is_seen_in_the_log(visitor: Client, edge: RunningStack) -> None:
    client = visitor()
    for _ in range(40):
        answer = client.post("/api/v1/auth/login", json={"username_or_email": "x", "password": ""})
        if answer.status_code == 429:
            break
    assert entry(edge, answer)["limit"] == "rate"


def test_there_is_a_line_for_people_too(visitor: Client, edge: RunningStack) -> None:
    request_id = visitor().get("/api/v1/meetings").headers["x-request-id"]
    log = State(edge.state).log("nginx.requests")
    eventually(lambda: request_id in log.read_text(), "it is written")
    (line,) = (line for line in log.read_text().splitlines() if request_id in line)
    assert re.search(r"401 .* GET /api/v1/meetings  \[meetings\]", line)


def test_one_trace_goes_through_all_layers_and_back(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    answer = ann.call(
        "POST", "/api/v1/meetings", json={"title": ""}, headers={"traceparent": PARENT}
    )
    assert answer.status_code == 400
    assert answer.headers["traceparent"] == PARENT
    assert entry(edge, answer)["trace_id"] == TRACE
    request_id = answer.headers["x-request-id"]
    eventually(lambda: bool(logged(edge, request_id, "envoy.access")), "Envoy logs it")
    assert TRACE in logged(edge, request_id, "envoy.access")[0]["trace"]
    services = ("meeting", "meeting-1")
    found = [line for name in services for line in logged(edge, request_id, name)]
    assert [line["trace_id"] for line in found] == [TRACE]


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE}-b7ad6b7169203331-01"])  # fmt: skip
def test_a_trace_is_begun_where_there_is_none(visitor: Client, sent: str) -> None:
    answer = visitor().get("/api/v1/meetings", headers={"traceparent": sent} if sent else {})
    made = answer.headers["traceparent"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
    assert TRACE not in made


def test_no_token_is_in_any_log(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    ann.call("GET", "/api/v1/users/me")
    ann.call("GET", "/api/v1/users/me", params={"access_token": ann.access_token})
    ann.http.post("/api/v1/auth/refresh", json={"refresh_token": ann.refresh_token})
    entry(edge, ann.call("GET", "/api/v1/meetings"))
    logs = {path.name: path.read_text(errors="replace") for path in (edge.state / "logs").iterdir()}
    for secret in (ann.access_token.rpartition(".")[2], ann.refresh_token):
        assert not [name for name, text in logs.items() if secret in text]


def metric(text: str, name: str, **labels: str) -> float:
    """Sum a metric over the lines that carry the labels."""
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(it in line for it in wanted))


def test_nginx_is_counted_for_prometheus_and_for_people(
    visitor: Client, edge: RunningStack
) -> None:
    exporter = f"http://127.0.0.1:{edge.layout.port('exporter', 'metrics')}"

    def count() -> float:
        text = httpx.get(f"{exporter}/metrics").text
        return metric(text, "nginx_requests_total", route="ai", status="401")

    before, client = count(), visitor()
    for _ in range(3):
        client.get("/api/v1/ai/models")
    eventually(lambda: count() >= before + 3, "the requests are counted")
    status = httpx.get(f"{exporter}/nginx_status").json()
    assert status["connections"] >= 1
    assert status["requests"] >= 3
    assert status["routes"]["ai"]["401"] >= 3


def test_envoy_is_counted_for_prometheus(visitor: Client, edge: RunningStack) -> None:
    ann = sign_up(visitor())
    ann.call("GET", "/api/v1/meetings")
    stats = f"http://127.0.0.1:{edge.layout.port('envoy', 'admin')}/stats/prometheus"
    text = httpx.get(stats).text
    assert metric(text, "envoy_cluster_upstream_rq_total", envoy_cluster_name="meeting") >= 1
    assert metric(text, "envoy_cluster_membership_healthy", envoy_cluster_name="meeting") == 2
