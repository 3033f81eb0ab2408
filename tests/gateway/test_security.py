"""What comes in from outside and must not: probes by hand on the socket, forged names, other origins, denied addresses."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from typing import Any

import grpc
import httpx
import psutil
import pytest
from parley.options.v1.options_pb2 import Access

from stack.certificates import authority_path
from stack.rest import Method, described, methods
from tests.gateway.conftest import Client
from tests.rest import reason, sign_up
from tests.running_stack import RunningStack

INTERNAL = [method for method in methods(described()) if method.access == Access.ACCESS_SERVICE]
FRIEND = "https://friend.example.org"


def said(stack: RunningStack, request: bytes) -> bytes:
    """Send bytes as they are; returns all that comes back until the gateway closes."""
    with socket.create_connection(("127.0.0.1", stack.layout.port("nginx", "http")), 10) as raw:
        raw.sendall(request)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
        return answer


PROBES = {
    "length and chunks": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "an odd coding": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: -1\r\n\r\n",
    "a space before the colon": b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length : 4\r\n\r\n",
    "no host": b"GET /api/v1/users/me HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
    "a zero byte": b"GET /api/v1/users/me%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an encoded slash": b"GET /api/v1/meetings/a%2Fb HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an encoded dot": b"GET /api/v1/%2e%2e/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a climb": b"GET /assets/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an encoded climb": b"GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a backslash": b"GET /assets/..\\..\\x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "double slashes": b"GET //api//v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a header with an underscore": b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n",
    "no protocol": b"GET /api/v1/users/me\r\nnonsense\r\n\r\n",
    "another protocol": b"GET / HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a method of nobody's": b"BREW /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "tracing": b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:9901 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a long line": b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a long header": b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n",
    "many headers": b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_is_refused_in_the_shape_of_all_errors(edge: RunningStack, probe: str) -> None:
    head, _, body = said(edge, PROBES[probe]).partition(b"\r\n\r\n")
    if head.startswith(b"{"):  # HTTP/0.9 has no head
        head, body = b"HTTP/1.1 400", head
    status = int(head.split()[1])
    assert status in (400, 401, 404, 405, 408, 414, 431, 501, 503, 505), head
    assert status != 401 or probe in ("a method of nobody's",), "it went through"
    shown = body.split(b"\r\n")[1] if b"chunked" in head else body
    assert set(json.loads(shown)) == {"code", "message", "details"}, body
    assert b"root:" not in body
    assert b"1.31" not in head


def test_the_gateway_is_nobodys_proxy(edge: RunningStack) -> None:
    admin = edge.layout.port("envoy", "admin")
    request = (
        f"GET http://127.0.0.1:{admin}/config_dump HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert b"<!doctype html>" in said(edge, request.encode())


def test_a_smuggled_request_is_not_answered(edge: RunningStack) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    request = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(inner)
    ) + inner
    assert said(edge, request).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("method", INTERNAL, ids=lambda method: method.path)
async def test_a_method_for_services_alone_is_not_there(edge: RunningStack, method: Method) -> None:
    async with grpc.aio.insecure_channel(edge.grpc_target) as channel:
        call: Any = channel.unary_unary(method.path)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=(("x-parley-service-token", "x"),))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "path",
    [
        *(method.path for method in INTERNAL),
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_nor_is_it_over_grpc_web(visitor: Client, path: str) -> None:
    kind = {"content-type": "application/grpc-web+proto"}
    answer = visitor().post(path, content=b"", headers=kind)
    assert answer.status_code in (404, 405) or answer.headers["grpc-status"] == "12"


@pytest.mark.parametrize(
    "header",
    ["x-parley-user", "x-parley-offload", "x-envoy-original-path", "x-parley-service-token"],
)
def test_a_forged_identity_is_worth_nothing(visitor: Client, header: str) -> None:
    client = visitor()
    ann = sign_up(client)
    plain = ann.call("GET", "/api/v1/users/me")
    forged = ann.call("GET", "/api/v1/users/me", headers={header: "users/1"})
    assert (forged.status_code, forged.json()) == (200, plain.json())
    assert client.get("/api/v1/users/me", headers={header: "users/1"}).status_code == 401


def test_only_the_gateway_listens_beyond_loopback(edge: RunningStack) -> None:
    status = edge.status
    for process in status.processes:
        parent = psutil.Process(process.pid)
        for each in (parent, *parent.children(recursive=True)):
            for connection in each.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip.removeprefix("::ffff:") in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    "path",
    [
        "/config_dump",
        "/stats",
        "/server_info",
        "/quitquitquit",
        "/nginx_status",
        "/metrics",
        "/_media/file/x",
        "/_media/s3",
        "/_refused/long",
    ],
)
def test_no_inner_page_is_reached_from_outside(visitor: Client, path: str) -> None:
    answer = visitor().get(path)
    shown = answer.text
    assert answer.status_code == 404 or "<!doctype html>" in shown
    assert "envoy" not in shown


def test_an_address_that_is_denied_may_not_come_in(edge: RunningStack) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.66")
    with httpx.Client(transport=transport) as denied:
        port = edge.layout.port("nginx", "http")
        answer = denied.get(f"http://127.0.0.1:{port}/")
    assert (answer.status_code, reason(answer)) == (403, "ADDRESS_DENIED")


def test_pages_of_friends_may_call_and_others_not(visitor: Client) -> None:
    client = visitor()
    asking = {"access-control-request-method": "POST"}
    for path in (
        "/api/v1/auth/login",
        "/api/v1/media",
        "/api/v1/ai/models",
        "/parley.user.v1.AuthService/Login",
    ):
        allowed = client.options(path, headers={"origin": FRIEND, **asking})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == FRIEND
        assert "Authorization" in allowed.headers["access-control-allow-headers"]
        stranger = client.options(path, headers={"origin": "https://evil.example", **asking})
        assert "access-control-allow-origin" not in stranger.headers
    refused = client.get("/api/v1/users/me", headers={"origin": FRIEND})
    assert refused.headers["access-control-allow-origin"] == FRIEND


HEADERS = {
    "content-security-policy": "script-src 'self'",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), display-capture=(self)",
    "x-content-type-options": "nosniff",
}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/users/me",
        "/.well-known/jwks.json",
        "/nothing.js",
        "/healthz",
        "/api/docs/",
        "/api/v1/meetings/a%2fb",
    ],
)
def test_every_answer_has_the_headers_that_browsers_heed(visitor: Client, path: str) -> None:
    answer = visitor().get(path)
    for name, value in HEADERS.items():
        assert value in answer.headers[name]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert answer.headers["server"] == "nginx"
    assert "x-powered-by" not in answer.headers


def trusting(stack: RunningStack) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority_path(stack.state / "secrets"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_https_is_served_to_who_trusts_the_stacks_authority(
    edge: RunningStack, version: ssl.TLSVersion
) -> None:
    context = trusting(edge)
    context.minimum_version = context.maximum_version = version
    port = edge.layout.port("nginx", "https")
    for host in ("localhost", "127.0.0.1"):
        answer = httpx.get(f"https://{host}:{port}/readyz", verify=context)
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers, "plain HTTP is served as well"


def test_older_tls_is_refused(edge: RunningStack) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    port = edge.layout.port("nginx", "https")
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(raw)


def test_https_offers_http_2(edge: RunningStack) -> None:
    context = trusting(edge)
    context.set_alpn_protocols(["h2", "http/1.1"])
    port = edge.layout.port("nginx", "https")
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        assert tls.selected_alpn_protocol() == "h2"


def test_plain_http_on_the_port_of_https_is_told(edge: RunningStack) -> None:
    answer = httpx.get(f"http://127.0.0.1:{edge.layout.port('nginx', 'https')}/")
    assert (answer.status_code, reason(answer)) == (400, "HTTPS_ONLY")


def test_the_authoritys_key_is_for_its_owner_alone(edge: RunningStack) -> None:
    for name in ("authority.key", "gateway.key"):
        assert (edge.state / "secrets" / name).stat().st_mode & 0o077 == 0


def test_no_secret_is_on_a_command_line(edge: RunningStack) -> None:
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    secrets = [path.read_text() for path in (edge.state / "secrets").glob("*.password")]
    assert secrets
    assert not [secret for secret in secrets if secret in listed]
