"""THE table: which processes make a stack, their ports, and what each needs to be ready first.

Every port is here and nowhere else, and all shift by one offset, so that two stacks stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MEDIA_WORKER_STEP = 10
"""Between the gRPC (and metrics) ports of one media worker and the next."""

MAX_MEDIA_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the stack. `ports` are by purpose; `udp` names those that are UDP."""

    name: str
    ports: Mapping[str, int]
    needs: tuple[str, ...] = ()
    udp: frozenset[str] = field(default=frozenset())

    @property
    def service(self) -> str:
        """What it is one of: `media` for `media-0`."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole stack, in an order in which it can be started."""

    processes: tuple[Process, ...]

    def __getitem__(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def port(self, name: str, purpose: str) -> int:
        """Get a port by its process and purpose."""
        return self[name].ports[purpose]

    @property
    def media_workers(self) -> tuple[Process, ...]:
        """The media service's workers."""
        return tuple(process for process in self.processes if process.name.startswith("media-"))


def topology(offset: int = 0, media_workers: int = 1) -> Topology:
    """Lay out a stack. Raises ValueError when the offset moves a port out of range or workers are too many."""
    if not 1 <= media_workers <= MAX_MEDIA_WORKERS:
        raise ValueError(
            f"There may be 1 to {MAX_MEDIA_WORKERS} media workers, not {media_workers}."
        )
    grpc, metrics, udp = "grpc", "metrics", frozenset({"udp"})
    workers = tuple(
        Process(
            f"media-{index}",
            {
                grpc: 8083 + MEDIA_WORKER_STEP * index,
                metrics: 9083 + MEDIA_WORKER_STEP * index,
                "udp": 10100 + index,
            },
            ("valkey", "envoy"),
            udp,
        )
        for index in range(media_workers)
    )
    table = (
        Process("postgres", {"sql": 15432}),
        Process("valkey", {"redis": 16379}),
        Process("envoy", {"edge": 10000, "mesh": 10001, "admin": 9901}),
        Process("user", {grpc: 8080, metrics: 9080}, ("postgres",)),
        Process("meeting", {grpc: 8082, metrics: 9082}, ("postgres", "envoy")),
        Process("signaling", {grpc: 8081, metrics: 9081, "websocket": 8181}, ("valkey", "envoy")),
        *workers,
        Process("ai", {grpc: 8085, metrics: 9085}),
        Process("nginx", {"http": 8000}, ("envoy",)),
    )
    return Topology(tuple(_shifted(process, offset) for process in table))


def _shifted(process: Process, offset: int) -> Process:
    ports = {purpose: port + offset for purpose, port in process.ports.items()}
    if bad := [port for port in ports.values() if not 1024 <= port <= 65535]:
        raise ValueError(f"--port-offset {offset} puts {process.name} on port {bad[0]}.")
    return Process(process.name, ports, process.needs, process.udp)


__all__ = ["MAX_MEDIA_WORKERS", "Process", "Topology", "topology"]
