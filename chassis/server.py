"""The gRPC server of a service: what it serves, whether it is well, and how it stops without losing a call.

Health (grpc.health.v1) is kept per service name and for "" as a whole: NOT_SERVING until every check answers, and
whenever one fails. Stopping: NOT_SERVING first, `drain_seconds` for the balancer to look away, `on_drain` for those
who hold streams open, then up to GRACE_SECONDS for the calls that still run.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from parley.options.v1 import options_pb2

from chassis import logs, telemetry
from chassis.auth import ServiceIdentity, UserTokenVerifier
from chassis.calls import CallInterceptor, Method
from chassis.channels import MESSAGE_LIMIT
from chassis.config import ServiceConfig
from chassis.stopping import stop

GRACE_SECONDS = 5.0
CHECK_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 3.0
CONCURRENT_CALLS = 4096

OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.bdp_probe", 0),  # a window that grows by itself grows memory with it
)

Check = Callable[[], Awaitable[None]]
"""Returns when something that the service needs answers; raises when it does not."""

log = logs.get("chassis.server")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is running: the ports that it listens on."""

    port: int
    metrics_port: int


@asynccontextmanager
async def serving(
    config: ServiceConfig,
    name: str,
    identity: ServiceIdentity,
    verifier: UserTokenVerifier | None,
    servicers: Mapping[Any, object],
    checks: Sequence[Check] = (),
    on_drain: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Server]:
    """Serve `servicers` (by their generated `add_…_to_server`) until the block ends, then drain.

    Raises OSError when an address is taken.
    """
    methods: dict[str, Method] = {}
    grpc_server = grpc.aio.server(
        interceptors=[CallInterceptor(methods, identity, verifier)],
        options=OPTIONS,
        maximum_concurrent_rpcs=CONCURRENT_CALLS,
    )
    registrar = _Registrar(grpc_server)
    for add, servicer in servicers.items():
        add(servicer, registrar)
    for add, servicer in unbuilt(registrar.names):
        add(servicer, registrar)
    for service in registrar.names:
        methods.update(methods_of(service))
    well = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(well, grpc_server)
    reflection.enable_server_reflection(
        [*registrar.names, health.SERVICE_NAME, reflection.SERVICE_NAME], grpc_server
    )
    port = _bind(grpc_server, config.listen)
    host, _, metrics_port = config.metrics_listen.rpartition(":")
    bound_metrics_port, stop_metrics = telemetry.serve(host, int(metrics_port))
    names = ["", *registrar.names]
    await _set_health(well, names, serving=False)
    await grpc_server.start()
    checking = asyncio.create_task(_keep_checking(well, names, checks))
    log.info("service started", name=name, port=port)
    try:
        yield Server(port=port, metrics_port=bound_metrics_port)
    finally:
        await stop(checking)
        await well.enter_graceful_shutdown()
        await asyncio.sleep(config.drain_seconds)
        if on_drain is not None:
            await on_drain()
        await grpc_server.stop(GRACE_SECONDS)
        stop_metrics()
        log.info("service stopped", name=name)


def unbuilt(built: Sequence[str]) -> list[tuple[Any, object]]:
    """Find the services that the contracts have beside the built ones, in the same packages.

    They are served too, by the generated base classes, so that their methods answer NOT_IMPLEMENTED to whoever may call
    them. Returns what `serving` takes: how to add each, and its servicer.
    """
    found: list[tuple[Any, object]] = []
    for package in sorted({name.rpartition(".")[0] for name in built}):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not module.name.endswith("_pb2_grpc"):
                continue
            stubs = importlib.import_module(f"{package}.{module.name}")
            file = f"{package.replace('.', '/')}/{module.name.removesuffix('_pb2_grpc')}.proto"
            services = descriptor_pool.Default().FindFileByName(file).services_by_name.values()
            found += [
                (
                    getattr(stubs, f"add_{service.name}Servicer_to_server"),
                    getattr(stubs, f"{service.name}Servicer")(),
                )
                for service in services
                if service.full_name not in built
            ]
    return found


def methods_of(service: str) -> dict[str, Method]:
    """Read who may call each method of a service, by full path."""
    methods = {}
    for method in descriptor_pool.Default().FindServiceByName(service).methods:
        path, said = f"/{service}/{method.name}", method.GetOptions().Extensions
        callers = frozenset(said[options_pb2.callers])
        methods[path] = Method(path, said[options_pb2.access], callers)
    return methods


class _Registrar:
    """Stands in for the server while servicers are added, to learn the names of their services.

    Methods are served by the generic handlers alone: for each registered one grpc.aio keeps a task waiting, and looks through
    all of them at every call (60 to 120 µs of it, measured with 72 methods).
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.names: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, _handlers: Any) -> None:
        self.names.append(service)


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be listened on: {error}") from None


async def _set_health(well: HealthServicer, names: Sequence[str], *, serving: bool) -> None:
    status = (
        health_pb2.HealthCheckResponse.SERVING
        if serving
        else health_pb2.HealthCheckResponse.NOT_SERVING
    )
    for name in names:
        await well.set(name, status)


async def _keep_checking(
    well: HealthServicer, names: Sequence[str], checks: Sequence[Check]
) -> None:
    before: bool | None = None
    while True:
        trouble = await _trouble(checks)
        now = not trouble
        if now != before:
            log.info("health changed", serving=now, trouble=trouble)
            await _set_health(well, names, serving=now)
        before = now
        await asyncio.sleep(CHECK_SECONDS if now else CHECK_SECONDS / 5)


async def _trouble(checks: Sequence[Check]) -> str:
    """Name what keeps a service from being well; empty when nothing does."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            for check in checks:
                await check()
    except Exception as error:  # noqa: BLE001  # whatever a check raises means one thing: not well
        return type(error).__name__
    return ""


__all__ = ["Check", "Server", "methods_of", "serving"]
