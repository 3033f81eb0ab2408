"""Whether the ports that a stack wants are free, before anything is started."""

from __future__ import annotations

import socket

from stack.errors import StackError
from stack.topology import Topology


def check_free(layout: Topology, listen: str) -> None:
    """Raise StackError naming the first port that is taken and who wanted it."""
    for process in layout.processes:
        for purpose, port in process.ports.items():
            kind = socket.SOCK_DGRAM if purpose in process.udp else socket.SOCK_STREAM
            host = listen if process.name == "nginx" else "127.0.0.1"
            if (problem := _problem(host, port, kind)) is not None:
                raise StackError(
                    f"{process.name} can't have port {port} ({purpose}) on {host}: {problem}. "
                    "Stop whoever has it, or move all ports with --port-offset N."
                )


def _problem(host: str, port: int, kind: socket.SocketKind) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None


__all__ = ["check_free"]
