"""The gateway, Nginx and Envoy, as browsers, scripts and gRPC clients meet it on its one port."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from parley.media.v1 import media_pb2, media_pb2_grpc
from parley.user.v1 import user_pb2, user_pb2_grpc
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from stack.state import State
from tests.running_stack import RunningStack, eventually

KEYS = "/.well-known/jwks.json"


@pytest.fixture
def client(stack: RunningStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.http, timeout=30) as made:
        yield made


@pytest.fixture
async def channel(stack: RunningStack) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(stack.grpc_target)


def reason(answer: httpx.Response) -> str:
    status = answer.json()
    assert set(status) == {"code", "message", "details"}
    assert status["message"]
    return str(status["details"][0]["reason"]) if status["details"] else ""


def test_the_page_is_never_cached_and_its_assets_are_for_ever(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    (script,) = re.findall(r'src="(/assets/[^"]+)"', page.text)[:1]
    asset = client.get(script)
    assert asset.headers["content-type"].startswith("text/javascript")
    assert "immutable" in asset.headers["cache-control"]


def test_a_link_into_the_app_opens_the_app(client: httpx.Client) -> None:
    assert client.get("/m/abc-defg-hij").text == client.get("/").text


def test_a_missing_file_is_not_answered_with_the_page(client: httpx.Client) -> None:
    assert client.get("/assets/missing-1234.js").status_code == 404
    assert client.get("/missing.png").status_code == 404


@pytest.mark.parametrize("path", ["/", KEYS, "/api/v1/users/me", "/missing.js", "/healthz"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "'unsafe-" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"] == "nginx"
    assert not [name for name in answer.headers if name.startswith(("grpc-", "x-envoy-"))]


@pytest.mark.parametrize(
    ("method", "path", "status", "why"),
    [
        ("GET", "/api/v1/users/me", 401, "UNAUTHENTICATED"),
        ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/v1/auth/login", 405, "NOT_IMPLEMENTED"),
        ("GET", f"{KEYS}?bogus=1", 400, "INVALID_ARGUMENT"),
        ("POST", "/parley.user.v1.AuthService/GetJsonWebKeySet", 404, "NOT_FOUND"),
    ],
)
def test_the_gateways_own_refusals_have_the_shape_of_all_errors(
    client: httpx.Client, method: str, path: str, status: int, why: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert reason(answer) == why


def test_a_refused_verb_is_told_which_ones_there_are(client: httpx.Client) -> None:
    assert client.delete("/api/v1/users/me").headers["allow"] == "GET, PATCH"


def test_a_token_that_nobody_signed_is_refused_at_the_edge(client: httpx.Client) -> None:
    answer = client.get("/api/v1/users/me", headers={"Authorization": "Bearer a.b.c"})
    assert (answer.status_code, reason(answer)) == (401, "TOKEN_INVALID")


def test_a_body_that_is_too_large_or_no_json_is_refused_with_a_text(client: httpx.Client) -> None:
    assert client.post("/api/v1/auth/login", content=b"x" * 1_100_000).status_code == 413
    broken = client.post("/api/v1/auth/login", content=b'{"username_or_email":')
    assert (broken.status_code, reason(broken)) == (400, "REQUEST_MALFORMED")


def test_a_request_id_goes_through_all_layers(client: httpx.Client, stack: RunningStack) -> None:
    mine = "test-request-id-0001"
    answer = client.post("/api/v1/auth/login", json={}, headers={"X-Request-ID": mine})
    assert answer.headers.get_list("x-request-id") == [mine]
    for name in ("nginx.access", "envoy.access", "user"):
        log = State(stack.state).log(name)
        eventually(lambda log=log: mine in log.read_text(), f"{name} logs it")  # type: ignore[misc]  # bound now
    assert len(client.get(KEYS).headers["x-request-id"]) == 32


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: httpx.Client) -> None:
    answer = client.get(KEYS, headers={"X-Request-ID": 'x" injected="1'})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_ready_means_that_every_service_is_reached(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200


def test_the_api_document_is_served(client: httpx.Client) -> None:
    document = client.get("/api/v1/openapi.json")
    assert document.headers["content-type"].startswith("application/json")
    assert json.loads(document.text) == json.loads(Path("gen/openapi.json").read_text())


async def test_native_grpc_speaks_on_the_same_port(channel: grpc.aio.Channel) -> None:
    stub = user_pb2_grpc.AuthServiceStub(channel)
    keys = await stub.GetJsonWebKeySet(user_pb2.GetJsonWebKeySetRequest())
    assert {key.crv for key in keys.keys} == {"Ed25519"}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Login(user_pb2.LoginRequest(username_or_email="nobody", password="wrong-one"))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "grpc-status-details-bin" in dict(refused.value.trailing_metadata() or ())


async def test_methods_for_services_alone_are_not_routed_at_the_edge(
    channel: grpc.aio.Channel,
) -> None:
    call = media_pb2_grpc.RoomServiceStub(channel).StartPeer(media_pb2.StartPeerRequest())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_grpc_web_speaks_on_the_same_port(client: httpx.Client) -> None:
    answer = client.post(
        "/parley.user.v1.AuthService/GetJsonWebKeySet",
        content=b"\0\0\0\0\0",
        headers={"Content-Type": "application/grpc-web+proto"},
    )
    assert answer.headers["content-type"].startswith("application/grpc-web")
    assert b"grpc-status:0" in answer.content


def test_the_websocket_reaches_signaling(stack: RunningStack) -> None:
    url = stack.http.replace("http", "ws") + "/ws/signaling"
    with connect(url, origin=Origin(stack.http)) as websocket:
        websocket.send("no envelope")
        with pytest.raises(ConnectionClosed, match="MALFORMED"):
            list(websocket)
