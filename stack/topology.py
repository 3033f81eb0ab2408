"""THE table: which processes make a stack, their ports, and what each needs to be ready first.

Every port is here and nowhere else, and all shift by one offset, so that two stacks stand side by side. A service has
a seat (a set of ports) for each of its processes and one that is spare: in it a successor starts before the process
that it follows stops, so that a restart loses no request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SEAT_STEP = 10
"""Between the ports of one seat of a service and the next; media's UDP ports are next to each other."""

SIDE_BY_SIDE = 560
"""Stacks whose offsets differ by a multiple of this share no port, whichever of their seats they use."""

MAX_REPLICAS = 8
MAX_MEDIA_WORKERS = MAX_REPLICAS

SERVICES: Mapping[str, tuple[Mapping[str, int], tuple[str, ...]]] = {
    "user": ({"grpc": 8080, "metrics": 9080}, ("postgres",)),
    "meeting": ({"grpc": 8082, "metrics": 9082}, ("postgres", "envoy")),
    "signaling": ({"grpc": 8081, "metrics": 9081, "websocket": 8181}, ("valkey", "envoy")),
    "media": ({"grpc": 8083, "metrics": 9083, "udp": 10100}, ("valkey", "envoy")),
    "library": ({"grpc": 8084, "metrics": 9084}, ("postgres", "envoy")),
    "ai": ({"grpc": 8085, "metrics": 9085}, ()),
}
"""Each service's ports in its first seat, and what it needs."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the stack, or a seat for one. `ports` are by purpose; `udp` names those that are UDP as well as TCP."""

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
    """A whole stack, in an order in which it can be started, and the services' spare seats."""

    processes: tuple[Process, ...]
    spares: tuple[Process, ...]

    def __getitem__(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def port(self, name: str, purpose: str) -> int:
        """Get a port by its process and purpose."""
        return self[name].ports[purpose]

    def seats(self, service: str) -> tuple[Process, ...]:
        """List a service's seats, the spare one last."""
        every = (*self.processes, *self.spares)
        return tuple(process for process in every if process.service == service)

    @property
    def media_workers(self) -> tuple[Process, ...]:
        """The media service's workers."""
        return tuple(process for process in self.processes if process.service == "media")


def topology(
    offset: int = 0, media_workers: int = 1, replicas: Mapping[str, int] | None = None
) -> Topology:
    """Lay out a stack. Raises ValueError for a service that there is not, or when something is out of range."""
    counts = {**dict.fromkeys(SERVICES, 1), "media": media_workers, **(replicas or {})}
    for service, count in counts.items():
        if service not in SERVICES:
            raise ValueError(f"There is no service {service!r}; there are {', '.join(SERVICES)}.")
        if not 1 <= count <= MAX_REPLICAS:
            raise ValueError(f"There may be 1 to {MAX_REPLICAS} of {service}, not {count}.")
    table = (
        Process("postgres", {"sql": 15432}),
        Process("valkey", {"redis": 16379}),
        Process("envoy", {"edge": 10000, "mesh": 10001, "admin": 9901}),
        *(_seat(service, index) for service in SERVICES for index in range(counts[service])),
        Process("nginx", {"http": 8000, "https": 8443}, ("envoy",)),
        Process("exporter", {"metrics": 9913}, ("nginx",)),
    )
    spares = tuple(_seat(service, counts[service]) for service in SERVICES)
    return Topology(
        tuple(_shifted(process, offset) for process in table),
        tuple(_shifted(process, offset) for process in spares),
    )


def parse_replicas(text: str) -> dict[str, int]:
    """Read `user=2,meeting=3`. Raises ValueError."""
    return dict(_replicas(text))


def _replicas(text: str) -> Iterator[tuple[str, int]]:
    for part in filter(None, text.split(",")):
        service, _, count = part.partition("=")
        if not count.isdecimal():
            raise ValueError(
                f"--replicas takes NAME=COUNT,…, as in user=2,meeting=2; not {part!r}."
            )
        yield service.strip(), int(count)


def _seat(service: str, index: int) -> Process:
    """Lay out one seat: the first is called after the service, media's are numbered from 0."""
    ports, needs = SERVICES[service]
    name = f"{service}-{index}" if index or service == "media" else service
    shift = {purpose: index * (1 if purpose == "udp" else SEAT_STEP) for purpose in ports}
    return Process(
        name,
        {purpose: port + shift[purpose] for purpose, port in ports.items()},
        needs,
        frozenset({"udp"} & set(ports)),
    )


def _shifted(process: Process, offset: int) -> Process:
    ports = {purpose: port + offset for purpose, port in process.ports.items()}
    if bad := [port for port in ports.values() if not 1024 <= port <= 65535]:
        raise ValueError(f"--port-offset {offset} puts {process.name} on port {bad[0]}.")
    return Process(process.name, ports, process.needs, process.udp)


__all__ = [
    "MAX_MEDIA_WORKERS",
    "MAX_REPLICAS",
    "SERVICES",
    "SIDE_BY_SIDE",
    "Process",
    "Topology",
    "parse_replicas",
    "topology",
]
