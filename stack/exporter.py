"""What Nginx does, for Prometheus and for the operator's eyes: read from its access log and from the kernel.

`python -m stack.exporter` follows the log and serves, on loopback alone, `/metrics` and `/nginx_status`: this build of
Nginx has no stub_status. Labels are bounded: routes are those of nginx/routes.conf, statuses are HTTP's.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stack import ready
from stack.state import State
from stack.supervisor import Unit
from stack.topology import Topology

POLL_SECONDS = 0.5
ESTABLISHED = "01"
"""A connection's state in /proc/net/tcp."""


def unit(layout: Topology, state: State) -> Unit:
    """Say how the exporter is run."""
    port = layout.port("exporter", "metrics")
    gateway = [str(each) for each in layout["nginx"].ports.values()]

    async def is_ready() -> bool:
        return await ready.http_ok(f"http://127.0.0.1:{port}/nginx_status")

    return Unit(
        "exporter",
        [sys.executable, "-m", "stack.exporter", state.log("nginx.access"), str(port), *gateway],
        is_ready,
        layout["exporter"].ports,
        layout["exporter"].needs,
    )


class Requests:
    """The figures of all requests since the exporter began."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._began = time.time()
        labels = ("route", "status")
        self._requests = Counter(
            "nginx_requests", "Requests, by route and status.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "nginx_request_seconds", "How long requests took.", ("route",), registry=self.registry
        )
        self._bytes = Counter(
            "nginx_bytes", "Bytes, in and out.", ("direction",), registry=self.registry
        )
        self._limited = Counter(
            "nginx_limited", "Requests refused, by what limit.", ("limit",), registry=self.registry
        )
        self._cache = Counter(
            "nginx_cache", "Answers by what the cache had.", ("status",), registry=self.registry
        )
        self._open = Gauge(
            "nginx_connections", "Connections that clients have open.", registry=self.registry
        )

    def count(self, line: str) -> None:
        """Count one line of the access log; one that is cut or foreign is left out."""
        try:
            entry: dict[str, Any] = json.loads(line)
            route, status = str(entry["route"]), str(entry["status"])
            seconds, received, sent = entry["seconds"], entry["bytes_in"], entry["bytes_out"]
        except (ValueError, KeyError, TypeError):
            return
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(float(seconds))
        self._bytes.labels("in").inc(received)
        self._bytes.labels("out").inc(sent)
        if limit := entry.get("limit"):
            self._limited.labels(limit).inc()
        if cache := entry.get("cache"):
            self._cache.labels(cache).inc()

    def metrics(self, connections: int) -> bytes:
        """Write the figures as Prometheus reads them."""
        self._open.set(connections)
        return generate_latest(self.registry)

    def status(self, connections: int) -> dict[str, Any]:
        """Sum the figures up for a person."""
        routes: dict[str, dict[str, int]] = {}
        for metric in self._requests.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    by_status = routes.setdefault(sample.labels["route"], {})
                    by_status[sample.labels["status"]] = int(sample.value)
        total = sum(sum(by_status.values()) for by_status in routes.values())
        return {
            "connections": connections,
            "requests": total,
            "since_seconds": round(time.time() - self._began),
            "routes": routes,
        }


def follow(path: Path) -> Iterator[str]:
    """Give the lines that are added to a file from now on, for ever; a file that is cut is begun anew."""
    position = path.stat().st_size if path.exists() else 0
    rest = ""
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position, rest = 0, ""
        if size > position:
            with path.open("rb") as log:
                log.seek(position)
                text = rest + log.read(1_000_000).decode(errors="replace")
                position = log.tell()
            *lines, rest = text.split("\n")
            yield from lines
        else:
            time.sleep(POLL_SECONDS)


def connections(ports: frozenset[int]) -> int:
    """Count the connections that clients have to `ports` of this machine (Linux; 0 elsewhere)."""
    found = 0
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state = line.split()[:4]
            found += state == ESTABLISHED and int(local.rpartition(":")[2], 16) in ports
    return found


def main() -> None:
    """Follow a log and serve its figures until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="Nginx's access log, in JSON")
    parser.add_argument("port", type=int, help="where to serve, on loopback")
    parser.add_argument("gateway", type=int, nargs="+", help="the ports of Nginx")
    parsed = parser.parse_args()
    requests, ports = Requests(), frozenset(parsed.gateway)
    threading.Thread(target=_count_all, args=(requests, parsed.log), daemon=True).start()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Serve the figures."""
            if self.path == "/metrics":
                self._send("text/plain; version=0.0.4", requests.metrics(connections(ports)))
            elif self.path == "/nginx_status":
                body = json.dumps(requests.status(connections(ports)), indent=2).encode() + b"\n"
                self._send("application/json", body)
            else:
                self.send_error(404)

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of those who ask every few seconds."""

    ThreadingHTTPServer(("127.0.0.1", parsed.port), Handler).serve_forever()


def _count_all(requests: Requests, log: Path) -> None:
    for line in follow(log):
        requests.count(line)


if __name__ == "__main__":
    main()

__all__ = ["Requests", "connections", "follow", "unit"]
