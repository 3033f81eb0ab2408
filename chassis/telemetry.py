"""Prometheus metrics, one registry per process, each name prefixed with `parley_`.

Labels must be bounded: methods, codes, reasons, kinds; never ids or addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server

PREFIX = "parley_"

Stop = Callable[[], None]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets for durations of calls."""


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """Make a counter; Prometheus adds `_total` to its name."""
    return Counter(PREFIX + name, text, labels)


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    """Make a gauge."""
    return Gauge(PREFIX + name, text, labels)


def histogram(
    name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
) -> Histogram:
    """Make a histogram."""
    return Histogram(PREFIX + name, text, labels, buckets=buckets)


def serve(host: str, port: int) -> tuple[int, Stop]:
    """Serve `/metrics` from a thread of its own; returns the port (useful when 0 was asked for) and how to stop."""
    server, thread = start_http_server(port, addr=host, registry=REGISTRY)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop


__all__ = ["SECONDS", "Stop", "counter", "gauge", "histogram", "serve"]
